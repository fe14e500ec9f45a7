"""Jobs that one worker does, however many there are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from starlette.testclient import TestClient

from api.shopdemo import jobs as module
from api.shopdemo.database import CartRow, JobRow
from api.shopdemo.jobs import MAX_SKEW_SECONDS, Jobs
from api.shopdemo.schemas import Goods
from extensions.database import Database, connect
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.processes import PATIENCE, wait_until
from tests.support.shopping import CART, ORDERS, Headers, inside, let_expire, place, stock_of
from utils.fields import utc_now

Catalogue = dict[str, Goods]

pytestmark = pytest.mark.parametrize("settings", [{"projects": ("shopdemo",)}], indirect=True)

DUE_AT = select(JobRow.name, JobRow.due_at)


class Done:
    """A job that counts how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


@pytest.fixture
async def workers(settings: TestingSettings) -> AsyncIterator[list[Database]]:
    """The connections of three workers to one database."""
    async with AsyncExitStack() as stack:
        databases = [await connect(settings) for _ in range(3)]
        for database in databases:
            stack.push_async_callback(database.close)
        yield databases


async def make_due(database: Database, ago: timedelta) -> None:
    async with database.transaction() as connection:
        await connection.execute(update(JobRow).values(due_at=utc_now() - ago))


@pytest.mark.anyio
async def test_of_all_who_try_one_does_it(workers: list[Database]) -> None:
    tidy, other = Done(), Done()
    all_jobs = [Jobs(database) for database in workers for _ in range(3)]
    for turn in range(1, 4):  # the first is the one in which nobody knows the job
        did = await asyncio.gather(*(jobs.run("tidy", 60, tidy) for jobs in all_jobs))
        assert sorted(did) == [*[False] * 8, True]
        assert await asyncio.gather(*(jobs.run("tidy", 60, tidy) for jobs in all_jobs)) == [False] * 9
        assert tidy.times == turn
        await make_due(workers[0], timedelta(0))
    assert await Jobs(workers[0]).run("other", 60, other)
    assert other.times == 1


@pytest.mark.anyio
async def test_it_is_due_again_after_its_time(workers: list[Database]) -> None:
    jobs, done = Jobs(workers[0]), Done()
    before = utc_now()
    await jobs.run("tidy", 60, done)
    (record,) = await workers[1].fetch_all(DUE_AT)
    assert timedelta(seconds=60) <= record["due_at"] - before < timedelta(seconds=120)
    await make_due(workers[1], -timedelta(seconds=30))
    assert not await jobs.run("tidy", 60, done)
    await make_due(workers[1], timedelta(days=30))
    assert await jobs.run("tidy", 60, done)
    assert not await jobs.run("tidy", 60, done)  # what was missed is not made up for
    assert done.times == 2


@only_sqlite
@pytest.mark.anyio
async def test_a_clock_that_was_set_back_stops_no_job(workers: list[Database]) -> None:
    jobs, done = Jobs(workers[0]), Done()
    await jobs.run("tidy", 60, done)
    await make_due(workers[1], -timedelta(seconds=60 + MAX_SKEW_SECONDS - 10))
    assert not await jobs.run("tidy", 60, done)  # another machine's clock may be a little ahead
    await make_due(workers[1], -timedelta(days=1))
    assert await jobs.run("tidy", 60, done)
    assert not await jobs.run("tidy", 60, done)


@only_sqlite
@pytest.mark.anyio
async def test_who_fails_leaves_it_to_the_next_time(workers: list[Database]) -> None:
    async def fail() -> None:
        raise RuntimeError("no")

    done = Done()
    with pytest.raises(RuntimeError):
        await Jobs(workers[0]).run("tidy", 60, fail)
    assert not await Jobs(workers[1]).run("tidy", 60, done)
    await make_due(workers[0], timedelta(0))
    assert await Jobs(workers[1]).run("tidy", 60, done)


def test_the_running_service_does_them(
    app: FastAPI, catalogue: Catalogue, customer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def let_a_month_pass(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(update(CartRow).values(updated_at=utc_now() - timedelta(days=31)))

    monkeypatch.setattr(module, "EXPIRE_ORDERS_SECONDS", 0.01)
    monkeypatch.setattr(module, "FORGET_CARTS_SECONDS", 0.01)
    tea = catalogue["TEA-1"]
    with TestClient(app) as client:
        placed = place(client, customer, (tea, 2))
        client.put(f"{CART}/items/{tea.id}", json={"quantity": 1})
        inside(app, client, let_a_month_pass)
        inside(app, client, lambda database: let_expire(database, 1))

        def status() -> str:
            found: str = client.get(placed.headers["Location"], headers=customer).json()["data"]["status"]
            return found

        wait_until(lambda: status() == "cancelled", PATIENCE, "the order does not expire")
        assert stock_of(client, tea) == tea.stock
        wait_until(lambda: client.get(CART).json()["data"]["items"] == [], PATIENCE, "the cart is not forgotten")
        assert client.get(ORDERS, headers=customer).json()["data"]["total"] == 1
