"""What a worker refuses when it has more to do than it can do in time, so that the rest is answered in time."""

from collections.abc import Awaitable
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.custom_exc import Overloaded
from utils.exception_handlers import answer_error
from utils.request_context import INTERNAL, RECEIVED


class OverloadMiddleware:
    """Answers 503 to requests that would have to wait for too long.

    Two things make them wait: a busy processor, then they have waited already when their turn comes; or somebody else
    (a database), then many are under way. A request is under way from its turn until its answer begins, without the
    time in which its client sends the body: slow clients cannot use up the places of the others.

    Args:
        max_under_way: Requests of this worker at a time.
        max_wait: Seconds until a request has its turn. Half of it may pass after it was read: before, while the loop
            was busy with others, it waited unread for about as long.
        exempt: Paths that are always answered.
    """

    def __init__(self, app: ASGIApp, *, max_under_way: int, max_wait: float, exempt: frozenset[str]) -> None:
        self._app = app
        self._max_under_way = max_under_way
        self._max_wait_read = max_wait / 2
        self._exempt = exempt
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exempt or INTERNAL in scope["state"]:
            await self._app(scope, receive, send)
        elif self.under_way >= self._max_under_way or self._has_waited(scope):
            await answer_error(Overloaded())(scope, receive, send)
        else:
            place = Place(self, receive, send)
            try:
                await self._app(scope, place.receive, place.send)
            finally:
                place.give_up()

    def _has_waited(self, scope: Scope) -> bool:
        since = scope["state"].get(RECEIVED)
        return since is not None and monotonic() - since > self._max_wait_read


class Place:
    """One request among those that are under way."""

    __slots__ = ("_answered", "_middleware", "_receive", "_send", "_taken")

    def __init__(self, middleware: OverloadMiddleware, receive: Receive, send: Send) -> None:
        self._middleware = middleware
        self._receive = receive
        self._send = send
        self._answered = self._taken = False
        self._take()

    def give_up(self) -> None:
        """Leave for good."""
        self._answered = True
        self._leave()

    async def receive(self) -> Message:
        """Wait for the client, in nobody's way."""
        self._leave()
        try:
            return await self._receive()
        finally:
            if not self._answered:
                self._take()

    def send(self, message: Message) -> Awaitable[None]:
        """Pass the answer on; with its first word the request is no longer under way."""
        if not self._answered:
            self.give_up()
        return self._send(message)

    def _take(self) -> None:
        if not self._taken:
            self._taken = True
            self._middleware.under_way += 1

    def _leave(self) -> None:
        if self._taken:
            self._taken = False
            self._middleware.under_way -= 1
