"""Passwords: which are good, and that hashing them leaves the event loop alone."""

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

from api.accounts.errors import PasswordTooGuessable, PasswordTooShort
from api.accounts.passwords import MAX_WAITING, Passwords, open_passwords
from settings.testing_config import TestingSettings
from tests.support.accounts import PASSWORD
from tests.support.databases import only_sqlite, run
from utils.custom_exc import NotReady

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PATIENCE_SECONDS = 20


def passwords(threads: ThreadPoolExecutor, hasher: PasswordHasher = CHEAP) -> Passwords:
    return Passwords(hasher, 15, threads)


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


@given(st.text(max_size=200), st.text(max_size=200))
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
