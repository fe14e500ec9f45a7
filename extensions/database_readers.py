"""How the drivers are asked directly: one reader for each database."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import asyncpg
from loguru import logger
from sqlalchemy.engine import URL

from extensions.database_failures import unreachable
from extensions.database_pools import PoolUsage
from extensions.disk import check_folder
from extensions.postgres_pool import ACQUIRE_TIMEOUT_SECONDS, PostgresPool, dsn_of
from extensions.waiting_line import WaitingLine
from utils.custom_exc import NotReady

SQLITE_READERS = 4
BUSY_SECONDS = 5.0  # how long a reader waits for a lock; with WAL only recovery takes one
BUDGET_SECONDS = 0.001  # of the event loop, for one short read
STEPS_BETWEEN_LOOKS = 1_000  # of SQLite's virtual machine; some 20 µs
LONG_SECONDS = 60.0  # how long a statement counts as long; it may have been the machine
MAX_LONG = 1_000  # statements remembered as long
SQLITE_PAGE_CACHE_KIB = 16 * 1024
CHANGES_CHANNEL = "data_changed"
FILE_REPLACED = "The database file was replaced by another one; restart the service."
TRANSACTIONS = "SELECT pg_current_snapshot()::text"  # another one as soon as anything was written and committed
READ_ONLY = "SELECT current_setting('transaction_read_only')"  # also on a server that only follows another one
NO_CHANGES = "PostgreSQL takes no changes: it is read-only, or follows another server."
RELISTEN_SECONDS = 1.0
HEARTBEAT_SECONDS = 1.0  # how often the listener asks whether its connection still lives
HEARTBEAT_TIMEOUT_SECONDS = 2.0
CHECK_TIMEOUT_SECONDS = 2.0  # readiness is answered quickly, whatever the server does


class SqliteReader:
    """Short reads run on the event loop, where they take less time than a hop to a thread and back.

    None runs there for longer than BUDGET_SECONDS: SQLite itself stops it then, and it runs again in a thread,
    where statements with the same text go at once for a while. Threads have a read-only connection each.
    """

    def __init__(self, url: URL, max_wait: float) -> None:
        path = Path(url.database or "").absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        sqlite3.connect(path).close()  # a read-only connection cannot create the file
        self._path, self._inode = path, path.stat().st_ino
        self._uri = f"{path.as_uri()}?mode=ro"
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._threads = ThreadPoolExecutor(SQLITE_READERS, "sqlite-reader")
        self._line = WaitingLine(SQLITE_READERS, max_wait)
        self._watcher = self._open()
        self._short = self._open(busy_seconds=0.0)
        self._short.set_progress_handler(lambda: perf_counter() > self._deadline, STEPS_BETWEEN_LOOKS)
        self._deadline = 0.0
        self._long: dict[str, float] = {}  # statements, and until when they go to a thread at once

    async def fetch(self, sql: str, arguments: tuple[Any, ...]) -> Sequence[Any]:
        """Run one read."""
        try:
            if self._long.get(sql, 0.0) < perf_counter() and (rows := self._fetch_short(sql, arguments)) is not None:
                return rows
            with self._line:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, sql, arguments)
        except sqlite3.OperationalError as error:
            if unreachable(error):
                raise NotReady from error
            raise

    def _fetch_short(self, sql: str, arguments: tuple[Any, ...]) -> Sequence[Any] | None:
        """Run a read here and now; None when it would take or wait too long."""
        self._deadline = perf_counter() + BUDGET_SECONDS
        try:
            return self._short.execute(sql, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None  # a thread may wait for it, the event loop may not
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        if len(self._long) >= MAX_LONG:
            self._long.clear()
        self._long[sql] = perf_counter() + LONG_SECONDS
        return None

    async def check(self) -> None:
        """Raise NotReady when the file cannot be read or written, or was taken from under us."""
        self.check_file()
        await check_folder(self._path.parent)
        await self.fetch("SELECT 1", ())

    def check_file(self) -> None:
        """Raise NotReady when the file is not the one that is read here."""
        try:
            is_ours = self._path.stat().st_ino == self._inode
        except OSError as error:
            raise NotReady from error
        if not is_ours:
            raise NotReady(FILE_REPLACED)

    def version(self) -> int | None:
        """SQLite's own counter of commits by other connections, of any process (3 µs)."""
        row: tuple[int] = self._watcher.execute("PRAGMA data_version").fetchone()
        return row[0]

    def changed(self) -> None:
        """SQLite's counter is right at once."""

    def usage(self) -> PoolUsage:
        """How busy the threads are."""
        return PoolUsage.of_threads(SQLITE_READERS, self._line.wanted)

    async def close(self) -> None:
        """End the threads and close their connections."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections:
            connection.close()

    def _open(self, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._uri, timeout=busy_seconds, uri=True, check_same_thread=False, cached_statements=256
        )
        connection.execute(f"PRAGMA cache_size=-{SQLITE_PAGE_CACHE_KIB}")
        self._connections.append(connection)
        return connection

    def _run(self, sql: str, arguments: tuple[Any, ...]) -> Sequence[Any]:
        if not hasattr(self._local, "connection"):
            self._local.connection = self._open()
        started = perf_counter()
        try:
            rows: Sequence[Any] = self._local.connection.execute(sql, arguments).fetchall()
        finally:
            self._line.took(perf_counter() - started)
        return rows


class PostgresReader:
    """Reads on a pool of connections, and a listener for changes."""

    def __init__(self, dsn: str, tls: Any, pool: PostgresPool) -> None:
        self._dsn, self._tls = dsn, tls
        self._pool = pool
        self._changes = 0
        self._listening = False
        self._is_away = False
        self._listener = asyncio.create_task(self._listen(), name="database-changes")

    @classmethod
    async def open(cls, url: URL, tls: Any, size: int, max_wait: float) -> Self:
        """Connect, encrypted as `tls` says; a server that is down now is waited for by later reads, not here."""
        return cls(dsn_of(url), tls, await PostgresPool.open(url, tls, size, max_wait))

    async def fetch(self, sql: str, arguments: tuple[Any, ...]) -> Sequence[Any]:
        """Run one read on any connection."""
        return await self._pool.fetch(sql, arguments)

    async def check(self) -> None:
        """Raise NotReady when the server does not answer soon, or takes no changes."""
        ((read_only,),) = await self._pool.ask(READ_ONLY, (), CHECK_TIMEOUT_SECONDS, CHECK_TIMEOUT_SECONDS)
        if read_only == "on":
            raise NotReady(NO_CHANGES)

    def version(self) -> int | None:
        """How often PostgreSQL told us of a change; None while nobody would tell us."""
        return self._changes if self._listening else None

    def changed(self) -> None:
        """Count a commit of our own now: whoever wrote must not read what was there before."""
        self._changes += 1

    def usage(self) -> PoolUsage:
        """How busy the pool is."""
        return self._pool.usage()

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        await self._pool.close()

    async def _listen(self) -> None:
        """Listen for changes; reconnect for as long as the service lives."""
        while True:
            try:
                await self._listen_once()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._report(str(error) or type(error).__name__)
            await asyncio.sleep(RELISTEN_SECONDS)

    def _report(self, reason: str | None) -> None:
        """Write a line when the database goes and one when it comes back, however often it is tried."""
        if reason and not self._is_away:
            logger.warning("The database is away, and until it is back nothing is cached: {}", reason)
        elif self._is_away and not reason:
            logger.info("The database is back.")
        self._is_away = bool(reason)

    async def _listen_once(self) -> None:
        connection = await asyncpg.connect(
            self._dsn, ssl=self._tls, timeout=ACQUIRE_TIMEOUT_SECONDS, command_timeout=HEARTBEAT_TIMEOUT_SECONDS
        )
        closed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(CHANGES_CHANNEL, self._on_change)
            self._changes += 1  # whatever was cached before may be old
            self._listening = True
            self._report(None)
            seen = None
            while True:
                # A connection can be dead without anybody telling us; and what sells much does not tell of each piece.
                now = await connection.fetchval(TRANSACTIONS)
                if now != seen:
                    seen = now
                    self._changes += 1
                with suppress(TimeoutError):
                    await asyncio.wait_for(closed.wait(), HEARTBEAT_SECONDS)
                    return
        finally:
            self._listening = False
            connection.terminate()  # closing would wait for the server

    def _on_change(self, *_: Any) -> None:
        self.changed()
