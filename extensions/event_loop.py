"""uvloop, with new connections that need not wait for a busy loop.

libuv takes in one new connection a turn of the loop. When a turn takes 0.1 s, because a hundred requests are answered
in it, new clients wait for seconds, and health checks with them, while the others are served: decision 12.
"""

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

import uvloop

SECONDS_FOR_ONE = 0.0005  # of waiting: an idle loop still takes one, so that the workers share what comes
MAX_AT_ONCE = 100

ProtocolFactory = Callable[[], asyncio.Protocol]


class EventLoop(uvloop.Loop):
    """Give it to uvicorn as `loop`."""

    async def create_server(self, protocol_factory: ProtocolFactory, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """As always, but behind each connection comes in what came while the loop was busy."""
        door = Door(self, protocol_factory, options.get("ssl"))
        door.server = server = await super().create_server(door.enter, *args, **options)
        return server


class Door:
    """Where the connections of one server come in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol_factory: ProtocolFactory, ssl: Any) -> None:
        self.server: Any = None  # of uvloop, like asyncio.Server
        self._loop = loop
        self._make_protocol: Callable[[], Any] = protocol_factory
        self._ssl = ssl
        self._expected = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def enter(self) -> Any:
        """The protocol of a connection; behind the tasks that are due now, others are let in."""
        if not self._expected:
            self._expected = True
            self._loop.call_soon(self._let_others_in, monotonic())
        return self._make_protocol()

    def _let_others_in(self, since: float) -> None:
        self._expected = False
        number = min(int((monotonic() - since) / SECONDS_FOR_ONE), MAX_AT_ONCE)
        if number and self.server:
            for listening in self.server.sockets:  # none any more when it was closed
                self._accept(listening, number)

    def _accept(self, listening: Any, number: int) -> None:
        """Take so many connections from a socket, which stays the server's own."""
        door = socket.socket(listening.family, listening.type, listening.proto, fileno=listening.fileno())
        try:
            for _ in range(number):
                connection, _address = door.accept()
                connection.setblocking(False)
                task = self._loop.create_task(self._connect(connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except OSError:  # nobody waits, or we have no room, which the server itself is told too
            return
        finally:
            door.detach()

    async def _connect(self, connection: socket.socket) -> None:
        try:
            _, protocol = await self._loop.connect_accepted_socket(self._make_protocol, connection, ssl=self._ssl)
        except OSError:  # it has gone
            connection.close()
            return
        if not self.server.sockets:  # closed meanwhile: uvicorn has told its other connections
            protocol.shutdown()
