"""What the chat promises, kept while real processes are killed, stopped and restarted, with real sockets on them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chat_clients import (
    Member,
    everybody_has,
    everybody_hears,
    everybody_notices,
    history_of,
    left,
    members_become,
    nothing_acknowledged_is_lost,
    together,
    within,
)
from tests.support.chat_processes import chat_environment, chats
from tests.support.databases import only_sqlite
from tests.support.processes import LOOK_SECONDS, PATIENCE, ROOT, Process, needs_proc, open_sockets, wait_until
from tests.support.redis_servers import own_redis, redis_space

NOT_STORED = 50311
RESTARTED = 1012

pytestmark = [
    pytest.mark.faults,
    pytest.mark.anyio,
    pytest.mark.slow,
]  # anyio leaves tests that are no coroutines alone


@pytest.fixture
def broker_url() -> Iterator[str]:
    """A part of Redis that only this test uses."""
    with redis_space() as url:
        yield url


@pytest.fixture
def four(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[list[Process]]:
    """Four workers that have nothing in common but database and Redis."""
    with chats(4, database_url, broker_url, tmp_path) as processes:
        yield processes


def crowd(number: int, processes: list[Process], room: str = "crowd") -> list[Member]:
    """So many people, the same number on each process; each would come back through the next one."""
    count = len(processes)
    turns = [processes[index:] + processes[:index] for index in range(count)]
    return [Member(f"m{index}", room, turns[index % count]) for index in range(number)]


async def say_all(member: Member, number: int) -> None:
    """One after the other, each when the last is acknowledged; what a broken connection swallowed is not said again."""
    for _ in range(number):
        if not member.has_ended:
            await member.say()


@pytest.mark.redis
async def test_everybody_on_every_worker_hears_everybody(four: list[Process]) -> None:
    people = crowd(200, four)
    async with together(people):
        await within(PATIENCE, *(say_all(one, 1) for one in people))
        await everybody_hears(people, len(people))
        history = await history_of(four[0], "crowd")
        assert await history_of(four[3], "crowd") == history
    assert [len(one.acks) for one in people] == [1] * len(people)
    everybody_has(history, people)
    nothing_acknowledged_is_lost(history, people)


@pytest.mark.redis
async def test_kill_9_of_a_worker_loses_nothing(four: list[Process]) -> None:
    """Those on it come back elsewhere; those who do not are told to have left, a few seconds later."""
    people = crowd(200, four)
    away = [one for one in people[2::4] if one in people[-20:]]
    for one in away:
        one.comes_back = False
    staying = [one for one in people if one not in away]
    async with together(people):
        speaking = asyncio.create_task(within(2 * PATIENCE, *(say_all(one, 6) for one in staying[:40])))
        await within(PATIENCE, people[0].hears(60))
        four[2].kill()
        await speaking
        history = await history_of(four[0], "crowd")
        await everybody_hears(staying, len(history))
        gone = {one.name for one in away}
        await everybody_notices(staying, gone)
        await members_become(four[1], "crowd", {one.name: 1 for one in staying})
    assert {len(one.closed_with) for one in people[2::4]} == {1}
    assert len(history) >= sum(len(one.acks) for one in people) >= 200
    everybody_has(history, staying)
    nothing_acknowledged_is_lost(history, people)
    assert [one.name for one in staying if left(one) != dict.fromkeys(gone, 1)] == []


@needs_proc
@only_sqlite
@pytest.mark.redis
async def test_workers_of_one_port_are_replaced(database_url: str, broker_url: str, tmp_path: Path) -> None:
    """uvicorn starts a new worker for a killed one, and passes SIGTERM on to all."""
    options = ("--workers", "4")
    with chats(1, database_url, broker_url, tmp_path, *options, APP_LOG_LEVEL="INFO") as (server,):
        wait_until(lambda: server.said().count("startup complete") == 4, PATIENCE, "not all of them start")
        people = crowd(40, [server])
        async with together(people):
            await within(PATIENCE, *(say_all(one, 1) for one in people))
            speaking = asyncio.create_task(within(2 * PATIENCE, *(say_all(one, 5) for one in people[:20])))
            await within(PATIENCE, people[0].hears(60))
            os.kill(max(server.worker_pids(), key=open_sockets), signal.SIGKILL)
            await speaking
            await within(PATIENCE, asyncio.to_thread(_is_replaced, server))
            await within(PATIENCE, *(one.entered() for one in people))
            history = await history_of(server, "crowd")
            await everybody_hears(people, len(history))
            for one in people:
                one.comes_back = False
            server.terminate()
            await within(PATIENCE, *(one.disconnected() for one in people))
    everybody_has(history, people)
    nothing_acknowledged_is_lost(history, people)
    assert {one.closed_with[-1] for one in people} == {RESTARTED}
    assert 10 <= sum(len(one.closed_with) - 1 for one in people) < 40  # who was on the killed one
    assert server.wait() == 0


def _is_replaced(server: Process) -> None:
    wait_until(lambda: server.said().count("startup complete") == 5, PATIENCE, "no new worker was started")


@only_sqlite
@pytest.mark.redis
async def test_redis_may_be_killed_and_come_back(database_url: str, tmp_path: Path) -> None:
    with (
        own_redis() as redis,
        chats(4, database_url, redis.url, tmp_path, APP_CHAT_MESSAGES_PER_SECOND="1000000") as four,
    ):
        people = crowd(40, four)
        async with together(people):
            speaking = asyncio.create_task(within(PATIENCE, *(_speak_until_refused(one) for one in people)))
            await within(PATIENCE, people[0].hears(100))
            redis.kill()
            await speaking
            redis.start()
            await everybody_hears(people, len(await history_of(four[0], "crowd")))  # what was stored and told to few
            await within(PATIENCE, *(_speak_until_stored(one) for one in people))
            history = await history_of(four[0], "crowd")
            await everybody_hears(people, len(history))
            await members_become(four[1], "crowd", {one.name: 1 for one in people})
            assert [one.closed_with for one in people] == [[]] * len(people)
    everybody_has(history, people)
    nothing_acknowledged_is_lost(history, people)
    assert {code for one in people for code in one.refusals.values()} == {NOT_STORED}


async def _speak_until_refused(member: Member) -> None:
    while await member.say():
        pass


async def _speak_until_stored(member: Member) -> None:
    while True:
        if await member.say():
            return
        await asyncio.sleep(LOOK_SECONDS)


@only_sqlite
@pytest.mark.redis
async def test_all_who_came_and_left_were_told_and_are_gone(database_url: str, broker_url: str, tmp_path: Path) -> None:
    """A thousand of them, on two workers; every second one without a word."""
    with chats(2, database_url, broker_url, tmp_path) as two:
        watchers = crowd(2, two, "door")
        guests = [Member(f"g{index}", "door", [two[index % 2]], comes_back=False) for index in range(1000)]
        async with together(watchers):
            for start in range(0, len(guests), 100):
                await within(PATIENCE, *(_come_and_go(one) for one in guests[start : start + 100]))
            await everybody_notices(watchers, {one.name for one in guests})
            await members_become(two[0], "door", {one.name: 1 for one in watchers})
        await members_become(two[1], "door", {})
    for one in watchers:
        assert left(one) == {guest.name: 1 for guest in guests}


async def _come_and_go(guest: Member) -> None:
    async with together([guest]):
        if int(guest.name[1:]) % 2:
            guest.vanish()


@only_sqlite
async def test_sigterm_closes_all_sockets_and_loses_nothing(database_url: str, tmp_path: Path) -> None:
    with chats(1, database_url, "memory://", tmp_path) as (server,):
        people = crowd(500, [server])
        async with together(people):
            for one in people:
                one.comes_back = False
            speaking = asyncio.create_task(within(PATIENCE, *(say_all(one, 1000) for one in people[:5])))
            await within(PATIENCE, people[0].hears(20))
            server.terminate()
            assert await asyncio.to_thread(server.wait) == 0
            await within(PATIENCE, *(one.disconnected() for one in people))
            await speaking
        assert {tuple(one.closed_with) for one in people} == {(RESTARTED,)}
    with chats(1, database_url, "memory://", tmp_path) as (again,):
        history = await history_of(again, "crowd")
    nothing_acknowledged_is_lost(history, people)
    assert len(history) >= sum(len(one.acks) for one in people) >= 20
    assert [one.name for one in people if one.heard != history[: len(one.heard)]] == []


@only_sqlite
def test_several_workers_on_memory_are_refused(database_url: str) -> None:
    command = [sys.executable, "main.py", "serve", "--workers", "2", "--port", "0"]
    environment = chat_environment(database_url, "memory://")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "set APP_BROKER_URL=redis://" in done.stdout + done.stderr
