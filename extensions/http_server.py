"""The HTTP side of uvicorn, with what it leaves to a proxy in front: bounds of time, and an end that drops nothing.

Give it to uvicorn as `http`. Behind another server the service works too: without these bounds.
"""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Iterable
from time import monotonic
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from extensions.logger import log_access
from extensions.metrics import OTHER, traffic
from utils import log_text
from utils.custom_exc import BadRequest, HeadersTooLarge, NotReady, RequestTimeout, ServiceError
from utils.exception_handlers import answer_error
from utils.request_context import ON_STOP, RECEIVED, REFUSED, accept_request_id

MAX_HEADERS = 100
MAX_HEAD_BYTES = 64 * 1024  # of a head, or of trailers, that do not come all at once
HEAD_SECONDS = 30.0  # for the request line and the headers
REQUEST_SECONDS = 300.0  # for all of a request: 10 MiB at 35 kB/s
UNREAD_SECONDS = 120.0  # in which a client reads nothing of what waits for it
CHECK_SECONDS = 5.0  # between two looks whether these are over
LINGER_SECONDS = 1.0  # for a request that was sent while the service began to stop

NOT_HTTP = "This is not a valid HTTP request."
ONE_HOST = "A request has exactly one Host header."
NO_BODY = "A request to open a WebSocket has no body."


class AnswerWriter:
    """Writes the head of an answer together with what follows in the same turn: a write takes 6 to 12 µs."""

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """As a transport's."""
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """As a transport's."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """As a transport's."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""


