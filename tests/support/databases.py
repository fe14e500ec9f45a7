"""A database for each test: copied from one that was migrated once in this worker."""

import asyncio
import getpass
import os
import secrets
import shutil
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from commands.tables import upgrade
from settings.testing_config import TestingSettings

T = TypeVar("T")

PREFIX = "app_test"

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
only_postgres = pytest.mark.parametrize(
    "backend", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, wherever this is called from."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def miss(name: str, reason: str) -> None:
    """Skip the test that needs `name`, or fail it where APP_TEST_REQUIRE says that it must be there."""
    if name in os.environ.get("APP_TEST_REQUIRE", "").split(","):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class SqliteTemplate:
    """A migrated file that is copied."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        run(upgrade(TestingSettings(database_url=sqlite_url(self._file))))

    @contextmanager
    def copy(self, folder: Path) -> Iterator[str]:
        """The URL of a database of its own, in `folder`."""
        file = folder / "test.db"
        shutil.copyfile(self._file, file)
        yield sqlite_url(file)


# Every table and index by number: another answer means that a test changed more than rows.
SHAPE = "SELECT array_agg(oid ORDER BY oid)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
EMPTY = """DO $$ BEGIN
    SET LOCAL lock_timeout = '2s';
    SET LOCAL synchronous_commit = off;
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(tablename, ', ') || ' RESTART IDENTITY CASCADE' FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic_version%');
END $$"""


class PostgresTemplate:
    """A migrated database that is copied by the server; a copy of which only rows changed is emptied and used again."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._name = _new_name("template")
        self._spare: list[tuple[str, str]] = []
        run(execute(server, f"CREATE DATABASE {self._name}"))
        run(upgrade(TestingSettings(database_url=_text(server.set(database=self._name)))))

    @contextmanager
    def copy(self, _: Path) -> Iterator[str]:
        """The URL of an empty database that nobody else uses."""
        name, shape = self._spare.pop() if self._spare else self._create()
        try:
            yield _text(self._server.set(database=name))
        finally:
            if run(_empty(self._server.set(database=name), shape)):
                self._spare.append((name, shape))
            else:
                self._drop(name)

    def drop(self) -> None:
        """Remove the template and its copies."""
        for name in (*(name for name, _ in self._spare), self._name):
            self._drop(name)

    def _create(self) -> tuple[str, str]:
        name = _new_name("copy")
        run(execute(self._server, f"CREATE DATABASE {name} TEMPLATE {self._name}"))
        return name, str(run(fetch(self._server.set(database=name), SHAPE)))

    def _drop(self, name: str) -> None:
        run(execute(self._server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def sqlite_url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file.as_posix()}"


def postgres_server() -> URL:
    """Where the tests find PostgreSQL: APP_TEST_POSTGRES_URL, or this user on this machine."""
    default = f"postgresql://{getpass.getuser()}@127.0.0.1:5432/postgres"
    return make_url(os.environ.get("APP_TEST_POSTGRES_URL", default)).set(drivername="postgresql+asyncpg")


def why_unreachable(server: URL) -> str | None:
    """Why the server cannot be used, or None when it can."""
    try:
        run(execute(server, "SELECT 1"))
    except (OSError, asyncpg.PostgresError) as error:
        return f"no PostgreSQL at {server.render_as_string()} (APP_TEST_POSTGRES_URL): {error}"
    return None


async def execute(server: URL, *statements: str) -> None:
    connection = await asyncpg.connect(_text(server.set(drivername="postgresql")), timeout=10)
    try:
        for sql in statements:
            await connection.execute(sql)
    finally:
        await connection.close()


async def fetch(server: URL, sql: str) -> Any:
    """The one value that a query answers."""
    connection = await asyncpg.connect(_text(server.set(drivername="postgresql")), timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def _empty(database: URL, shape: str) -> bool:
    """Whether the database has only its empty tables now."""
    try:
        await execute(database, EMPTY)
        return bool(await fetch(database, SHAPE) == shape)
    except (OSError, asyncpg.PostgresError):
        return False


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _new_name(kind: str) -> str:
    return f"{PREFIX}_{kind}_{os.getpid()}_{secrets.token_hex(4)}"
