"""The WebSocket side of uvicorn with a way for bytes that are frames already, and a bound for what waits to be sent.

Offered to the application in the scope's extensions as `EXTENSION`. Who finds none there (another server, a test
client) sends by ASGI: the same frames, slower.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

EXTENSION = "myfastapi.frames"
CLOSE_SECONDS = 5.0  # how long a client may take to answer our close before the connection is cut


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


class FrameProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with `FrameWriter`; give it to uvicorn as `ws`, with compression off."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it was refused, and there is no scope
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

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
