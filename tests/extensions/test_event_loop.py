"""New connections while the loop is busy. Turns are counted, not seconds."""

import asyncio
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

if sys.platform == "win32":
    pytest.skip("uvloop does not run on Windows", allow_module_level=True)

from extensions.event_loop import EventLoop

CLIENTS = 30
BUSY_SECONDS = 0.03  # of each turn


class Guest(asyncio.Protocol):
    """A connection that has come in; `shutdown` is how uvicorn tells one that the server stops."""

    def __init__(self, guests: list["Guest"]) -> None:
        self._guests = guests
        self.received = b""
        self.is_told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._guests.append(self)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def shutdown(self) -> None:
        self.is_told = True


@contextmanager
def clients(number: int, address: tuple[str, int]) -> Iterator[list[socket.socket]]:
    connections = [socket.create_connection(address) for _ in range(number)]
    try:
        for connection in connections:
            connection.sendall(b"hello")
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def turns_until(condition: Callable[[], bool], at_most: int) -> int:
    """How many busy turns of the loop it takes."""
    for turn in range(at_most):
        if condition():
            return turn
        time.sleep(BUSY_SECONDS)  # noqa: ASYNC251  # a busy processor is what this is about
        await asyncio.sleep(0)
    return at_most


def run(test: Callable[[list[Guest], asyncio.Server], Awaitable[None]]) -> None:
    async def with_server() -> None:
        guests: list[Guest] = []
        server = await asyncio.get_running_loop().create_server(lambda: Guest(guests), "127.0.0.1", 0)
        try:
            await test(guests, server)
        finally:
            server.close()

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(with_server())


def test_a_busy_loop_lets_all_in_soon() -> None:
    async def test(guests: list[Guest], server: asyncio.Server) -> None:
        with clients(CLIENTS, server.sockets[0].getsockname()):
            turns = await turns_until(lambda: len(guests) == CLIENTS, at_most=CLIENTS - 10)
            assert turns < CLIENTS - 10, f"{len(guests)} came in"
            assert await turns_until(lambda: all(guest.received == b"hello" for guest in guests), 20) < 20

    run(test)


def test_an_idle_loop_lets_all_in() -> None:
    async def test(guests: list[Guest], server: asyncio.Server) -> None:
        with clients(CLIENTS, server.sockets[0].getsockname()):
            async with asyncio.timeout(10):
                while [guest.received for guest in guests] != [b"hello"] * CLIENTS:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    run(test)


def test_nobody_comes_in_after_the_end() -> None:
    async def test(guests: list[Guest], server: asyncio.Server) -> None:
        address = server.sockets[0].getsockname()
        with clients(CLIENTS, address):
            await turns_until(lambda: bool(guests), at_most=20)
            server.close()
            told = list(guests)  # uvicorn tells these
            await turns_until(lambda: False, at_most=5)
            assert all(guest.is_told for guest in guests if guest not in told)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    run(test)
