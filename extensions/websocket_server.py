"""The WebSocket side of uvicorn: frames that are bytes already, a bound for what waits, refusals in the envelope.

The way for frames is offered to the application in the scope's extensions as `EXTENSION`. Who finds none there
(another server, a test client) sends by ASGI: the same frames, slower.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidHeader, InvalidMessage
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from extensions.logger import log_access
from extensions.metrics import OTHER, traffic
from utils import log_text
from utils.exception_handlers import answer_error, error_of_status
from utils.request_context import accept_request_id, new_request_id

EXTENSION = "myfastapi.frames"
CLOSE_SECONDS = 5.0  # how long a client may take to answer our close before the connection is cut

VERSION_HEADER = "Sec-WebSocket-Version"
NO_HANDSHAKE = "This is not a valid WebSocket handshake."
BAD_HEADER = "This is not a valid WebSocket handshake: look at its header {}."


class FrameWriter(Protocol):
    """The extension in the scope."""

    transport: asyncio.Transport
    """Takes whole frames, as long as nothing was closed; its write buffer is what waits to be sent."""

    def close_now(self, code: int) -> None:
        """Send a close frame behind whatever waits, and cut the connection when the client does not read it soon."""

    async def drained(self) -> None:
        """Wait until little waits to be sent."""


def text_frame(payload: bytes) -> bytes:
    """A whole unmasked text frame, RFC 6455 section 5.2."""
    length = len(payload)
    if length < 126:
        return b"\x81%c%b" % (length, payload)
    if length < 65536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), payload)


def text_frames(payloads: Iterable[bytes]) -> bytes:
    """All as one piece, to be written at once."""
    return b"".join(map(text_frame, payloads))


class Handshake(ServerProtocol):
    """The library's side of a connection, which refuses as the rest of the service does."""

    request_id = ""

    def reject(self, status: StatusLike, text: str) -> Response:
        """Answer in the envelope, without `text`: it repeats what the client sent, a token perhaps."""
        bad = self.handshake_exc.name if isinstance(self.handshake_exc, InvalidHeader) else None
        message = NO_HANDSHAKE if status == HTTPStatus.BAD_REQUEST else ""
        answer = answer_error(error_of_status(status, BAD_HEADER.format(bad) if bad else message))
        response = super().reject(status, "")
        response.body = bytes(answer.body)
        del response.headers["Content-Type"], response.headers["Content-Length"]
        for name, value in answer.raw_headers:
            response.headers[name.decode()] = value.decode()
        self.request_id = self.request_id or new_request_id()
        response.headers["X-Request-ID"] = self.request_id
        if bad == VERSION_HEADER:
            response.headers[VERSION_HEADER] = "13"  # RFC 6455, section 4.4
        return response


class FrameProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with `FrameWriter`; give it to uvicorn as `ws`. It never compresses."""

    conn: Handshake

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = Handshake(max_size=self.config.ws_max_size, logger=self.logger)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc:
            self._refuse_unread()

    def _refuse_unread(self) -> None:
        """Answer what the library could not read (a line of 8 KiB, say): uvicorn would leave it open for ever."""
        is_other = isinstance(self.conn.handshake_exc, InvalidMessage)
        status = HTTPStatus.BAD_REQUEST if is_other else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self.transport.write(self.conn.reject(status, "").serialize())
        self._log("-", status)
        self.handshake_complete = self.close_sent = True
        self.transport.close()

    def handle_connect(self, event: Request) -> None:
        if sent := event.headers.get_all("X-Request-ID"):
            self.conn.request_id = accept_request_id(sent[0].encode())
        super().handle_connect(event)
        if self.handshake_complete:  # it was refused, and there is no scope
            self._log(event.path, self.response.status_code)
            return
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[EXTENSION] = self

    def _log(self, address: str, status: int) -> None:
        """Count and log a handshake that the application does not see."""
        path, _, query = address.encode().partition(b"?")
        client = self.client[0] if self.client else "-"
        traffic.closed(OTHER, status)
        log_access("WS", log_text.target(path, query), status, 0.0, 0, client, self.conn.request_id)

    async def send(self, message: Any) -> None:
        """Tidy up behind the handshake.

        uvicorn calls a refusal with an HTTP answer an error unless told that it completes the handshake, and keeps
        what only the handshake needs for as long as the socket lives (3 KB).
        """
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response
        elif message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def close_now(self, code: int) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        self.conn.send_close(code)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
        if self.read_paused:  # its answer has to be read
            self.read_paused = False
            self.transport.resume_reading()

    async def drained(self) -> None:
        await self.writable.wait()

    def keepalive_timeout(self) -> None:
        """Cut the connection: a client that answers no ping does not read what waits for it either."""
        super().keepalive_timeout()
        if self.transport.is_closing():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.transport.abort)

    def shutdown(self) -> None:
        """Do not wait for clients that do not read."""
        super().shutdown()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.transport.abort)
