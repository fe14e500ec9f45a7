"""The throttle: the rule itself, and that all workers count together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from starlette.testclient import TestClient

from api import create_app
from api.accounts.database import ThrottleRow
from api.accounts.errors import LoginFailed, PasswordWrong, TooManyAttempts
from api.accounts.throttle.dependencies import open_throttle_store
from api.accounts.throttle.service import OF_A_NAME, OF_AN_ADDRESS, Limit, Throttle, limits_of
from extensions.database import Database, connect
from settings.testing_config import TestingSettings
from tests.support.accounts import OTHER_PASSWORD, PASSWORD, bearer, log_in, register, try_login
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure

START = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = 40


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def go(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
async def database(settings: TestingSettings) -> AsyncIterator[Database]:
    database = await connect(settings)
    yield database
    await database.close()


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


# -- the rule ---------------------------------------------------------------------------------------------------------

limits = st.builds(Limit, st.integers(1, 20), st.timedeltas(timedelta(microseconds=1), timedelta(hours=1)))


@given(limits, st.lists(st.timedeltas(timedelta(0), timedelta(hours=2)), max_size=60))
def test_no_time_has_more_attempts_than_a_burst_and_the_rate(limit: Limit, pauses: list[timedelta]) -> None:
    now = arrival = START
    passed: list[datetime] = []
    for pause in pauses:
        now += pause
        if limit.wait(arrival, now) <= timedelta(0):
            arrival = limit.count(arrival, now)
            passed.append(now)
    for first, since in enumerate(passed):
        for last, until in enumerate(passed[first:], first):
            assert (last - first + 1 - limit.burst) * limit.interval <= until - since


@given(limits, st.integers(0, 60), st.timedeltas(timedelta(0), timedelta(hours=2)))
def test_who_waits_as_told_may_try_again_and_not_a_moment_sooner(limit: Limit, tries: int, pause: timedelta) -> None:
    arrival = START
    for _ in range(min(tries, limit.burst)):
        arrival = limit.count(arrival, START)
    now = START + pause
    wait = limit.wait(arrival, now)
    if wait > timedelta(0):
        assert limit.wait(arrival, now + wait - timedelta(microseconds=1)) > timedelta(0)
        now += wait
    assert limit.wait(arrival, now) <= timedelta(0)


@given(limits, st.timedeltas(timedelta(0), timedelta(hours=2)))
def test_what_was_given_back_was_never_counted(limit: Limit, ahead: timedelta) -> None:
    arrival = START + ahead
    assert limit.wait(limit.count(arrival, START) - limit.interval, START) == limit.wait(arrival, START)


def test_an_address_is_what_a_client_cannot_choose() -> None:
    def same(one: str, other: str) -> bool:
        return limits_of("a", one) == limits_of("a", other)

    assert same("2001:db8:1:2::1", "2001:db8:1:2:ffff::2")
    assert not same("2001:db8:1:2::1", "2001:db8:1:3::1")
    assert same("::ffff:192.0.2.1", "192.0.2.1")
    assert not same("192.0.2.1", "192.0.2.2")
    assert not same("", "192.0.2.1")


@given(st.text(max_size=40))
def test_every_name_has_a_key_that_says_nothing_about_it(name: str) -> None:
    keys = list(limits_of(name, "192.0.2.1"))
    assert [len(key) for key in keys] == [64, 64]
    assert limits_of(name, "192.0.2.1") == limits_of(name, "192.0.2.1")
    assert limits_of(f"{name}\ud800", "").keys() != limits_of(name, "").keys() or len(name) > 32


# -- in the database --------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_name_may_be_tried_ten_times_and_then_once_a_minute(database: Database) -> None:
    clock = Clock()
    throttle = Throttle(partial(open_throttle_store, database), clock)
    for number in range(OF_A_NAME.burst):
        await throttle.count("alice", f"192.0.2.{number}")
    for _ in range(3):  # what is refused is not counted
        with pytest.raises(TooManyAttempts) as caught:
            await throttle.count("ALICE", "192.0.2.99")
        assert caught.value.headers == {"Retry-After": "60"}
    clock.go(seconds=59.5)
    with pytest.raises(TooManyAttempts) as caught:
        await throttle.count("alice", "192.0.2.99")
    assert caught.value.headers == {"Retry-After": "1"}
    clock.go(seconds=0.5)
    await throttle.give_back(await throttle.count("alice", "192.0.2.99"))
    await throttle.count("alice", "192.0.2.99")
    with pytest.raises(TooManyAttempts):
        await throttle.count("alice", "192.0.2.99")
    await throttle.count("bob", "192.0.2.99")


@pytest.mark.anyio
@only_sqlite
async def test_an_address_may_try_three_hundred_names_and_then_one_in_three_seconds(database: Database) -> None:
    clock = Clock()
    throttle = Throttle(partial(open_throttle_store, database), clock)
    for number in range(OF_AN_ADDRESS.burst):
        await throttle.count(f"name{number}", f"2001:db8::{number:x}")
    with pytest.raises(TooManyAttempts) as caught:
        await throttle.count("alice", "2001:db8::1")
    assert caught.value.headers == {"Retry-After": "3"}
    clock.go(seconds=3)
    await throttle.count("alice", "2001:db8::1")


@pytest.mark.anyio
async def test_who_is_not_ahead_is_forgotten(database: Database) -> None:
    clock = Clock()
    throttle = Throttle(partial(open_throttle_store, database), clock)
    await throttle.count("alice", "192.0.2.1")

    async def prune() -> int:
        async with open_throttle_store(database) as store:
            await store.delete_over(clock.now)
        record = await database.fetch_one(select(func.count().label("number")).select_from(ThrottleRow))
        return int(record["number"]) if record else -1

    clock.go(seconds=3)
    assert await prune() == 1, "the name is ahead for a minute, the address for three seconds"
    clock.go(seconds=57)
    assert await prune() == 0


@pytest.mark.anyio
async def test_many_at_once_are_counted_each(database: Database) -> None:
    throttle = Throttle(partial(open_throttle_store, database), Clock())

    async def attempt(number: int) -> bool:
        try:
            await throttle.count("alice", f"192.0.2.{number % 3}")
        except TooManyAttempts:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(number) for number in range(AT_ONCE)))) == OF_A_NAME.burst


# -- at the login -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alice", "nobody", "no name!"])
def test_too_many_wrong_passwords_lock_the_right_one_out_too(client: TestClient, name: str) -> None:
    register(client, "alice")
    for _ in range(OF_A_NAME.burst):
        answer = try_login(client, name, OTHER_PASSWORD)
        assert (answer.status_code, answer.json()) == (401, failure(LoginFailed))
    answer = try_login(client, name)
    assert (answer.status_code, answer.json()) == (429, failure(TooManyAttempts))
    assert 55 <= int(answer.headers["Retry-After"]) <= 60
    assert try_login(client, "alice").status_code == (429 if name == "alice" else 200)


@only_sqlite
def test_right_passwords_do_not_count(client: TestClient) -> None:
    register(client, "alice")
    for _ in range(OF_A_NAME.burst + 5):
        log_in(client, "alice")


def test_wrong_current_passwords_count_as_wrong_logins(client: TestClient) -> None:
    register(client, "alice")
    me = bearer(log_in(client, "alice")["access_token"])
    change = {"current_password": OTHER_PASSWORD, "new_password": "yet another teapot under the tree"}
    for _ in range(OF_A_NAME.burst):
        answer = client.put("/accounts/users/me/password", headers=me, json=change)
        assert (answer.status_code, answer.json()) == (403, failure(PasswordWrong))
    right = {**change, "current_password": PASSWORD}
    assert client.put("/accounts/users/me/password", headers=me, json=right).status_code == 429
    assert try_login(client, "alice").status_code == 429


@pytest.mark.anyio
async def test_two_workers_count_together_and_parallel_guesses_too(settings: TestingSettings) -> None:
    known = {"username": "alice", "password": PASSWORD}
    async with running(create_app(settings)) as first, running(create_app(settings)) as second:
        await first.post("/accounts/users", json=known)
        guesses = [
            client.post("/accounts/token", data={**known, "password": f"guess {number}"})
            for number in range(AT_ONCE // 2)
            for client in (first, second)
        ]
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
        assert sorted(statuses) == [401] * OF_A_NAME.burst + [429] * (AT_ONCE - OF_A_NAME.burst)
        for client in (first, second):
            assert (await client.post("/accounts/token", data=known)).status_code == 429
