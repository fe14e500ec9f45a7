"""What bad clients, and many clients, cost the others and the server: nothing that stays."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.chat_clients import (
    Member,
    everybody_has,
    everybody_notices,
    history_of,
    members_become,
    nobody_waits,
    together,
    within,
)
from tests.support.chat_processes import chats
from tests.support.databases import only_sqlite
from tests.support.processes import PATIENCE, Process, needs_proc, wait_until
from tests.support.raw_sockets import Deaf, come_and_go

MEBIBYTE = 1024 * 1024
BOUND = 65536  # what may wait for one client
TOO_SLOW = b"\x88\x02" + (1013).to_bytes(2, "big")  # a close frame
AT_ONCE = 2.0  # seconds; a stalled chat takes for ever

pytestmark = [pytest.mark.faults, pytest.mark.anyio, pytest.mark.slow, needs_proc, only_sqlite]


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Process]:
    """One that lets everybody send as fast as they can."""
    fast = {"APP_CHAT_MESSAGES_PER_SECOND": "1000000", "APP_CHAT_OUTBOUND_BYTES": str(BOUND)}
    with chats(1, database_url, "memory://", tmp_path, **fast) as (process,):
        yield process


@contextmanager
def deaf_people(number: int, server: Process) -> Iterator[dict[str, Deaf]]:
    with ExitStack() as stack:
        people = {f"deaf{index}": Deaf(server, f"/websocketdemo/ws/crowd/deaf{index}") for index in range(number)}
        for one in people.values():
            stack.callback(one.close)
        yield people


async def test_who_never_reads_is_cut_and_costs_the_others_nothing(server: Process) -> None:
    people = [Member(f"m{index}", "crowd", [server]) for index in range(5)]
    async with together(people):
        memory, sockets = server.memory(), server.open_sockets()
        with deaf_people(20, server) as deaf:
            everybody = {one.name: 1 for one in people} | dict.fromkeys(deaf, 1)
            await members_become(server, "crowd", everybody)
            await nobody_waits(people[0], people, 500, AT_ONCE)
            grown = server.memory() - memory
            await everybody_notices(people, set(deaf))
            awake = await asyncio.gather(*(asyncio.to_thread(one.wake_up) for one in list(deaf.values())[:4]))
            assert [data[-4:] for data in awake] == [TOO_SLOW] * 4
            await _sockets_become(server, sockets)  # those of who sleeps on are closed too
        history = await history_of(server, "crowd")
    everybody_has(history, people)
    assert len(history) == 500
    assert grown < 20 * BOUND + 8 * MEBIBYTE


async def test_memory_comes_back_after_ten_thousand_connections(server: Process) -> None:
    sockets = server.open_sockets()
    await _visits(server, 2_000)
    await _sockets_become(server, sockets)
    warm = server.memory()
    await _visits(server, 10_000)
    await _sockets_become(server, sockets)
    await members_become(server, "door", {})
    assert server.memory() < 1.1 * warm + 8 * MEBIBYTE


async def _sockets_become(server: Process, number: int) -> None:
    await asyncio.to_thread(wait_until, lambda: server.open_sockets() == number, PATIENCE, "sockets stay open")


async def _visits(server: Process, number: int) -> None:
    """By ten at once, under ever new names; every second one leaves without a word."""
    names = iter(range(number))

    async def come() -> None:
        for name in names:
            await come_and_go(server, f"/websocketdemo/ws/door/v{name}", politely=bool(name % 2))

    await within(3 * PATIENCE, *(come() for _ in range(10)))
