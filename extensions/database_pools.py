"""How busy the ways to the database are: connections, or threads that have one each."""

from typing import NamedTuple

from sqlalchemy.pool import Pool, QueuePool

from extensions.metrics import gauge

_POOL, _STATE = "db_client_connection_pool_name", "db_client_connection_state"

_count = gauge("db_client_connection_count", "Connections to the database.", (_POOL, _STATE))
_max = gauge("db_client_connection_max", "Connections to the database that there may be.", (_POOL,))
_pending = gauge("db_client_connection_pending_requests", "Who waits for a connection to the database.", (_POOL,))


class PoolUsage(NamedTuple):
    """Connections that are open, in use, and allowed; and how many want one, those that have one included."""

    open: int
    used: int
    maximum: int
    wanted: int

    @classmethod
    def of_threads(cls, threads: int, wanted: int) -> "PoolUsage":
        """Of threads with a connection each."""
        return cls(threads, min(threads, wanted), threads, wanted)

    @classmethod
    def of_engine(cls, pool: Pool, wanted: int) -> "PoolUsage":
        """Of an engine of SQLAlchemy's."""
        if not isinstance(pool, QueuePool):
            raise TypeError(f"{type(pool).__name__} does not say how many connections it has")
        used = pool.checkedout()
        return cls(used + pool.checkedin(), used, pool.size() + pool._max_overflow, wanted)


def show_pools(pools: dict[str, PoolUsage]) -> None:
    """Set the gauges of the pools with these names."""
    for name, usage in pools.items():
        _count.labels(name, "used").set(usage.used)
        _count.labels(name, "idle").set(usage.open - usage.used)
        _max.labels(name).set(usage.maximum)
        _pending.labels(name).set(max(0, usage.wanted - usage.used))
