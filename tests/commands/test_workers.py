"""Several workers on one port: replaced one after the other, killed or hanging, under a load of requests."""

import asyncio
import os
import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from api.shopdemo.jobs import EXPIRE_ORDERS_SECONDS
from api.shopdemo.schemas import Goods
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.chat_clients import Member, together, within
from tests.support.databases import only_sqlite
from tests.support.processes import (
    FAILURE,
    PATIENCE,
    Gunicorn,
    Process,
    Serve,
    environment_of,
    needs_proc,
    wait_until,
)
from tests.support.redis_servers import redis_space
from tests.support.shopping import buyer
from tests.support.visitors import Visitor, client_ports, many_answers, shopping

WORKERS = 2
VISITORS = 12
PLENTY = 1_000_000
RESTARTED = 1012
ACCESS = re.compile(r"\| (\S+) \| access - ")
EXPECTED = {200, 201}

pytestmark = [needs_proc, only_sqlite, pytest.mark.faults, pytest.mark.slow, pytest.mark.anyio]


Start = Callable[[Sequence[str], dict[str, str], Path], Process]


@contextmanager
def running(start: Start, environment: dict[str, str], folder: Path, *options: str) -> Iterator[Process]:
    """A server and its workers; it must stop with 0 when it is told to."""
    server = start(options, {**environment, "APP_LOG_LEVEL": "INFO", "APP_WORKERS": str(WORKERS)}, folder / "log")
    try:
        wait_until(lambda: server.said().count("startup complete") == WORKERS, 3 * PATIENCE, "not all workers start")
        yield server
        server.terminate()
        assert server.wait() == 0
    finally:
        server.end()


@pytest.fixture(params=[(Serve,), (Gunicorn,)], ids=["serve", "gunicorn"])
def server(request: pytest.FixtureRequest, settings: TestingSettings, tmp_path: Path) -> Iterator[Process]:
    """The shop with two workers; by which server, and with which further options."""
    start, *options = request.param
    with running(start, environment_of("shopdemo", settings.database_url), tmp_path, *options) as server:
        yield server


@pytest.fixture
def visitors(server: Process, tokens: Tokens) -> list[Visitor]:
    return [Visitor(f"v{number}", server, buyer(tokens, f"v{number}")) for number in range(VISITORS)]


@pytest.fixture
def tea(catalogue: dict[str, Goods], settings: TestingSettings) -> Goods:
    """What there is enough of."""
    tea = catalogue["TEA-1"]
    execute(settings, "UPDATE shopdemo_goods SET stock = ? WHERE id = ?", PLENTY, tea.id)
    return tea


def execute(settings: TestingSettings, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(settings.database_url.partition(":///")[2])) as database, database:
        return database.execute(sql, values).fetchall()


def lives(pid: int) -> bool:
    return (Path("/proc") / str(pid) / "fd").exists()


async def replaced(server: Process, *pids: int) -> None:
    """Wait until these are gone, and as many others serve."""

    def are_replaced() -> bool:
        started = server.said().count("startup complete")
        return started == WORKERS + len(pids) and not any(lives(pid) for pid in pids)

    await asyncio.to_thread(wait_until, are_replaced, 4 * PATIENCE, f"{pids} are not replaced")


async def restarted(server: Process) -> None:
    """Have all workers replaced."""
    before = server.worker_pids()
    os.kill(server.popen.pid, signal.SIGHUP)
    await replaced(server, *before)


async def test_a_restart_under_load_drops_nothing(
    server: Process, visitors: list[Visitor], tea: Goods, settings: TestingSettings
) -> None:
    async with shopping(visitors, tea.id):
        await many_answers(visitors)
        await restarted(server)
        await many_answers(visitors)
    assert [visitor.broken for visitor in visitors] == [{}] * VISITORS
    assert {status for visitor in visitors for status in visitor.answered.values()} == EXPECTED
    every_order_is_there_once(visitors, tea, settings)
    server.terminate()
    assert server.wait() == 0
    assert not FAILURE.search(server.said())
    lines = Counter(ACCESS.findall(server.said()))
    assert {id_: 1 for visitor in visitors for id_ in visitor.answered}.items() <= lines.items()


