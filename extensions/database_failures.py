"""Which failures mean that the database is away, on both of them."""

import sqlite3

import asyncpg
from sqlalchemy.exc import DBAPIError


def unreachable(error: BaseException) -> bool:
    """Whether the database is away or busy, so that the same request may succeed later."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return _is_away(found) or _is_away(getattr(found, "__cause__", None))  # SQLAlchemy's own is caused by the driver's


def _is_away(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF in _SQLITE_AWAY
    return isinstance(error, _POSTGRES_AWAY) and not isinstance(error, ValueError)  # a value that does not fit


_SQLITE_AWAY = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
})  # fmt: skip
_POSTGRES_AWAY = (
    OSError,  # also TimeoutError
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # starting, stopping, or a statement took longer than it may
    asyncpg.InsufficientResourcesError,  # connections, disk, memory
    asyncpg.PostgresSystemError,  # its disk fails
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that ended while it was made ready
    asyncpg.ObjectNotInPrerequisiteStateError,  # a lock that was not to be had, or the database is closed for now
    # answers to a connection attempt: no such database, not for this user
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)
