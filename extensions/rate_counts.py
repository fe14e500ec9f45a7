"""Counts the requests of clients: in this process, or in Redis for all workers and machines together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import State

from extensions.rate_counts_memory import MemoryCounts, RateCounts


@asynccontextmanager
async def open_rate_counts(state: State) -> AsyncIterator[RateCounts]:
    """Count where the broker is: in Redis if there is one."""
    url: str = state.settings.broker_url
    if url.startswith("memory:"):
        yield MemoryCounts()
        return
    from extensions.rate_counts_redis import RedisCounts  # who runs one process does not load it

    counts = RedisCounts(url)
    try:
        yield counts
    finally:
        await counts.close()
