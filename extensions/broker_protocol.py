"""What the workers of the service tell each other, and who is where: `memory://` for one process, `redis://` for many.

An event is bytes on a channel; everybody who subscribed to the channel gets it, all in the same order, this worker
too. An event may get lost (Redis restarts): who cannot bear that listens to `missed` and looks elsewhere.

Presence is counted in connections: a name is in a place (a room) as long as it has one there on any worker. It belongs
to an owner, so that nobody else connects under it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Handler = Callable[[bytes], int]
"""Gets an event; answers how many connections it reached."""
Missed = Callable[[], None]
Tell = Callable[[str, str], bytes]


class Reached(NamedTuple):
    """How many connections an event reached."""

    here: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class Visit:
    """One connection of `name` in `place`, for whom `owner` answers."""

    place: str
    name: str
    owner: str


class OwnedByAnother(Exception):
    """The name is connected, and belongs to another owner."""


class Broker(Protocol):
    """Events and presence. Everything asynchronous raises NotReady while the broker is away."""

    shared: bool
    """Whether other workers are on it."""
    missed: Missed
    """Called when events may have been missed."""
    gone: Tell
    """Makes the event that tells a place that a name has gone, when the worker that had it cannot any more."""
    came: Tell
    """Makes the event that tells a place that a name is there after all: its worker was only taken for dead."""

    @property
    def connected(self) -> bool:
        """Whether an event would be handed on now."""

    async def subscribe(self, channel: str, handler: Handler) -> None:
        """Hand all events of the channel to `handler`, those published after this returns for certain.

        When it raises, `handler` gets them from when the broker is back.
        """

    async def unsubscribe(self, channel: str) -> None: ...

    async def publish(self, channel: str, event: bytes) -> None: ...

    async def ask(self, channel: str, event: bytes) -> Reached:
        """Publish, and add up what the handlers answer."""

    async def enter(self, visit: Visit, event: bytes, *, claims: bool) -> bool:
        """Count a connection; the first of the name in the place publishes `event` on the place's channel.

        Answers whether the name belonged to another owner, which with `claims` gives way; without it, raises
        OwnedByAnother.
        """

    async def leave(self, visit: Visit, event: bytes) -> None:
        """Count a connection less; the last of the name in the place publishes `event`. Never raises."""

    async def owner(self, name: str) -> str | None:
        """Whose name it is while it is connected anywhere."""

    async def members(self, place: str) -> dict[str, int]:
        """The names in the place, with their connections."""

    async def places(self) -> dict[str, int]:
        """Every place that somebody is in, with the number of names."""

    async def check(self) -> None:
        """Raise NotReady when the broker is away."""


def nobody_cares() -> None:
    """What `missed` is until somebody sets it."""


def nothing_to_say(place: str, name: str) -> bytes:
    """What `gone` and `came` are until somebody sets them."""
    return b""
