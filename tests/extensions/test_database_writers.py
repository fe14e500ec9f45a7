"""Transactions near the driver: whole or not at all, wherever they run."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from extensions import database_writers
from extensions.database import Database, connect
from settings.testing_config import TestingSettings
from tests.support.databases import run, sqlite_url
from utils.custom_exc import NotReady

both_ways = pytest.mark.parametrize("short", [True, False], ids=["short", "long"])


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    file = folder / "written.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE things (name TEXT UNIQUE)")
    database = await connect(TestingSettings(database_url=sqlite_url(file)))
    try:
        yield database
    finally:
        await database.close()


def add(*names: str) -> database_writers.Work[int]:
    def work(connection: sqlite3.Connection) -> int:
        for name in names:
            connection.execute("INSERT INTO things VALUES (?)", (name,))
        return threading.get_ident()

    return work


def names(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "written.db")) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM things ORDER BY name")]


@both_ways
def test_a_transaction_is_whole_or_not_at_all(tmp_path: Path, short: bool) -> None:
    async def work() -> None:
        async with opened(tmp_path) as database:
            before = database.version()
            await database.write_sqlite(add("a", "b"), short=short)
            assert database.version() != before
            with pytest.raises(sqlite3.IntegrityError):
                await database.write_sqlite(add("c", "a"), short=short)
            await database.write_sqlite(add("d"), short=short)

    run(work())
    assert names(tmp_path) == ["a", "b", "d"]


def test_short_ones_run_on_the_event_loop_and_others_in_a_thread(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as database:
            assert await database.write_sqlite(add("a"), short=True) == threading.get_ident()
            assert await database.write_sqlite(add("b"), short=False) != threading.get_ident()

    run(work())


def test_the_event_loop_does_not_wait_for_a_lock(tmp_path: Path) -> None:
    """Somebody else writes: the thread waits for them, and the loop goes on."""

    async def work() -> None:
        async with opened(tmp_path) as database:
            with closing(sqlite3.connect(tmp_path / "written.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                writing = asyncio.create_task(database.write_sqlite(add("a"), short=True))
                await asyncio.sleep(0)
                assert not writing.done()
                other.execute("COMMIT")
                assert await writing != threading.get_ident()

    run(work())
    assert names(tmp_path) == ["a"]


def test_after_a_slow_one_all_go_to_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_writers, "SLOW_SECONDS", 0.0)

    async def work() -> None:
        async with opened(tmp_path) as database:
            assert await database.write_sqlite(add("a"), short=True) == threading.get_ident()
            assert await database.write_sqlite(add("b"), short=True) != threading.get_ident()

    run(work())


def test_the_log_of_changes_is_written_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkpoint the WAL file would only grow: those on the event loop leave it to the thread."""
    monkeypatch.setattr(database_writers, "CHECKPOINT_EVERY", 2)

    async def work() -> int:
        async with opened(tmp_path) as database:
            for number in range(200):
                await database.write_sqlite(add(f"{number:04}" * 1000), short=True)
                await database.write_sqlite(add(f"x{number}"), short=False)  # behind the checkpoint in the thread
            return (tmp_path / "written.db-wal").stat().st_size

    assert run(work()) < 1_000_000


@both_ways
def test_a_file_that_was_replaced_is_not_written_to(tmp_path: Path, short: bool) -> None:
    async def work() -> None:
        async with opened(tmp_path) as database:
            await database.write_sqlite(add("a"), short=short)
            (tmp_path / "written.db").rename(tmp_path / "moved.db")
            sqlite3.connect(tmp_path / "written.db").close()
            with pytest.raises(NotReady):
                await database.write_sqlite(add("b"), short=short)

    run(work())


@both_ways
def test_what_cannot_be_written_now_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool) -> None:
    monkeypatch.setattr("extensions.database.SQLITE_BUSY_SECONDS", 0.01)

    async def work() -> None:
        async with opened(tmp_path) as database:
            with closing(sqlite3.connect(tmp_path / "written.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(NotReady):
                    await database.write_sqlite(add("a"), short=short)

    run(work())


def test_it_says_which_database_it_is(settings: TestingSettings) -> None:
    async def work() -> None:
        database = await connect(settings)
        try:
            if database.dialect == "postgresql":
                with pytest.raises(TypeError, match="postgresql"):
                    await database.write_sqlite(add("a"), short=True)
                assert list((await database.write_postgres("SELECT $1::int", 7))[0]) == [7]
        finally:
            await database.close()

    run(work())
