"""The database: SQLite or PostgreSQL by URL, one lane for single reads and one for transactions.

Single reads run a statement that is compiled once, straight on the driver: no transaction, no identity map.
Everything that writes goes through `transaction()`, a SQLAlchemy connection; what writes all the time may ask the
driver directly (`write_sqlite`, `write_postgres`).
"""

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from time import perf_counter
from typing import Any, Protocol, TypeVar

from sqlalchemy import Executable, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from starlette.datastructures import State

from extensions.database_failures import unreachable
from extensions.database_pools import PoolUsage, show_pools
from extensions.database_queries import CompiledQuery
from extensions.database_readers import PostgresReader, SqliteReader
from extensions.database_writers import SqliteWriter, Work
from extensions.postgres_engine import postgres_engine
from extensions.postgres_pool import CLOSE_TIMEOUT_SECONDS, PostgresPool
from extensions.waiting_line import WaitingLine
from settings import Settings
from utils.custom_exc import NotReady

SQLITE_BUSY_SECONDS = 5.0
POOL_TIMEOUT_SECONDS = 5.0
TRANSACTION_SECONDS = 15.0  # with PostgreSQL, from the wait for a connection to the commit
# Statements that write all the time are made so that one plan fits all values: planning each anew would take longer
# than running it. Reads are planned with their values.
ONE_PLAN = {"plan_cache_mode": "force_generic_plan"}

T = TypeVar("T")

Record = dict[str, Any]


class Reader(Protocol):
    """Runs single reads, and knows whether the data has changed."""

    async def fetch(self, sql: str, arguments: tuple[Any, ...]) -> Sequence[Any]: ...

    async def check(self) -> None:
        """Raise NotReady when the database does not answer."""

    def version(self) -> int | None:
        """A number that changes with every commit of anybody; None while that cannot be known."""

    def changed(self) -> None:
        """Know of a commit of our own at once, before anybody tells us."""

    def usage(self) -> PoolUsage: ...

    async def close(self) -> None: ...


class Database:
    """What stores ask: `fetch_one`, `fetch_all`, `transaction`."""

    def __init__(
        self,
        engine: AsyncEngine,
        reader: Reader,
        writer: SqliteWriter | PostgresPool,
        line: WaitingLine,
        transaction_seconds: float | None = None,
    ) -> None:
        self.engine = engine
        self._transaction_seconds = transaction_seconds  # None: what waits is bounded already, as on SQLite
        self._reader = reader
        self._writer = writer
        self._line = line  # of transactions
        self._compiled = lru_cache(maxsize=512)(self._compile)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    async def fetch_all(self, statement: Executable, values: Mapping[str, Any] | None = None) -> list[Record]:
        """Run one read. Reuse the statement object (a module constant with bind parameters): it is compiled once."""
        query = self._compiled(statement)
        return query.records(await self._reader.fetch(query.sql, query.arguments(values or {})))

    async def fetch_one(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Record | None:
        """Run one read and return its first row, or None."""
        records = await self.fetch_all(statement, values)
        return records[0] if records else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Raises NotReady when the database cannot be reached or is busy for too long.
        """
        of_block: OSError | None = None
        try:
            with self._line:
                async with asyncio.timeout(self._transaction_seconds), self.engine.begin() as connection:
                    started = perf_counter()
                    try:
                        yield connection
                    except OSError as error:  # a driver's come wrapped: this one has nothing to do with the database
                        of_block = error
                        raise
                    finally:
                        self._line.took(perf_counter() - started)
        except Exception as error:
            if error is not of_block and (isinstance(error, PoolTimeout) or unreachable(error)):
                raise NotReady from error
            raise
        finally:
            self._reader.changed()  # also after an error: a commit may have been done and its answer lost

    async def write_sqlite(self, work: Work[T], *, short: bool) -> T:
        """On SQLite: do `work` with the driver's connection, in one transaction. Raises NotReady.

        What is `short`, a few dozen rows, may run on the event loop.
        """
        if not isinstance(self._writer, SqliteWriter):
            raise TypeError(f"this is {self.dialect}")
        try:
            return await self._writer.run(work, short=short)
        except sqlite3.OperationalError as error:
            if unreachable(error):
                raise NotReady from error
            raise
        finally:
            self._reader.changed()

    async def write_postgres(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """On PostgreSQL: run one statement, which is a transaction of its own; answers its rows. Raises NotReady."""
        if not isinstance(self._writer, PostgresPool):
            raise TypeError(f"this is {self.dialect}")
        try:
            return await self._writer.fetch(sql, arguments)
        finally:
            self._reader.changed()

    def version(self) -> int | None:
        """A number that changes with every commit, by whomever; None while that cannot be known."""
        return self._reader.version()

    async def check(self) -> None:
        """Raise NotReady when the database does not answer."""
        await self._reader.check()

    def measure(self) -> None:
        """Set the gauges of its pools."""
        transactions = PoolUsage.of_engine(self.engine.pool, self._line.wanted)
        show_pools({"reads": self._reader.usage(), "writes": self._writer.usage(), "transactions": transactions})

    async def close(self) -> None:
        """Close every connection."""
        await self._reader.close()
        await self._writer.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.engine.dispose(), CLOSE_TIMEOUT_SECONDS)

    def _compile(self, statement: Executable) -> CompiledQuery:
        return CompiledQuery.of(statement, self.engine.dialect)


@asynccontextmanager
async def open_database(state: State) -> AsyncIterator[Database]:
    """Open the database that the settings name; `state.patient` is for whoever fills it."""
    database = await connect(state.settings, patient=getattr(state, "patient", False))
    try:
        yield database
    finally:
        await database.close()


async def connect(settings: Settings, *, patient: bool = False) -> Database:
    """Connect to `settings.database_url`; the caller closes it.

    Who is `patient` lets transactions on PostgreSQL take as long as they like: migrations, and what fills tables.
    """
    url = make_url(settings.database_url)
    max_wait = math.inf if patient else settings.max_wait_seconds
    if url.get_backend_name() == "sqlite":
        reader = SqliteReader(url, max_wait)
        writer = SqliteWriter(url, SQLITE_BUSY_SECONDS, max_wait, reader.check_file)
        return Database(_sqlite_engine(url, reader), reader, writer, WaitingLine(1, max_wait))
    tls = url.query.get("ssl") or url.query.get("sslmode")  # None: what PGSSLMODE says
    url = url.set(query={})  # the driver below SQLAlchemy and the driver itself spell it differently
    size = settings.database_pool_size
    engine = postgres_engine(url, tls, size, patient=patient)
    return Database(
        engine,
        await PostgresReader.open(url, tls, size, max_wait),
        await PostgresPool.open(url, tls, size, max_wait, ONE_PLAN),
        WaitingLine(PoolUsage.of_engine(engine.pool, 0).maximum, max_wait),
        None if patient else TRANSACTION_SECONDS,
    )


def _sqlite_engine(url: URL, reader: SqliteReader) -> AsyncEngine:
    """One connection for writing: SQLite has one writer, and waiting in our pool is fairer than in its busy loop."""
    engine = create_async_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        reader.check_file()  # what is written to another file nobody would read
        # A transaction that reads first and writes later would fail at the write when another one came between.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
