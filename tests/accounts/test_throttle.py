"""The throttle: who may try how often, and that nobody keeps somebody else out."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from api.accounts.database import ThrottleRow
from api.accounts.errors import TooManyAttempts, TooManyRegistrations
from api.accounts.throttle.dependencies import open_throttle_store
from api.accounts.throttle.service import (
    KNOWN_FOR,
    OF_A_NAME,
    OF_A_NAME_AND_ADDRESS,
    OF_AN_ADDRESS,
    OF_REGISTRATIONS,
    Throttle,
    attempt_of,
)
from extensions.database import Database, connect
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite

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


def test_an_address_is_what_a_client_cannot_choose() -> None:
    def same(one: str, other: str) -> bool:
        return attempt_of("a", one) == attempt_of("a", other)

    assert same("2001:db8:1:2::1", "2001:db8:1:2:ffff::2")
    assert not same("2001:db8:1:2::1", "2001:db8:1:3::1")
    assert same("::ffff:192.0.2.1", "192.0.2.1")
    assert not same("192.0.2.1", "192.0.2.2")
    assert not same("", "192.0.2.1")


@given(st.text(max_size=40))
def test_every_name_has_a_key_that_says_nothing_about_it(name: str) -> None:
    keys = attempt_of(name, "192.0.2.1").keys
    assert [len(key) for key in keys] == [64] * 4
    assert attempt_of(name, "192.0.2.1") == attempt_of(name, "192.0.2.1")
    assert len(set(keys) & set(attempt_of(name, "192.0.2.2").keys)) == 1, "the name"
    assert len(set(keys) & set(attempt_of(f"{name}\ud800", "192.0.2.1").keys)) == 1 or len(name) > 32, "the address"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(database: Database, clock: Clock) -> Throttle:
    return Throttle(partial(open_throttle_store, database), clock)


async def may_try(throttle: Throttle, name: str, address: str) -> bool:
    """Whether a wrong password of this name is looked at."""
    try:
        await throttle.count(name, address)
    except TooManyAttempts:
        return False
    return True


@pytest.mark.anyio
async def test_a_name_may_be_tried_ten_times_from_an_address_and_then_once_a_minute(
    throttle: Throttle, clock: Clock
) -> None:
    for number in range(OF_A_NAME_AND_ADDRESS.burst):
        await throttle.count("alice", f"2001:db8::{number}")
    for _ in range(3):  # what is refused is not counted
        with pytest.raises(TooManyAttempts) as caught:
            await throttle.count("ALICE", "2001:db8::99")
        assert caught.value.headers == {"Retry-After": "60"}
    clock.go(seconds=59.5)
    with pytest.raises(TooManyAttempts) as caught:
        await throttle.count("alice", "2001:db8::99")
    assert caught.value.headers == {"Retry-After": "1"}
    clock.go(seconds=0.5)
    await throttle.give_back(await throttle.count("alice", "2001:db8::99"))
    await throttle.count("alice", "2001:db8::99")
    assert not await may_try(throttle, "alice", "2001:db8::99")
    assert await may_try(throttle, "bob", "2001:db8::99")
    assert await may_try(throttle, "alice", "2001:db8:1::99")


@pytest.mark.anyio
@only_sqlite
async def test_a_name_may_be_tried_a_hundred_times_from_everywhere_and_then_once_a_minute(
    throttle: Throttle, clock: Clock
) -> None:
    for number in range(OF_A_NAME.burst):
        await throttle.count("alice", f"192.0.2.{number}")
    with pytest.raises(TooManyAttempts) as caught:
        await throttle.count("alice", "198.51.100.1")
    assert caught.value.headers == {"Retry-After": "60"}
    clock.go(minutes=1)
    assert await may_try(throttle, "alice", "198.51.100.1")
    assert not await may_try(throttle, "alice", "198.51.100.2")


@pytest.mark.anyio
@only_sqlite
async def test_who_polls_from_one_address_for_hours_keeps_nobody_out(throttle: Throttle, clock: Clock) -> None:
    for _ in range(3 * 60):
        while await may_try(throttle, "alice", "192.0.2.1"):
            pass
        clock.go(minutes=1)
    for _ in range(OF_A_NAME_AND_ADDRESS.burst):
        assert await may_try(throttle, "alice", "198.51.100.1")


@pytest.mark.anyio
async def test_where_the_password_was_right_nobody_from_elsewhere_keeps_its_owner_out(throttle: Throttle) -> None:
    home, train = "198.51.100.1", "198.51.100.2"
    await throttle.give_back(await throttle.count("alice", home))
    for number in range(OF_A_NAME.burst + 5):
        await may_try(throttle, "alice", f"192.0.2.{number}")
    assert not await may_try(throttle, "alice", train)
    for _ in range(3):
        await throttle.give_back(await throttle.count("alice", home))
    assert not await may_try(throttle, "alice", train)
    for number in range(OF_A_NAME_AND_ADDRESS.burst + 5):  # it is no place to guess from
        assert await may_try(throttle, "alice", home) == (number < OF_A_NAME_AND_ADDRESS.burst)


@pytest.mark.anyio
@only_sqlite
async def test_who_has_not_been_there_for_long_is_not_known_there(throttle: Throttle, clock: Clock) -> None:
    await throttle.give_back(await throttle.count("alice", "198.51.100.1"))
    clock.go(seconds=KNOWN_FOR.total_seconds())
    for number in range(OF_A_NAME.burst):
        await throttle.count("alice", f"192.0.2.{number}")
    assert not await may_try(throttle, "alice", "198.51.100.1")


@pytest.mark.anyio
@only_sqlite
async def test_an_address_may_try_three_hundred_names_and_then_one_in_three_seconds(
    throttle: Throttle, clock: Clock
) -> None:
    for number in range(OF_AN_ADDRESS.burst):
        await throttle.count(f"name{number}", f"2001:db8::{number:x}")
    with pytest.raises(TooManyAttempts) as caught:
        await throttle.count("alice", "2001:db8::1")
    assert caught.value.headers == {"Retry-After": "3"}
    clock.go(seconds=3)
    await throttle.count("alice", "2001:db8::1")


@pytest.mark.anyio
@only_sqlite
async def test_three_hundred_register_from_an_address_then_one_in_three_seconds(
    throttle: Throttle, clock: Clock
) -> None:
    for number in range(OF_REGISTRATIONS.burst):
        await throttle.count_registration(f"2001:db8::{number:x}")
    with pytest.raises(TooManyRegistrations) as caught:
        await throttle.count_registration("2001:db8::1")
    assert caught.value.headers == {"Retry-After": "3"}
    await throttle.count_registration("2001:db8:1::1")
    assert await may_try(throttle, "alice", "2001:db8::1"), "who registers does not keep out who logs in"
    clock.go(seconds=3)
    await throttle.count_registration("2001:db8::1")


@pytest.mark.anyio
async def test_who_is_not_ahead_is_forgotten(database: Database, throttle: Throttle, clock: Clock) -> None:
    attempt = await throttle.count("alice", "192.0.2.1")

    async def prune() -> int:
        async with open_throttle_store(database) as store:
            await store.delete_over(clock.now)
        record = await database.fetch_one(select(func.count().label("number")).select_from(ThrottleRow))
        return int(record["number"]) if record else -1

    clock.go(seconds=3)
    assert await prune() == 2, "the name is ahead for a minute, here and everywhere, the address for three seconds"
    clock.go(seconds=57)
    assert await prune() == 0
    await throttle.give_back(attempt)
    assert await prune() == 1, "the name is known there"
    clock.go(seconds=KNOWN_FOR.total_seconds())
    assert await prune() == 0


@pytest.mark.anyio
async def test_many_at_once_are_counted_each(throttle: Throttle) -> None:
    addresses = [f"2001:db8::{number % 3}" for number in range(AT_ONCE)]
    tried = await asyncio.gather(*(may_try(throttle, "alice", address) for address in addresses))
    assert sum(tried) == OF_A_NAME_AND_ADDRESS.burst
