"""Where frames leave: one outlet for each socket, bounded in bytes, never waiting for a client that is slow."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from api.websocketdemo import metrics
from extensions.websocket_server import EXTENSION, FrameWriter, text_frames

TRY_AGAIN_LATER = 1013  # RFC 6455's registry: too slow, or not ready


class Batch:
    """Frames of a room in their order, framed once for everybody; `first_id` is 0 when they are no messages."""

    __slots__ = ("first_id", "framed", "payloads")

    def __init__(self, payloads: list[bytes], first_id: int = 0) -> None:
        self.payloads = payloads
        self.first_id = first_id
        self.framed = text_frames(payloads)  # as they go over the wire


class Outlet(Protocol):
    """Takes what a room says."""

    def deliver(self, batch: Batch) -> None:
        """Send, without waiting; a client for whom too much waits is closed with 1013."""

    def close(self, code: int) -> None:
        """Close behind what was delivered."""

    def waiting(self) -> int:
        """How many bytes wait to be sent."""

    async def drained(self) -> None:
        """Wait until little waits to be sent."""


class FrameOutlet:
    """On our own server: frames go to the connection's buffer as they are, whose size is the bound."""

    __slots__ = ("_closed", "_is_closing", "_max_waiting", "_write", "_writer", "waiting")

    def __init__(self, writer: FrameWriter, max_waiting: int) -> None:
        self._writer = writer
        self._max_waiting = max_waiting
        self._closed = False
        # Bound once: this is where a chat's time goes.
        self._write = writer.transport.write
        self.waiting = writer.transport.get_write_buffer_size
        self._is_closing = writer.transport.is_closing

    def deliver(self, batch: Batch) -> None:
        if self._closed or self._is_closing():
            return
        self._write(batch.framed)
        if self.waiting() > self._max_waiting:
            metrics.too_slow.inc()
            self.close(TRY_AGAIN_LATER)

    def close(self, code: int) -> None:
        self._closed = True
        self._writer.close_now(code)

    async def drained(self) -> None:
        await self._writer.drained()


class PlainOutlet:
    """On any other server: a queue, and a task that empties it as long as there is something in it."""

    def __init__(self, socket: WebSocket, max_waiting: int) -> None:
        self._socket = socket
        self._max_waiting = max_waiting
        self._queue: deque[bytes | int] = deque()  # frames, and at the end perhaps the code to close with
        self._waiting = 0
        self._closing = False
        self._sender: asyncio.Task[None] | None = None

    def deliver(self, batch: Batch) -> None:
        self._put(*batch.payloads)
        if self._waiting > self._max_waiting and not self._closing:
            metrics.too_slow.inc()
            self._queue.clear()
            self.close(TRY_AGAIN_LATER)

    def close(self, code: int) -> None:
        self._put(code)
        self._closing = True

    def waiting(self) -> int:
        return self._waiting

    async def drained(self) -> None:
        while self._sender:
            await asyncio.wait([self._sender])

    def _put(self, *items: bytes | int) -> None:
        if self._closing:
            return
        self._queue.extend(items)
        self._waiting += sum(len(item) for item in items if isinstance(item, bytes))
        self._sender = self._sender or asyncio.create_task(self._send())

    async def _send(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # it has gone: who reads from it learns it
            while self._queue:
                item = self._queue.popleft()
                if isinstance(item, int):
                    await self._socket.close(item)
                else:
                    await self._socket.send_text(item.decode())
                    self._waiting -= len(item)
        self._sender = None


def open_outlet(socket: WebSocket, max_waiting: int) -> Outlet:
    """The quickest way to send to this socket; `max_waiting` in bytes."""
    writer: FrameWriter | None = socket.scope.get("extensions", {}).get(EXTENSION)
    return FrameOutlet(writer, max_waiting) if writer else PlainOutlet(socket, max_waiting)