class HttpProtocol(HttpToolsProtocol):
    """One connection of an HTTP/1.1 client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope, self.headers, self.url = {}, [], b""  # type: ignore[typeddict-item]  # None at first, in uvicorn
        self._arriving_since: float | None = None
        self._is_silent = True  # nothing was ever said
        self._has_head = False
        self._unparsed_bytes = 0  # since the parser last found the end of something
        self._unread_bytes = 0
        self._reading_since = 0.0
        self._error: ServiceError = BadRequest(NOT_HTTP)
        self._stopping = False
        self._begun: Any = None  # the cycle that was started last; others wait in the pipeline
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._writer = AnswerWriter(transport, self.loop)
        self._arriving_since = self._reading_since = monotonic()
        self._look_at_the_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_the_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unparsed_bytes += len(data)
        try:
            while data:
                data = self._parse(data)
        except httptools.HttpParserError:
            self._refuse(self._error)
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._arriving_since = monotonic()
        self._is_silent = self._has_head = False
        self._unparsed_bytes = 0

    def on_headers_complete(self) -> None:
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self._check_head()
        if self._is_other_upgrade():
            return
        super().on_headers_complete()
        self._has_head = True
        self._unparsed_bytes = 0
        if not self.parser.should_upgrade():
            self.headers = []  # what comes from now on are trailers, which are no headers (RFC 9110, section 6.5.1)
        if self._stopping and not self._is_idle():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._unparsed_bytes = 0

    def on_message_complete(self) -> None:
        if self._is_other_upgrade():
            return
        super().on_message_complete()
        self._arriving_since = None
        self._unparsed_bytes = 0

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading_since = monotonic()

    def handle_websocket_upgrade(self) -> None:
        if self._stopping:
            self._refuse(NotReady("This worker stops; connect again."))
            return
        self._forget_the_time()  # the connection is another protocol's from now on
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """Let a connection without a request linger: the client may have sent one that we have not read yet."""
        self._stopping = True
        if self._is_idle():
            self.loop.call_later(LINGER_SECONDS, self._close_if_idle)
        else:
            self.cycle.keep_alive = False
            if end := self.cycle.scope["state"].get(ON_STOP):  # of an answer that has no end of its own
                end()

    def _check_head(self) -> None:
        """Raise what the parser turns into an end of the connection, and the answer is `_error` then."""
        names = [name for name, _ in self.headers]
        if len(names) > MAX_HEADERS:
            self._error = HeadersTooLarge()
        elif names.count(b"host") != 1 and self.parser.get_http_version() == "1.1":
            self._error = BadRequest(ONE_HOST)  # RFC 9112, section 3.2
        elif self.parser.should_upgrade() and self._should_upgrade() and _has_body(self.headers):
            self._error = BadRequest(NO_BODY)  # the handshake would wait for it
        else:
            return
        raise self._error

    def _parse(self, data: bytes) -> bytes:
        """Returns what is to be parsed anew."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._should_upgrade():
                return self._without_upgrade() + data[upgrade.args[0] :]
            self.handle_websocket_upgrade()
        return b""

    def _is_other_upgrade(self) -> bool:
        """Whether the request asks for a protocol that we do not speak: it is read as if it did not (RFC 9110, 7.8)."""
        return bool(self.parser.should_upgrade() and self._get_upgrade()) and not self._should_upgrade()

    def _without_upgrade(self) -> bytes:
        """The head for another parser: this one takes all that follows for the other protocol's."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        lines = [f"{self.scope['method']} ".encode("ascii") + self.url + b" HTTP/1.1"]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join((*lines, b"", b""))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._begun = cycle
        cycle.transport = self._writer
        self._unset_keepalive_if_required()
        cycle.scope["state"][RECEIVED] = monotonic()
        super()._start_asgi_task(cycle, app)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _look_at_the_time(self) -> None:
        self._timer = self.loop.call_later(CHECK_SECONDS, self._look_at_the_time)
        now = monotonic()
        limit = REQUEST_SECONDS if self._has_head else HEAD_SECONDS
        if self._arriving_since is not None and now - self._arriving_since > limit:
            self._time_out()
        unread = self.transport.get_write_buffer_size()
        if not unread or unread < self._unread_bytes:
            self._reading_since = now
        elif now - self._reading_since > UNREAD_SECONDS:
            self.transport.abort()
        self._unread_bytes = unread

    def _forget_the_time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        """End a connection whose request does not arrive; one on which nothing was said is closed without an answer."""
        if self._is_silent:
            self.transport.close()
        else:
            self._refuse(RequestTimeout())

    def _refuse(self, error: ServiceError) -> None:
        """Read no further: answer in place of the application, unless others are answered yet, and close."""
        is_under_way = self._has_head and self._arriving_since is not None
        if is_under_way and self.pipeline:  # it has not begun
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self._begun
            is_under_way = False
        if is_under_way and self.cycle.response_started:
            self.transport.close()
        elif is_under_way:
            self._answer(error, self._disconnect(error.status_code))
        elif self._is_idle():
            self._answer(error, self._log(error.status_code))
        else:
            self.cycle.keep_alive = False
        self._arriving_since = None

    def _answer(self, error: ServiceError, id_: str) -> None:
        response = answer_error(error)
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", id_.encode("ascii")),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"".join((STATUS_LINE[error.status_code], head, b"\r\n", bytes(response.body))))
        self.transport.close()

    def _disconnect(self, status: int) -> str:
        """Let the application know, which will log it; returns the request's id."""
        state = self.cycle.scope["state"]
        state[REFUSED] = status
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        id_: str | None = state.get("request_id")
        if id_ is None:  # the application has not begun, and will take this one
            id_ = self._sent_id()
            self.scope["headers"] = [(b"x-request-id", id_.encode("ascii")), *self.scope["headers"]]
        return id_

    def _sent_id(self) -> str:
        return accept_request_id(dict(self.scope.get("headers", ())).get(b"x-request-id"))

    def _log(self, status: int) -> str:
        """Count and log a request that the application will not see; returns its id."""
        id_ = self._sent_id()
        method = self.scope.get("method", "-")
        path, _, query = (self.url or b"-").partition(b"?")
        client = log_text.escape(self.client[0]) if self.client else "-"
        seconds = 0.0 if self._arriving_since is None else monotonic() - self._arriving_since
        traffic.answered(method, OTHER, status, seconds)
        log_access(method, log_text.target(path, query), status, seconds, 0, client, id_)
        return id_


def _has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)
