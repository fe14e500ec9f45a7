"""Which failures mean that the database is away, on both of them."""

import sqlite3

import asyncpg
from sqlalchemy.exc import DBAPIError


def unreachable(error: BaseException) -> bool:
    """Whether the database is away or busy, so that the same request may succeed later."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    cause = getattr(cause, "__cause__", None) or cause
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorcode & 0xFF in _SQLITE_AWAY
    return isinstance(cause, _POSTGRES_AWAY) and not isinstance(cause, ValueError)  # a value that does not fit


_SQLITE_AWAY = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
})  # fmt: skip
_POSTGRES_AWAY = (
    OSError,  # also TimeoutError
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that ended while it was made ready
    # answers to a connection attempt: no such database, closed for now, not for this user
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InvalidAuthorizationSpecificationError,
)