async def test_kill_9_of_a_worker_costs_only_what_it_was_doing(
    server: Process, visitors: list[Visitor], tea: Goods, settings: TestingSettings
) -> None:
    victim = server.worker_pids()[0]
    async with shopping(visitors, tea.id):
        await many_answers(visitors)
        os.kill(victim, signal.SIGSTOP)  # so that it cannot take another connection while we look
        its_own = client_ports(victim, server.port)
        os.kill(victim, signal.SIGKILL)
        await replaced(server, victim)
        await many_answers(visitors)
    broken = [port for visitor in visitors for port in visitor.broken.values()]
    assert set(broken) <= its_own
    assert max(Counter(broken).values(), default=0) <= 1
    assert {status for visitor in visitors for status in visitor.answered.values()} == EXPECTED
    every_order_is_there_once(visitors, tea, settings)
    server.terminate()
    assert server.wait() == 0
    lines = Counter(ACCESS.findall(server.said()))
    elsewhere = [id_ for visitor in visitors for id_ in visitor.answered if visitor.connections[id_] not in its_own]
    assert {lines[id_] for id_ in elsewhere} == {1}
    assert max(lines.values()) == 1  # the killed one took the lines of its last 5 ms with it


def every_order_is_there_once(visitors: list[Visitor], tea: Goods, settings: TestingSettings) -> None:
    """Under each key one order, and the stock has become less by them."""
    placed = execute(settings, "SELECT owner, idempotency_key FROM shopdemo_orders")
    assert sorted(placed) == sorted((visitor.name, key) for visitor in visitors for key in visitor.keys)
    assert execute(settings, "SELECT stock FROM shopdemo_goods WHERE id = ?", tea.id) == [(PLENTY - len(placed),)]


@pytest.mark.parametrize("server", [(Serve,), (Gunicorn, "--timeout=5")], ids=["serve", "gunicorn"], indirect=True)
async def test_a_worker_that_hangs_is_replaced(server: Process, visitors: list[Visitor], tea: Goods) -> None:
    victim = server.worker_pids()[0]
    os.kill(victim, signal.SIGSTOP)
    await replaced(server, victim)
    async with shopping(visitors, tea.id):
        await many_answers(visitors)
    assert [visitor.broken for visitor in visitors] == [{}] * VISITORS


async def was_sent_away(member: Member) -> None:
    await member.until(lambda: bool(member.closed_with))


@pytest.mark.redis
async def test_sockets_of_a_worker_that_is_restarted_come_back(database_url: str, tmp_path: Path) -> None:
    with redis_space() as broker_url:
        environment = environment_of("websocketdemo", database_url, broker_url)
        with running(Serve, environment, tmp_path) as server:
            people = [Member(f"m{number}", "restart", [server]) for number in range(8)]
            async with together(people):
                await restarted(server)
                await within(PATIENCE, *(was_sent_away(one) for one in people))
                await within(PATIENCE, *(one.entered() for one in people))
                await within(PATIENCE, *(one.say() for one in people))
            assert {code for one in people for code in one.closed_with} == {RESTARTED}
            assert [len(one.acks) for one in people] == [1] * len(people)


@pytest.mark.parametrize("server", [(Serve,)], ids=["serve"], indirect=True)
async def test_no_job_runs_twice_across_a_restart(
    server: Process, visitors: list[Visitor], tea: Goods, settings: TestingSettings
) -> None:
    """An order expires, and its stock comes back once; nobody takes the job again before it is due again."""
    execute(settings, "CREATE TABLE taken (job TEXT, due_at TEXT)")
    execute(
        settings,
        "CREATE TRIGGER take AFTER UPDATE ON shopdemo_jobs BEGIN INSERT INTO taken VALUES (NEW.name, NEW.due_at); END",
    )
    async with shopping(visitors, tea.id):
        await many_answers(visitors, 3)
    execute(settings, "UPDATE shopdemo_orders SET expires_at = '2026-01-01 00:00:00.000000'")
    await restarted(server)

    def have_expired() -> bool:
        return execute(settings, "SELECT DISTINCT status FROM shopdemo_orders") == [("cancelled",)]

    await asyncio.to_thread(wait_until, have_expired, EXPIRE_ORDERS_SECONDS + PATIENCE, "the orders do not expire")
    assert execute(settings, "SELECT stock FROM shopdemo_goods WHERE id = ?", tea.id) == [(PLENTY,)]
    due = [
        datetime.fromisoformat(time)
        for (time,) in execute(settings, "SELECT due_at FROM taken WHERE job = 'expire orders'")
    ]
    assert due
    assert (
        min(((b - a).total_seconds() for a, b in pairwise(due)), default=EXPIRE_ORDERS_SECONDS) >= EXPIRE_ORDERS_SECONDS
    )
