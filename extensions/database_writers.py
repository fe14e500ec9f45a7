"""Writing for those who write all the time: a whole transaction of SQLite at once.

SQLAlchemy's asynchronous connection visits its thread for every statement, for BEGIN and for COMMIT: 1 ms of processor
time for what takes SQLite 50 µs. One visit still takes 200 µs, most of it waking the thread up.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from sqlalchemy.engine import URL

from extensions.database_pools import PoolUsage
from extensions.waiting_line import WaitingLine

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

SLOW_SECONDS = 0.002  # short transactions that hold up the event loop for longer, on the average, are too slow
AVERAGE_OF = 8  # so many count: one alone may have been the machine
SLOW_FOR_SECONDS = 5.0  # for so long all of them go to the thread then
CHECKPOINT_EVERY = 500  # short transactions; SQLite would do it inside one of them, with a slow fsync


class SqliteWriter:
    """Short transactions run on the event loop unless somebody has the lock or the disk is slow; others in a thread."""

    def __init__(self, url: URL, busy_seconds: float, max_wait: float, check_file: Callable[[], None]) -> None:
        self._path = Path(url.database or "").absolute()
        self._busy_seconds = busy_seconds
        self._check_file = check_file
        self._thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._line = WaitingLine(1, max_wait)
        self._here: sqlite3.Connection | None = None
        self._there: sqlite3.Connection | None = None
        self._average = 0.0
        self._slow_until = 0.0
        self._since_checkpoint = 0

    async def run(self, work: Work[T], *, short: bool) -> T:
        """Do `work` in one transaction; raises what sqlite3 raises, and NotReady when the file was replaced."""
        if short and perf_counter() > self._slow_until:
            try:
                return self._run_here(work)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise  # a lock a thread may wait for, the event loop may not
        with self._line:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._run_there, work, perf_counter() + self._busy_seconds
            )

    def usage(self) -> PoolUsage:
        """How busy the thread is."""
        return PoolUsage.of_threads(1, self._line.wanted)

    async def close(self) -> None:
        """End the thread and close the connections."""
        await asyncio.to_thread(self._thread.shutdown)
        for connection in (self._here, self._there):
            if connection:
                connection.close()

    def _run_here(self, work: Work[T]) -> T:
        if self._here is None:
            self._here = self._open(busy_seconds=0.0)
            self._here.execute("PRAGMA wal_autocheckpoint=0")
        started = perf_counter()
        try:
            return self._transact(self._here, work)
        finally:
            self._look_at_the_time(started, perf_counter())
            self._since_checkpoint += 1
            if self._since_checkpoint >= CHECKPOINT_EVERY:
                self._since_checkpoint = 0
                self._thread.submit(self._checkpoint)

    def _look_at_the_time(self, started: float, ended: float) -> None:
        self._average += (ended - started - self._average) / AVERAGE_OF
        if self._average > SLOW_SECONDS:
            self._average = 0.0
            self._slow_until = ended + SLOW_FOR_SECONDS

    def _run_there(self, work: Work[T], patience_ends: float) -> T:
        """Wait for a lock, but not for longer than all who wait: they do it one after the other."""
        connection = self._open_there()
        milliseconds = max(0, round((patience_ends - perf_counter()) * 1000))
        connection.execute(f"PRAGMA busy_timeout={milliseconds}")
        started = perf_counter()
        try:
            return self._transact(connection, work)
        finally:
            self._line.took(perf_counter() - started)

    def _checkpoint(self) -> None:
        self._open_there().execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _open_there(self) -> sqlite3.Connection:
        self._there = self._there or self._open(self._busy_seconds)
        return self._there

    def _transact(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        self._check_file()
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _open(self, busy_seconds: float) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection
