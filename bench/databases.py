"""Databases that live as long as a benchmark: SQLite files, and PostgreSQL databases made and dropped by it."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import URL, Dialect, make_url

DEFAULT_POSTGRES = "postgresql://127.0.0.1:5432"


@dataclass(frozen=True)
class Database:
    """One database, by the address that the service takes."""

    url: str

    @property
    def kind(self) -> str:
        return make_url(self.url).get_backend_name()

    def dialect(self) -> Dialect:
        """SQLAlchemy's, as the service uses it."""
        return make_url(self.url).get_dialect()()

    @property
    def file(self) -> Path:
        """The file of an SQLite database."""
        return Path(make_url(self.url).database or "")

    def count(self, table: str) -> int:
        """Rows of a table."""
        statement = f"SELECT count(*) FROM {table}"
        if self.kind == "sqlite":
            with sqlite3.connect(self.file) as connection:
                return int(connection.execute(statement).fetchone()[0])
        return int(asyncio.run(_on_postgres(self.url, statement, fetch=True)))

    @contextmanager
    def copy(self) -> Iterator["Database"]:
        """A database with the same content, gone when the block ends; nobody may be connected to this one."""
        name = f"{_short_name(self.url)}_{uuid4().hex[:6]}"
        if self.kind == "sqlite":
            file = self.file.with_name(f"{name}.db")
            shutil.copy(self.file, file)
            try:
                yield Database(f"sqlite+aiosqlite:///{file}")
            finally:
                for leftover in file.parent.glob(f"{file.name}*"):
                    leftover.unlink()
        else:
            with _postgres(self.url, name, template=make_url(self.url).database) as database:
                yield database


def _short_name(url: str) -> str:
    return Path(make_url(url).database or "").stem.rpartition("_")[0] or "bench"


@contextmanager
def sqlite_database(folder: Path) -> Iterator[Database]:
    """An empty SQLite file in the folder, which its owner removes."""
    yield Database(f"sqlite+aiosqlite:///{folder / f'bench_{uuid4().hex[:6]}.db'}")


@contextmanager
def postgres_database() -> Iterator[Database]:
    """An empty PostgreSQL database on the server of APP_TEST_POSTGRES_URL; OSError when nobody answers there."""
    server = os.environ.get("APP_TEST_POSTGRES_URL", DEFAULT_POSTGRES)
    with _postgres(server, f"bench_{uuid4().hex[:6]}") as database:
        yield database


@contextmanager
def _postgres(server: str, name: str, template: str | None = None) -> Iterator[Database]:
    asyncio.run(_on_postgres(_maintenance(server), f'CREATE DATABASE "{name}"' + _from_template(template)))
    try:
        url = make_url(server).set(drivername="postgresql+asyncpg", database=name)
        yield Database(url.render_as_string(hide_password=False))
    finally:
        asyncio.run(_on_postgres(_maintenance(server), f'DROP DATABASE "{name}" WITH (FORCE)'))


def _from_template(template: str | None) -> str:
    return f' TEMPLATE "{template}"' if template else ""


def _maintenance(server: str) -> str:
    return make_url(server).set(database="postgres").render_as_string(hide_password=False)


async def connect_postgres(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """A plain asyncpg connection to an address that the service takes."""
    plain: URL = make_url(url).set(drivername="postgresql")
    return await asyncpg.connect(plain.render_as_string(hide_password=False))


async def _on_postgres(url: str, statement: str, *, fetch: bool = False) -> Any:
    connection = await connect_postgres(url)
    try:
        return await (connection.fetchval(statement) if fetch else connection.execute(statement))
    finally:
        await connection.close()
