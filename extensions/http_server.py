"""The HTTP side of uvicorn, with what it leaves to a proxy in front: bounds of time, and an end that drops nothing.

Give it to uvicorn as `http`. Behind another server the service works too: without these bounds.
"""

from asyncio import TimerHandle, Transport
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from utils.custom_exc import BadRequest, HeadersTooLarge, NotReady, RequestTimeout, ServiceError
from utils.exception_handlers import answer_error
from utils.request_context import ON_STOP, RECEIVED, new_request_id

MAX_HEADERS = 100
MAX_HEAD_BYTES = 64 * 1024  # of a head that does not come all at once
HEAD_SECONDS = 30.0  # for the request line and the headers
REQUEST_SECONDS = 300.0  # for all of a request: 10 MiB at 35 kB/s
CHECK_SECONDS = 5.0  # between two looks whether these are over
LINGER_SECONDS = 1.0  # for a request that was sent while the service began to stop

NOT_HTTP = "This is not a valid HTTP request."
ONE_HOST = "A request has exactly one Host header."


class HttpProtocol(HttpToolsProtocol):
    """One connection of an HTTP/1.1 client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving_since: float | None = None
        self._has_head = False
        self._head_bytes = 0
        self._error: ServiceError = BadRequest(NOT_HTTP)
        self._stopping = False
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._arriving_since = monotonic()
        self._look_at_the_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_the_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._has_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arriving_since = monotonic()
        self._has_head = False
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._check_head()
        super().on_headers_complete()
        self._has_head = True
        if self._stopping and not self._is_idle():
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._arriving_since = None

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

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._error)

    def _check_head(self) -> None:
        """Raise what the parser turns into an end of the connection, and the answer is `_error` then."""
        if len(self.headers) > MAX_HEADERS:
            self._error = HeadersTooLarge()
            raise self._error
        if [name for name, _ in self.headers].count(b"host") != 1 and self.parser.get_http_version() == "1.1":
            self._error = BadRequest(ONE_HOST)  # RFC 9112, section 3.2
            raise self._error

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.scope["state"][RECEIVED] = monotonic()
        super()._start_asgi_task(cycle, app)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _look_at_the_time(self) -> None:
        self._timer = self.loop.call_later(CHECK_SECONDS, self._look_at_the_time)
        limit = REQUEST_SECONDS if self._has_head else HEAD_SECONDS
        if self._arriving_since is not None and monotonic() - self._arriving_since > limit:
            self._time_out()

    def _forget_the_time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        """End a connection whose request does not arrive; one on which nothing was said is closed without an answer."""
        answerable = not self.cycle.response_started if self._has_head else self._is_idle() and self.headers is not None
        if answerable:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()

    def _refuse(self, error: ServiceError) -> None:
        """Answer without the application, and close."""
        response = answer_error(error)
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", new_request_id().encode("ascii")),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"".join((STATUS_LINE[error.status_code], head, b"\r\n", bytes(response.body))))
        self.transport.close()
