"""The bodies that the chat's REST operations exchange."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, model_validator

from api.websocketdemo.frames import MAX_TEXT, NAME_PATTERN, Message
from utils.fields import STORABLE

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Room(BaseModel):
    """A room with somebody in it, or with a history."""

    name: str = Field(examples=["lobby"])
    online: int = Field(description="Users in it now, on all workers.")
    last_id: int = Field(description="The id of its newest message; 0 when there is none.")


class Member(BaseModel):
    """A user who is in a room now."""

    name: str = Field(examples=["User1"])
    sockets: int = Field(description="How many connections to the room the user has, on all workers.")


class History(BaseModel):
    """A part of a room's messages, the oldest first."""

    items: list[Message]
    first_id: int = Field(description="The id of the oldest message that is kept; 0 when there is none.")
    last_id: int = Field(description="The id of the newest message; 0 when there is none.")


class Push(BaseModel):
    """What a server has to say, and to whom: to one room, to one user, or to everybody who is connected."""

    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, Field(max_length=MAX_TEXT, examples=["The shop closes at ten."]), STORABLE]
    room: Name | None = Field(None, description="Everybody in this room; the message is kept in its history.")
    user: Name | None = Field(None, description="This user alone, with all sockets.")
    everybody: StrictBool | None = Field(None, description="Everybody who is connected.")
    data: JsonValue = Field(None, description="Any JSON to go with it.")

    @model_validator(mode="after")
    def one_target(self) -> Self:
        """Tell the client instead of choosing for it."""
        if sum((self.room is not None, self.user is not None, bool(self.everybody))) != 1:
            raise ValueError("name exactly one of room, user and everybody")
        return self


class Pushed(BaseModel):
    """Whom a push reached."""

    id: int | None = Field(description="The id of the message in its room; null when it was not for a room.")
    here: int = Field(description="Sockets on the worker that answers.")
    elsewhere: int = Field(description="Sockets on the other workers.")
