"""What every request gets around it: its id, the security headers and one line in the access log."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from time import perf_counter
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extensions.logger import log_access
from utils import log_text
from utils.request_context import accept_request_id, request_id

Header = tuple[bytes, bytes]

CLIENT_GONE = 499  # nginx's number for a client that did not wait for the answer
LONGEST_PATH = 1000

# WebSocket close codes, RFC 6455 section 7.4.1
NORMAL, NO_CODE, ABNORMAL, CRASHED = 1000, 1005, 1006, 1011


class RequestMiddleware:
    """The outermost layer; plain ASGI, because every request pays for it."""

    def __init__(self, app: ASGIApp, headers: Sequence[Header] = (), *, access_log: bool = True) -> None:
        self._app = app
        self.access_log = access_log
        self._headers = tuple(headers)
        self._names = frozenset({b"x-request-id", *(name for name, _ in headers)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        id_ = accept_request_id(_sent_id(scope["headers"]))
        scope.setdefault("state", {})["request_id"] = id_
        exchange: HttpExchange | SocketExchange
        exchange = (HttpExchange if scope["type"] == "http" else SocketExchange)(self, scope, receive, send, id_)
        token = request_id.set(id_)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.finish(exchange.cancelled)
            raise
        except BaseException:
            exchange.finish(exchange.crashed)
            raise
        exchange.finish(exchange.crashed)  # unless it has answered
        request_id.reset(token)  # not after an exception: the server that logs it next shall know the id

    def complete(self, headers: Iterable[Header], id_: str) -> list[Header]:
        """The answer's headers and ours; an answer's own security header wins, its request id does not."""
        headers = list(headers)
        names = {name for name, _ in headers}
        ours: Iterable[Header] = self._headers
        if not self._names.isdisjoint(names):
            headers = [header for header in headers if header[0] != b"x-request-id"]
            ours = [header for header in ours if header[0] not in names]
        return [*headers, *ours, (b"x-request-id", id_.encode("ascii"))]


class Exchange:
    """One request under way: what its access line will tell.

    `send` of both kinds is no coroutine itself: it passes on what the server's `send` returns and so adds no layer.
    """

    def __init__(self, middleware: RequestMiddleware, scope: Scope, receive: Receive, send: Send, id_: str) -> None:
        self._middleware = middleware
        self._scope = scope
        self._receive = receive
        self._send = send
        self._id = id_
        self.cancelled, self.crashed = CLIENT_GONE, 500
        self._started = perf_counter()
        self._status = 0
        self._size = 0
        self._finished = False

    def finish(self, status: int) -> None:
        """Write the line, once; `status` is for a request that has no status of its own."""
        if not self._finished:
            self._finished = True
            self._log(self._scope.get("method", "WS"), self._status or status)

    def _log(self, method: str, status: int) -> None:
        if not self._middleware.access_log:
            return
        seconds = perf_counter() - self._started
        size = 0 if method == "HEAD" else self._size
        log_access(method, _path(self._scope), status, seconds, size, _client(self._scope), self._id)

    def _with_headers(self, message: Message) -> Message:
        return {**message, "headers": self._middleware.complete(message.get("headers", ()), self._id)}


class HttpExchange(Exchange):
    """An HTTP request and its answer; the line is written when the last byte leaves, before background tasks."""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._status:
            self._status = CLIENT_GONE
        return message

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = self._status or message["status"]
            message = self._with_headers(message)
        elif kind == "http.response.body":
            self._size += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.finish(self.crashed)
        return self._send(message)


class SocketExchange(Exchange):
    """A WebSocket: one line with status 101 when it opens and one with the close code when it ends."""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._status = self._status or message.get("code", NO_CODE)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.send":
            text = message.get("text")
            self._size += len(text.encode() if text is not None else message["bytes"])
        elif kind == "websocket.accept":
            self.cancelled, self.crashed = ABNORMAL, CRASHED
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", self._id.encode("ascii"))]}
            self._log("WS", 101)
        elif kind == "websocket.close":
            self._status = self._status or (message.get("code", NORMAL) if self.crashed == CRASHED else 403)
        elif kind == "websocket.http.response.start":
            self._status = message["status"]
            message = self._with_headers(message)
        return self._send(message)


def _sent_id(headers: Iterable[Header]) -> bytes | None:
    for name, value in headers:
        if name == b"x-request-id":
            return value
    return None


def _path(scope: Scope) -> str:
    """The path as it was sent (percent-encoded, so spaces and line ends cannot deceive) and the masked query."""
    raw: bytes | None = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(scope["path"])
    if query := scope.get("query_string"):
        path = f"{path}?{log_text.mask_query(query[:LONGEST_PATH].decode('latin-1'))}"
    if len(path) > LONGEST_PATH:
        path = f"{path[:LONGEST_PATH]}..."
    return path if path.isascii() and path.isprintable() else log_text.escape(path)


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return log_text.escape(client[0]) if client else "-"
