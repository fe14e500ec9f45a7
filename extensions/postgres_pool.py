"""Connections of the PostgreSQL driver, for those who ask it directly."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, Self

import asyncpg
from pydantic_core import from_json
from sqlalchemy.engine import URL

from extensions.database_failures import unreachable
from extensions.database_pools import PoolUsage
from extensions.waiting_line import WaitingLine
from utils.custom_exc import NotReady

ACQUIRE_TIMEOUT_SECONDS = 5.0  # for a free connection, or for a new one
STATEMENT_SECONDS = 5.0  # for a single statement
TRANSACTION_STATEMENT_SECONDS = 10.0  # for each statement of a transaction: imports, and what jobs tidy up
LOCK_SECONDS = 3.0  # how long a statement waits for a lock of somebody else's
# Who has gone without a word (a network that was lost, a machine that died) leaves locks behind for so long.
ABANDONED_SECONDS = 30.0
MARGIN_SECONDS = 1.0  # we wait so much longer: a server that lives ends the statement itself, and nothing is torn down
CLOSE_TIMEOUT_SECONDS = 5.0


class PostgresPool:
    """A pool of asyncpg connections whose release costs no round trip."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", line: WaitingLine) -> None:
        self._pool = pool
        self._line = line

    @classmethod
    async def open(cls, url: URL, tls: Any, size: int, max_wait: float, settings: dict[str, str] | None = None) -> Self:
        """Connect when somebody asks, encrypted as `tls` says, with these settings of PostgreSQL's.

        Nobody waits for a connection that others use for longer than `max_wait` seconds.
        """
        pool = asyncpg.create_pool(
            dsn_of(url),
            ssl=tls,
            min_size=0,
            max_size=size,
            reset=_keep_session,
            init=_set_codecs,
            command_timeout=STATEMENT_SECONDS + MARGIN_SECONDS,
            server_settings=limits(STATEMENT_SECONDS) | (settings or {}),
        )
        return cls(await pool, WaitingLine(size, max_wait))

    async def fetch(self, sql: str, arguments: tuple[Any, ...]) -> Sequence[Any]:
        """Run one statement on any connection; raises NotReady, Overloaded among them."""
        with self._line:
            return await self.ask(sql, arguments)

    async def ask(
        self,
        sql: str,
        arguments: tuple[Any, ...],
        acquire: float = ACQUIRE_TIMEOUT_SECONDS,
        command: float = STATEMENT_SECONDS + MARGIN_SECONDS,
    ) -> Sequence[Any]:
        """Run one statement on any connection, however many wait, with these times in seconds; raises NotReady."""
        try:
            async with self._pool.acquire(timeout=acquire) as connection:
                started = perf_counter()
                try:
                    return await connection.fetch(sql, *arguments, timeout=command)
                except TimeoutError:
                    connection.terminate()  # giving it back would wait for a server that does not answer
                    await self._pool.expire_connections()  # the others may be as dead: nobody shall wait for each
                    raise
                finally:
                    self._line.took(perf_counter() - started)
        except Exception as error:
            if unreachable(error):
                raise NotReady from error
            raise

    def usage(self) -> PoolUsage:
        """How busy it is."""
        size = self._pool.get_size()
        return PoolUsage(size, size - self._pool.get_idle_size(), self._pool.get_max_size(), self._line.wanted)

    async def close(self) -> None:
        """Close every connection."""
        with suppress(TimeoutError):  # the pool ends its connections itself when it is cancelled
            await asyncio.wait_for(self._pool.close(), CLOSE_TIMEOUT_SECONDS)


def limits(statement_seconds: float) -> dict[str, str]:
    """What PostgreSQL itself ends, whatever has become of us; its unit is milliseconds."""
    seconds = {
        "statement_timeout": statement_seconds,
        "lock_timeout": LOCK_SECONDS,
        "idle_in_transaction_session_timeout": ABANDONED_SECONDS,
    }
    return {name: f"{limit * 1000:.0f}" for name, limit in seconds.items()}


def dsn_of(url: URL) -> str:
    """The address as asyncpg takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def _keep_session(_: Any) -> None:
    """What runs here changes no session state, so there is nothing to reset."""


async def _set_codecs(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=from_json, schema="pg_catalog")
