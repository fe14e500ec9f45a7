"""Passwords: which are good, and their hashes, which cost so much that threads of their own make them."""

import asyncio
import math
import os
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Lock
from typing import Any, TypeVar
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from starlette.datastructures import State
from zxcvbn import zxcvbn
from zxcvbn.matching import L33T_TABLE

from api.accounts.errors import PasswordTooGuessable, PasswordTooShort
from api.accounts.schemas import MAX_PASSWORD
from settings import Settings
from utils.custom_exc import NotReady

MAX_THREADS = 4
MAX_WAITING = 200  # for each kind of threads
TIME_COST = 2
GOOD_SCORE = 3  # of 0 to 4: more than 10^8 guesses
JUDGED_CHARACTERS = 72  # zxcvbn takes no more
MAX_LOOKUPS = 4 * JUDGED_CHARACTERS**2  # see judged_part
SERVICE_WORDS = ("myfastapi", "fastapi", "shopdemo")

MARKS = tuple(map(frozenset, L33T_TABLE.values()))  # what may stand for a letter, of each letter

T = TypeVar("T")

_one_judge = Lock()  # zxcvbn keeps the words of whoever asked last where all threads see them


class Queue:
    """Work for threads of its own, of which no more than some waits."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._waiting = 0

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What the work answers; raises NotReady when too much waits."""
        if self._waiting >= MAX_WAITING:
            raise NotReady
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


class Passwords:
    """Judges, hashes and verifies passwords, beside the event loop.

    Args:
        hashing: Threads that hash and verify.
        judging: One that judges, so that nobody who logs in waits for those who choose a password.
    """

    def __init__(self, hasher: PasswordHasher, min_length: int, hashing: Executor, judging: Executor) -> None:
        self._hasher = hasher
        self._min_length = min_length
        self._hashing = Queue(hashing)
        self._judging = Queue(judging)
        self._hash_of_nobody = hasher.hash(secrets.token_bytes())

    async def judge(self, password: str, username: str, field: str = "password") -> None:
        """Raise PasswordTooShort or PasswordTooGuessable, of this field of the body; NotReady when too many wait."""
        if len(normalize("NFC", password)) < self._min_length:
            message = f"The password must have at least {self._min_length} characters; several words make a good one."
            raise PasswordTooShort(message, data=_wrong(field, message, "password_too_short"))
        if await self._judging.run(_score, password, username) < GOOD_SCORE:
            raise PasswordTooGuessable(data=_wrong(field, PasswordTooGuessable.message, "password_too_guessable"))

    async def hash(self, password: str) -> str:
        """The hash to keep; raises NotReady when too many wait."""
        return await self._hashing.run(self._hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; without a hash, False after the same time. Raises NotReady when too many wait."""
        if len(password) > MAX_PASSWORD:  # nobody's; NFC of it could take time that grows with the square of its length
            password_hash, password = None, ""
        is_right = await self._hashing.run(self._verify, password_hash or self._hash_of_nobody, password)
        return is_right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than hashes are made with now."""
        return self._hasher.check_needs_rehash(password_hash)

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_bytes(password))

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _bytes(password))
        except VerifyMismatchError:
            return False


@asynccontextmanager
async def open_passwords(state: State) -> AsyncIterator[Passwords]:
    """Open the threads that hash and judge passwords."""
    settings: Settings = state.settings
    hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=settings.password_memory_kib, parallelism=1)
    hashing = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), "passwords")
    judging = ThreadPoolExecutor(1, "judging")
    try:
        yield await asyncio.to_thread(Passwords, hasher, settings.password_min_length, hashing, judging)
    finally:
        for threads in (hashing, judging):
            await asyncio.to_thread(threads.shutdown)


def judged_part(password: str) -> str:
    """How much of the password is judged: as much as takes a bounded time, which is all of most passwords.

    zxcvbn looks up each part of a text in every way to read the marks in it for letters: “4” and “@” for a are two
    ways, and a few more of them make hundreds. At least 12 characters are left, and so many marks are hard to guess.
    """
    seen: set[str] = set()
    for length, character in enumerate(password[:JUDGED_CHARACTERS], 1):
        seen.add(character)
        ways = math.prod(len(seen & marks) or 1 for marks in MARKS)
        if ways * length**2 > MAX_LOOKUPS:
            return password[: length - 1]
    return password[:JUDGED_CHARACTERS]


def _bytes(password: str) -> bytes:
    """What is hashed: two keyboards may write one letter in two ways, which NFC makes one (SP 800-63B-4, 3.1.1.2)."""
    return normalize("NFC", password).encode("utf-8", "surrogatepass")


def _score(password: str, username: str) -> int:
    """How hard to guess it is, from 0 to 4, for somebody who knows the name and the service."""
    with _one_judge:
        score: int = zxcvbn(judged_part(password), [username, *SERVICE_WORDS])["score"]
    return score


def _wrong(field: str, message: str, type_: str) -> dict[str, Any]:
    return {"errors": [{"loc": ["body", field], "message": message, "type": type_}]}
