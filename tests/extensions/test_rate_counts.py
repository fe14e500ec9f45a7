"""Counting: in one process, in Redis, and when Redis is away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from loguru import logger
from starlette.datastructures import State

from extensions import rate_counts_memory, rate_counts_redis
from extensions.rate_counts import open_rate_counts
from extensions.rate_counts_memory import MemoryCounts, RateCounts
from settings.testing_config import TestingSettings
from tests.support.redis_servers import OwnRedis, redis_space
from utils.rate_limit import SECOND, Quota

pytestmark = pytest.mark.anyio

FIVE = Quota("address", 5)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "memory":
        yield "memory://"
        return
    with redis_space() as url:
        yield url


@asynccontextmanager
async def counting(broker_url: str) -> AsyncIterator[RateCounts]:
    state = State({"settings": TestingSettings(broker_url=broker_url)})
    async with open_rate_counts(state) as counts:
        yield counts


async def test_each_client_has_its_own_quota(broker_url: str) -> None:
    async with counting(broker_url) as counts:
        first = [await counts.count("192.0.2.1", FIVE) for _ in range(7)]
        other = await counts.count("192.0.2.2", FIVE)
    assert [verdict.allowed for verdict in first] == [True] * 5 + [False] * 2
    assert [verdict.remaining for verdict in first] == [4, 3, 2, 1, 0, 0, 0]
    assert [verdict.full_again_in for verdict in first] == [12, 24, 36, 48, 60, 60, 60]
    assert [verdict.retry_after for verdict in first] == [0, 0, 0, 0, 0, 12, 12]
    assert other.remaining == 4


async def test_all_that_come_in_one_moment_are_counted(broker_url: str) -> None:
    async with counting(broker_url) as counts:
        verdicts = await asyncio.gather(*(counts.count("小林", FIVE) for _ in range(50)))
    assert Counter(verdict.allowed for verdict in verdicts) == {True: 5, False: 45}


@pytest.mark.redis
async def test_workers_on_one_redis_count_together() -> None:
    with redis_space() as url:
        async with counting(url) as one, counting(url) as other:
            verdicts = await asyncio.gather(
                *(counts.count("192.0.2.1", FIVE) for _ in range(20) for counts in (one, other))
            )
    assert Counter(verdict.allowed for verdict in verdicts) == {True: 5, False: 35}


@pytest.mark.redis
async def test_redis_forgets_who_has_waited() -> None:
    with redis_space() as url:
        quick = Quota("user", 1000, window_seconds=1)
        async with counting(url) as counts:
            await counts.count("小林", quick)
            await asyncio.sleep(0.02)
            again = await counts.count("小林", quick)
    assert again.remaining == 999


@pytest.mark.redis
async def test_without_redis_each_worker_counts_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_counts_redis, "RETRY_SECONDS", 0.05)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    redis = OwnRedis()
    redis.start()
    try:
        async with counting(redis.url) as counts:
            shared = [(await counts.count("小林", FIVE)).allowed for _ in range(6)]
            redis.kill()
            own = [(await counts.count("小林", FIVE)).allowed for _ in range(6)]
            redis.start()
            await asyncio.sleep(0.06)
            again = [(await counts.count("小林", FIVE)).allowed for _ in range(6)]
    finally:
        redis.kill()
        logger.remove(sink)
    assert shared == own == again == [True] * 5 + [False]
    assert [line.partition(",")[0].strip() for line in lines] == [
        "Redis counts no requests",
        "Redis counts requests again.",
    ]


async def test_memory_lets_pass_as_time_goes_by() -> None:
    clock = [0]
    counts = MemoryCounts(lambda: clock[0])
    assert [counts.count_now("a", FIVE).allowed for _ in range(6)] == [True] * 5 + [False]
    clock[0] = 12 * SECOND - 1
    assert not counts.count_now("a", FIVE).allowed
    clock[0] = 12 * SECOND
    assert [counts.count_now("a", FIVE).allowed for _ in range(2)] == [True, False]


async def test_memory_forgets_who_was_not_heard_of_for_the_longest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_counts_memory, "MAX_CLIENTS", 2)
    counts = MemoryCounts(lambda: 0)
    for client in ("a", "b", "a", "c"):
        counts.count_now(client, FIVE)
    remaining = {client: counts.count_now(client, FIVE).remaining for client in ("a", "c", "b")}
    assert remaining == {"a": 2, "c": 3, "b": 4}
