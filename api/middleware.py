"""What every request gets around it: its id, the security headers and one line in the access log."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Iterable, Sequence
from time import perf_counter
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extensions.logger import log_access
from extensions.metrics import OTHER, traffic
from extensions.tracing import current_trace, name_span
from utils import log_text
from utils.request_context import REFUSED, accept_request_id, request_id, trace_ids
from utils.routing import route_template

Header = tuple[bytes, bytes]

CLIENT_GONE = 499  # nginx's number for a client that did not wait for the answer

# WebSocket close codes, RFC 6455 section 7.4.1
NORMAL, NO_CODE, ABNORMAL, CRASHED = 1000, 1005, 1006, 1011


class RequestMiddleware:
    """The outermost layer; plain ASGI, because every request pays for it."""

    def __init__(self, app: ASGIApp, headers: Sequence[Header] = (), *, tracing: bool = False) -> None:
        self._app = app
        self.tracing = tracing
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
        outer_trace = trace_ids.set(current_trace()) if self.tracing else None
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
        if outer_trace:
            trace_ids.reset(outer_trace)

    def complete(self, headers: Iterable[Header], id_: str) -> list[Header]:
        """The answer's headers and ours; an answer's own security header wins, its request id does not."""
        headers = list(headers)
        names = {name for name, _ in headers}
        ours: Iterable[Header] = self._headers
        if not self._names.isdisjoint(names):
            headers = [header for header in headers if header[0] != b"x-request-id"]
            ours = [header for header in ours if header[0] not in names]
        return [*headers, *ours, *self.ids(id_)]

    def ids(self, id_: str) -> list[Header]:
        """By which the log and the traces know this request."""
        ids = [(b"x-request-id", id_.encode("ascii"))]
        if self.tracing and (trace := trace_ids.get()):
            ids.append((b"traceresponse", trace.header))
        return ids


class Exchange:
    """One request under way: what its access line and the metrics will tell.

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
        """Count it and write the line, once; `status` is for a request that has no status of its own."""
        if not self._finished:
            self._finished = True
            status = self._status or status
            seconds = perf_counter() - self._started
            self._count(status, seconds)
            self._log(self._scope.get("method", "WS"), status, seconds)

    @abstractmethod
    def _count(self, status: int, seconds: float) -> None:
        """Tell the metrics."""

    def _log(self, method: str, status: int, seconds: float) -> None:
        size = 0 if method == "HEAD" else self._size
        log_access(method, _target(self._scope), status, seconds, size, _client(self._scope), self._id)

    def _with_headers(self, message: Message) -> Message:
        return {**message, "headers": self._middleware.complete(message.get("headers", ()), self._id)}


class HttpExchange(Exchange):
    """An HTTP request and its answer; the line is written when the last byte leaves, before background tasks."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        traffic.requests += 1

    def _count(self, status: int, seconds: float) -> None:
        traffic.requests -= 1
        method, route = self._scope["method"], route_template(self._scope)
        traffic.answered(method, route or OTHER, status, seconds)
        if self._middleware.tracing and route and "endpoint" not in self._scope:  # a ready answer: FastAPI saw no route
            name_span(method, route)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._status:
            self._status = self._scope["state"].get(REFUSED, CLIENT_GONE)
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

    @property
    def _is_open(self) -> bool:
        return self.crashed == CRASHED

    def _count(self, status: int, _: float) -> None:
        traffic.sockets -= self._is_open
        traffic.closed(route_template(self._scope) or OTHER, status)

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
            message = {**message, "headers": [*message.get("headers", ()), *self._middleware.ids(self._id)]}
            traffic.sockets += 1
            self._log("WS", 101, perf_counter() - self._started)
        elif kind == "websocket.close":
            self._status = self._status or (message.get("code", NORMAL) if self._is_open else 403)
        elif kind == "websocket.http.response.start":
            self._status = message["status"]
            message = self._with_headers(message)
        return self._send(message)


def _sent_id(headers: Iterable[Header]) -> bytes | None:
    for name, value in headers:
        if name == b"x-request-id":
            return value
    return None


def _target(scope: Scope) -> str:
    path = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
    return log_text.target(path, scope.get("query_string", b""))


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return log_text.escape(client[0]) if client else "-"
