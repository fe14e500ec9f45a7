"""The broker that the settings name: `memory://` for one process, `redis://` for many workers and machines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import State

from extensions.broker_memory import MemoryBroker
from extensions.broker_protocol import Broker


@asynccontextmanager
async def open_broker(state: State) -> AsyncIterator[Broker]:
    """Open the broker that the settings name."""
    url: str = state.settings.broker_url
    if url.startswith("memory:"):
        yield MemoryBroker()
        return
    from extensions.broker_redis import RedisBroker  # who runs one process does not load it

    broker = RedisBroker(url)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()
