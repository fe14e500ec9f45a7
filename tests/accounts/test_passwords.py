"""Passwords: which are good, and that neither hashing nor judging them keeps others waiting."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import State
from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

from api.accounts.errors import PasswordTooGuessable, PasswordTooShort
from api.accounts.passwords import (
    JUDGED_CHARACTERS,
    MAX_LOOKUPS,
    MAX_WAITING,
    Passwords,
    judged_part,
    open_passwords,
)
from api.accounts.schemas import MAX_PASSWORD
from settings.testing_config import TestingSettings
from tests.support.accounts import PASSWORD
from tests.support.databases import only_sqlite, run
from utils.custom_exc import NotReady

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PATIENCE_SECONDS = 20
READINGS = "4@8({[<369&#!1/|0$5+7%2"  # each may stand for a letter


def passwords(
    threads: ThreadPoolExecutor, hasher: PasswordHasher = CHEAP, judging: ThreadPoolExecutor | None = None
) -> Passwords:
    return Passwords(hasher, 15, threads, judging or threads)


async def verdict(password: str, username: str = "alice") -> type[Exception] | None:
    with ThreadPoolExecutor(1) as threads:
        try:
            await passwords(threads).judge(password, username)
        except (PasswordTooShort, PasswordTooGuessable) as error:
            return type(error)
    return None


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        (PASSWORD, None),
        ("天青色等烟雨而我在等你炊烟袅袅", None),
        ("🫖🍵🌿🐉🏔🌫🎋🪷🦢🐟🪨🌊🍃🐼🌸", None),
        ("x kq zvw bnm jh", None),
        ("", PasswordTooShort),
        ("fourteen chars", PasswordTooShort),
        ("e\u0301" * 14, PasswordTooShort),
        ("password" * 3, PasswordTooGuessable),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", PasswordTooGuessable),
        ("123456789012345678", PasswordTooGuessable),
        ("qwertyuiopasdfghjkl", PasswordTooGuessable),
        ("p@ssw0rdp@ssw0rd", PasswordTooGuessable),
        ("alicealicealice", PasswordTooGuessable),
        ("myfastapimyfastapi", PasswordTooGuessable),
        ("a" * 128, PasswordTooGuessable),
        ("1234567890!@#$%^&*()_+", PasswordTooGuessable),
        (READINGS, None),
        (READINGS * 5, None),
    ],
)
def test_which_passwords_are_good(password: str, expected: type[Exception] | None) -> None:
    assert run(verdict(password)) == expected


def test_the_name_is_tried_first() -> None:
    assert run(verdict("wang-xiaoming-wang", "wang-xiaoming")) is PasswordTooGuessable


def test_many_are_judged_at_once_each_by_their_own_name() -> None:
    names = [f"{word}-{number}" for number in range(10) for word in ("wang", "alice", "böb")]

    async def judge_all() -> list[type[BaseException] | None]:
        with ThreadPoolExecutor(4) as threads:
            judge = passwords(threads)
            found = await asyncio.gather(*(judge.judge(name * 3, name) for name in names), return_exceptions=True)
            return [type(error) if error else None for error in found]

    assert run(judge_all()) == [PasswordTooGuessable] * len(names)


@given(st.text(alphabet=READINGS) | st.text(alphabet=READINGS + "abc", min_size=30, max_size=MAX_PASSWORD))
def test_judging_is_so_much_work(password: str) -> None:
    part = judged_part(password)
    assert password.startswith(part)
    assert len(part) >= min(len(password), 12)
    ways = len(enumerate_l33t_subs(relevant_l33t_subtable(part, L33T_TABLE)))
    assert ways * len(part) ** 2 <= 2 * MAX_LOOKUPS  # marks that stand for two letters are counted once


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "four teapots under 1 plum tree, on 2 legs & 3 arms @ 5 o'clock!",
        "天青色等烟雨而我在等你炊烟袅袅" * 5,
        "x" * MAX_PASSWORD,
    ],
)
def test_of_most_passwords_all_is_judged(password: str) -> None:
    assert judged_part(password) == password[:JUDGED_CHARACTERS]


class NotingHasher(PasswordHasher):
    """Notes what it verifies."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[tuple[str | bytes, str | bytes]] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - its name there
        self.verified.append((hash, password))
        return super().verify(hash, password)


