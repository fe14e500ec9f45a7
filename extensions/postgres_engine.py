"""SQLAlchemy's connections to PostgreSQL, for transactions: none of them waits for ever."""

from typing import Any

from sqlalchemy import ExceptionContext, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from extensions.postgres_pool import (
    ACQUIRE_TIMEOUT_SECONDS,
    MARGIN_SECONDS,
    TRANSACTION_STATEMENT_SECONDS,
    limits,
)
from utils.custom_exc import NotReady


def postgres_engine(url: URL, tls: Any, size: int, *, patient: bool) -> AsyncEngine:
    """Connections that give a statement up in time, unless they are `patient`; encrypted as `tls` says."""
    seconds = TRANSACTION_STATEMENT_SECONDS
    engine = create_async_engine(
        url,
        pool_size=size,
        pool_timeout=ACQUIRE_TIMEOUT_SECONDS,
        connect_args={
            "ssl": tls,
            "timeout": ACQUIRE_TIMEOUT_SECONDS,
            "command_timeout": None if patient else seconds + MARGIN_SECONDS,
            "server_settings": {} if patient else limits(seconds),
        },
    )

    @event.listens_for(engine.sync_engine, "handle_error")
    def give_up(context: ExceptionContext) -> NotReady | None:
        if not isinstance(context.original_exception, TimeoutError):
            return None
        context.is_disconnect = True  # else it would be asked to roll back, and this or the others be used again
        return NotReady()

    @event.listens_for(engine.sync_engine, "checkout")
    def replace_ended(_: object, record: ConnectionPoolEntry, __: object) -> None:
        connection = record.driver_connection
        if connection is None or connection.is_closed():  # the server was restarted; a ping would cost a round trip
            raise DisconnectionError

    return engine
