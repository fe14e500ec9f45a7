"""The frames of the chat, both ways: these models check, write and document them.

A client of the tutorial's chat reads `user` and `message`, and sends `message`, or `send_user` and `message`. All
other keys came later and may be ignored.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from utils.fields import STORABLE
from utils.response_code import Output

ENTERED: Literal["进入聊天"] = "进入聊天"
LEFT: Literal["离开"] = "离开"
EVERYBODY = "*"

NAME_PATTERN = r"^[\w.\-]{1,32}$"  # \w: letters and digits of any script
MAX_TEXT = 4_000  # characters
MAX_REF = 64  # characters

Ref = Annotated[str, Field(max_length=MAX_REF, examples=["a1"])]


class Send(BaseModel):
    """Say something to everybody in the room, or with `send_user` to one user alone. Other keys are ignored."""

    message: Annotated[str, Field(max_length=MAX_TEXT, examples=["hi", "你好"], description="The text."), STORABLE]
    send_user: Annotated[str, Field(max_length=MAX_REF, examples=["User2"])] | None = Field(
        None, description="Who alone shall get it, with all of their sockets; nobody or an empty name: the whole room."
    )
    data: JsonValue = Field(None, description="Any JSON to go with it.")
    ref: Ref | None = Field(
        None, description="Your own name for this message: asks for an ack, and stands in an error about it."
    )


class Reference(BaseModel):
    """What is read of a frame that is refused: a hundredth of the work of reading all of it."""

    ref: Ref | None = None


class Frame(Output):
    """What all frames of the server share: they have exactly the documented keys."""

    model_config = ConfigDict(extra="forbid")


class Told(Frame):
    """Who said or did something in a room, and when."""

    user: str = Field(examples=["User1"])
    message: str = Field(examples=["hi"])
    room: str = Field(examples=["lobby"])
    time: datetime = Field(description="RFC 3339, in UTC.")


class Join(Told):
    """A user came into the room; you get your own too."""

    type: Literal["join"] = "join"
    message: Literal["进入聊天"] = ENTERED


class Leave(Told):
    """A user's last socket in the room has gone."""

    type: Literal["leave"] = "leave"
    message: Literal["离开"] = LEFT


class Message(Told):
    """Somebody said something to everybody in the room; it is in the history."""

    type: Literal["message"] = "message"
    id: int = Field(ge=1, examples=[17], description="1, 2, 3 … in each room, without gaps.")
    data: JsonValue = Field(None, description="What the sender sent with it, or null.")


class Direct(Told):
    """Somebody said something to you alone, or you to somebody; it is handed on and not kept."""

    type: Literal["direct"] = "direct"
    send_user: str = Field(examples=["User2"], description="Whom it is for; * in a push to everybody.")
    data: JsonValue = Field(None, description="What the sender sent with it, or null.")


class Ack(Frame):
    """Your message with this `ref` is stored (a private one: handed on) and will not be lost.

    It comes before or after the message itself.
    """

    type: Literal["ack"] = "ack"
    ref: Ref
    id: int | None = Field(ge=1, examples=[17], description="Its id in the room; null for a private message.")


class Recovered(Frame):
    """The first frame after you came with `since`; the messages you missed follow.

    With `recovered` false more is missing than is kept, or `since` is of another history: what follows is the newest
    page, and what you have does not connect to it.
    """

    type: Literal["recovered"] = "recovered"
    room: str = Field(examples=["lobby"])
    recovered: bool
    since: int = Field(ge=0, description="As you sent it.")
    last_id: int = Field(ge=0, description="The id of the newest message when you came; 0 when there was none.")


class Error(Frame):
    """A frame of yours, or your whole connection, was refused; the codes are those of the REST interface."""

    type: Literal["error"] = "error"
    code: int = Field(examples=[42211])
    message: str = Field(description="A sentence for people.")
    ref: str | None = Field(None, description="The `ref` of the refused message, if it had one.")
    data: dict[str, Any] | None = Field(None, description="Details, or null.")


ServerFrame = Join | Leave | Message | Direct | Ack | Recovered | Error