def test_what_is_too_long_is_wrong_and_only_a_constant_is_compared() -> None:
    hasher = NotingHasher()
    short, long = "\u00e9" * 100, "e\u0301" * 100  # the same when both are normalised

    async def verify_both() -> tuple[str, list[bool]]:
        with ThreadPoolExecutor(1) as threads:
            judge = passwords(threads, hasher)
            known = await judge.hash(short)
            return known, [await judge.verify(known, password) for password in (short, long)]

    known, answers = run(verify_both())
    assert answers == [True, False]
    assert [(hash_ == known, password) for hash_, password in hasher.verified] == [(True, short.encode()), (False, b"")]


@given(st.text(max_size=MAX_PASSWORD), st.text(max_size=MAX_PASSWORD))
def test_only_the_password_itself_is_right(password: str, other: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        judge = passwords(threads)

        async def hash_and_verify() -> tuple[bool, bool, bool]:
            known = await judge.hash(password)
            return (
                await judge.verify(known, password),
                await judge.verify(known, f"{password}{other}x"),
                await judge.verify(None, password),
            )

        assert run(hash_and_verify()) == (True, False, False)


def test_hashes_are_argon2id_with_the_memory_of_the_settings() -> None:
    async def make() -> str:
        state = State()
        state.settings = TestingSettings(password_memory_kib=2048)
        async with open_passwords(state) as judge:
            return await judge.hash(PASSWORD)

    assert run(make()).startswith("$argon2id$v=19$m=2048,t=2,p=1$")


class HeldHasher(PasswordHasher):
    """Verifies when it is let go."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.began = threading.Event()
        self.may_end = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - its name there
        self.began.set()
        assert self.may_end.wait(PATIENCE_SECONDS)
        return super().verify(hash, password)


@pytest.mark.anyio
@only_sqlite
async def test_others_are_served_while_a_password_is_verified(async_client: httpx.AsyncClient, app: FastAPI) -> None:
    hasher = HeldHasher()
    with ThreadPoolExecutor(1) as threads:
        app.state.passwords = passwords(threads, hasher)
        login = asyncio.create_task(async_client.post("/accounts/token", data={"username": "a", "password": "b"}))
        assert await asyncio.to_thread(hasher.began.wait, PATIENCE_SECONDS)
        assert (await async_client.get("/healthz")).status_code == 200
        assert not login.done()
        hasher.may_end.set()
        assert (await login).status_code == 401


@pytest.mark.anyio
async def test_who_logs_in_does_not_wait_for_those_who_choose_a_password() -> None:
    may_end = threading.Event()
    with ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as judging:
        judge = passwords(threads, judging=judging)
        judging.submit(may_end.wait, PATIENCE_SECONDS)
        choosing = [asyncio.create_task(judge.judge("x kq zvw bnm jh", "alice")) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(NotReady):
            await judge.judge(PASSWORD, "alice")
        assert await judge.verify(await judge.hash(PASSWORD), PASSWORD)
        assert not any(task.done() for task in choosing)
        may_end.set()
        assert await asyncio.gather(*choosing) == [None] * MAX_WAITING


@pytest.mark.anyio
async def test_no_more_than_some_wait() -> None:
    hasher = HeldHasher()
    with ThreadPoolExecutor(1) as threads:
        judge = passwords(threads, hasher)
        waiting = [asyncio.create_task(judge.verify(None, "x")) for _ in range(MAX_WAITING)]
        assert await asyncio.to_thread(hasher.began.wait, PATIENCE_SECONDS)
        with pytest.raises(NotReady):
            await judge.verify(None, "x")
        hasher.may_end.set()
        assert await asyncio.gather(*waiting) == [False] * MAX_WAITING
        assert await judge.verify(await judge.hash("x"), "x")
