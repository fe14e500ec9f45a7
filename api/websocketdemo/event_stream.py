"""A room for a client that only listens: frames as Server-Sent Events."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from fastapi.sse import ServerSentEvent

from api.websocketdemo import metrics
from api.websocketdemo.outlets import Batch


class EventStream:
    """An outlet that is read as a stream; it ends when more waits than may, and the client comes back for the rest."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting = 0
        self._queue: deque[tuple[int, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._is_read = False
        self._closed = False

    def deliver(self, batch: Batch) -> None:
        if self._closed:
            return
        for number, payload in enumerate(batch.payloads):
            self._queue.append((batch.first_id + number if batch.first_id else 0, payload))
            self._waiting += len(payload)
        if self._waiting > self._max_waiting:
            metrics.too_slow.inc()
            self.close()
        self._arrived.set()

    def close(self, code: int = 0) -> None:
        self._closed = True
        self._arrived.set()
        self._taken.set()

    def waiting(self) -> int:
        return self._waiting

    async def drained(self) -> None:
        """Wait until all was taken; not before somebody reads: the answer begins behind what was missed."""
        while self._queue and self._is_read and not self._closed:
            self._taken.clear()
            await self._taken.wait()

    async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        self._is_read = True
        while True:
            while self._queue:
                id_, payload = self._queue.popleft()
                self._waiting -= len(payload)
                yield ServerSentEvent(raw_data=payload.decode(), id=str(id_) if id_ else None)
            self._taken.set()
            if self._closed:  # perhaps while the client took the last one
                return
            self._arrived.clear()
            await self._arrived.wait()
