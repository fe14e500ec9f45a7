"""Connections of the PostgreSQL driver, for those who ask it directly."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import asyncpg
from pydantic_core import from_json
from sqlalchemy.engine import URL

from extensions.database_failures import unreachable
from utils.custom_exc import NotReady

COMMAND_TIMEOUT_SECONDS = 30.0
ACQUIRE_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 5.0


class PostgresPool:
    """A pool of asyncpg connections whose release costs no round trip."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: URL, tls: Any, size: int, settings: Mapping[str, str] | None = None) -> Self:
        """Connect when somebody asks, encrypted as `tls` says, with these settings of PostgreSQL's."""
        pool = asyncpg.create_pool(
            dsn_of(url),
            ssl=tls,
            min_size=0,
            max_size=size,
            reset=_keep_session,
            init=_set_codecs,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings=dict(settings or {}),
        )
        return cls(await pool)

    async def fetch(
        self,
        sql: str,
        arguments: tuple[Any, ...],
        acquire: float = ACQUIRE_TIMEOUT_SECONDS,
        command: float = COMMAND_TIMEOUT_SECONDS,
    ) -> Sequence[Any]:
        """Run one statement on any connection, with these times in seconds; raises NotReady."""
        try:
            async with self._pool.acquire(timeout=acquire) as connection:
                try:
                    return await connection.fetch(sql, *arguments, timeout=command)
                except TimeoutError:
                    connection.terminate()  # giving it back would wait for a server that does not answer
                    raise
        except Exception as error:
            if unreachable(error):
                raise NotReady from error
            raise

    async def close(self) -> None:
        """Close every connection."""
        with suppress(TimeoutError):  # the pool ends its connections itself when it is cancelled
            await asyncio.wait_for(self._pool.close(), CLOSE_TIMEOUT_SECONDS)


def dsn_of(url: URL) -> str:
    """The address as asyncpg takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def _keep_session(_: Any) -> None:
    """What runs here changes no session state, so there is nothing to reset."""


async def _set_codecs(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=from_json, schema="pg_catalog")
