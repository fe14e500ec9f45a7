"""Requests that leave by the clock, however slowly the answers come: over kept connections, as from a reverse proxy."""

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import uvloop

PATIENCE_SECONDS = 2.0  # a client that waits for longer goes away
CONNECTIONS = 1_000
TURN_SECONDS = 0.005  # what is due in so short a time leaves at once
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass
class Seen:
    """What all clients saw together; seconds from when the request was due until its answer was there."""

    accepted: list[float] = field(default_factory=list)
    counted: int = 0  # accepted, and answered in the time that counts
    refused: int = 0
    failed: int = 0
    given_up: int = 0

    @property
    def sent(self) -> int:
        return len(self.accepted) + self.refused + self.failed + self.given_up


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, clients: "Clients") -> None:
        self._clients = clients
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        self._received = b""
        self._missing = -1  # bytes of the answer that are still to come; -1 before its length is known
        self._status = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due, self._received, self._missing = due, b"", -1
        self._timer = self._clients.loop.call_at(due + PATIENCE_SECONDS, self._give_up)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            length = LENGTH.search(self._received, 0, end + 2)
            assert length is not None, self._received
            self._status = int(self._received[9:12])
            self._missing = end + 4 + int(length[1]) - len(self._received)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.lost(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._clients.seen.failed += 1

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def _finish(self) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None
        self._clients.answered(self, self._status, self._due)

    def _give_up(self) -> None:
        assert self._transport is not None
        self._timer = None
        self._clients.seen.given_up += 1
        self._transport.abort()


class Clients:
    """Sends so many requests a second."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.loop = asyncio.get_running_loop()
        self.seen = Seen()
        self._port = port
        self._requests = requests
        self._idle: deque[Connection] = deque()
        self._ended = False
        self._start = self._end = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, rate: float, seconds: float) -> Seen:
        """Connect, send until so many seconds have counted, and wait for the answers."""
        for _ in range(CONNECTIONS):
            await self._connect()
        start = self.loop.time()
        self._start = start + PATIENCE_SECONDS  # by then it is seen what comes of it
        self._end = self._start + seconds
        number = 0
        while (now := self.loop.time()) < self._end:
            while (due := start + number / rate) <= now:
                number += 1
                self._send_one(due)
            await asyncio.sleep(TURN_SECONDS)
        await asyncio.sleep(PATIENCE_SECONDS + 0.5)
        self._ended = True
        for connection in self._idle:
            connection.close()
        return self.seen

    def _send_one(self, due: float) -> None:
        if self._idle:
            self._idle.popleft().ask(next(self._requests), due)
        else:
            self.seen.given_up += 1

    async def _connect(self) -> None:
        _, connection = await self.loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
        self._idle.append(connection)

    async def _connect_again(self) -> None:
        try:
            await self._connect()
        except OSError:
            self.seen.failed += 1

    def answered(self, connection: Connection, status: int, due: float) -> None:
        if status == 200:
            self.seen.accepted.append(self.loop.time() - due)
            self.seen.counted += self._start <= self.loop.time() < self._end
        elif status in (429, 503):
            self.seen.refused += 1
        else:
            self.seen.failed += 1
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A proxy connects again."""
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._ended:
            task = self.loop.create_task(self._connect_again())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def send(port: int, requests: Iterator[bytes], rate: float, seconds: float) -> Seen:
    """What so many requests a second for so long led to."""

    async def run() -> Seen:
        return await Clients(port, requests).send(rate, seconds)

    return uvloop.run(run())
