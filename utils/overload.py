"""What a worker refuses when it has more to do than it can do in time, so that the rest is answered in time.

Why it is so, with figures: docs/decisions/0012-limits.md.
"""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.custom_exc import Overloaded
from utils.exception_handlers import Refusal
from utils.request_context import INTERNAL, RECEIVED

ALWAYS_ADMITTED = 50  # requests under way at a time; with fewer nothing is known of what a worker can carry
INTERVAL_SECONDS = 0.25  # over which answers are counted


class Load:
    """How much one worker has to do, and how much of it it can do in time.

    What waits for longer than allowed is, by Little's law, what is under way beyond the answers of that time. Answers
    are counted while more than a few are under way; until they were, as many as may ever be are admitted.

    Args:
        max_under_way: Requests at a time, whatever happens.
        max_wait: Seconds until a request is answered. Half of it may pass once it was read: before, while the loop was
            busy with others, it waited unread for about as long.
    """

    def __init__(self, max_under_way: int, max_wait: float) -> None:
        self._max_under_way = max_under_way
        self._max_wait_read = max_wait / 2
        self._limit = max_under_way
        self._since: float | None = None  # when counting began
        self._answered_then = 0
        self.under_way = 0
        self.answered = 0

    def admits_one(self, received: float | None) -> bool:
        """Whether one more may be under way that was read at a time of `monotonic`, if that is known."""
        now = monotonic()
        if received is not None and now - received > self._max_wait_read:
            return False
        if self.under_way < ALWAYS_ADMITTED:
            self._since, self._limit = None, self._max_under_way
        elif self._since is None or now - self._since >= INTERVAL_SECONDS:
            self._count(now)
        return self.under_way < self._limit

    def _count(self, now: float) -> None:
        if self._since is not None:
            if self.answered == self._answered_then and now - self._since < self._max_wait_read:
                return  # a burst has only begun: nothing is known yet
            rate = (self.answered - self._answered_then) / (now - self._since)
            self._limit = min(max(ALWAYS_ADMITTED, round(rate * self._max_wait_read)), self._max_under_way)
        self._since, self._answered_then = now, self.answered


class Place:
    """One request among those that are under way: from its turn until its answer begins.

    Not while it waits for its client, who may send slowly, or for another service: slow ones use up nobody's place.
    """

    __slots__ = ("_answered", "_load", "_receive", "_send", "_taken")

    def __init__(self, load: Load, receive: Receive, send: Send) -> None:
        self._load = load
        self._receive = receive
        self._send = send
        self._answered = self._taken = False
        self._take()

    def give_up(self) -> None:
        """Leave for good."""
        if not self._answered:
            self._answered = True
            self._load.answered += 1
            self._leave()

    @contextmanager
    def left(self) -> Iterator[None]:
        """While others are waited for."""
        self._leave()
        try:
            yield
        finally:
            if not self._answered:
                self._take()

    async def receive(self) -> Message:
        with self.left():
            return await self._receive()

    def send(self, message: Message) -> Awaitable[None]:
        self.give_up()
        return self._send(message)

    def _take(self) -> None:
        if not self._taken:
            self._taken = True
            self._load.under_way += 1

    def _leave(self) -> None:
        if self._taken:
            self._taken = False
            self._load.under_way -= 1


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def waiting_for_another() -> Iterator[None]:
    """While another service is waited for, the request of this context is not under way here."""
    place = _place.get()
    if place is None:
        yield
    else:
        with place.left():
            yield


class OverloadMiddleware:
    """Answers 503 to requests that would have to wait for too long.

    Args:
        load: Of this worker.
        exempt: Paths that are always answered.
    """

    def __init__(self, app: ASGIApp, *, load: Load, exempt: frozenset[str]) -> None:
        self._app = app
        self._load = load
        self._exempt = exempt
        self._refusal = Refusal(Overloaded())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exempt or INTERNAL in scope["state"]:
            await self._app(scope, receive, send)
        elif self._load.admits_one(scope["state"].get(RECEIVED)):
            place = Place(self._load, receive, send)
            token = _place.set(place)
            try:
                await self._app(scope, place.receive, place.send)
            finally:
                place.give_up()
                _place.reset(token)
        else:
            await self._refusal.send(scope, send)
