"""Results of reads, remembered in this process for exactly as long as nobody changes the database."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Any

from starlette.datastructures import State

from extensions.database import Database
from extensions.metrics import counter, gauge

_hits = counter("read_cache_hits", "Answers and totals that were there already.")
_misses = counter("read_cache_misses", "Answers and totals that had to be made.")
_evictions = counter("read_cache_evictions", "What made room for newer answers and totals.")
_kept = gauge("read_cache_entries", "Answers and totals that are kept.")
_kept_bytes = gauge("read_cache_bytes", "Memory that they take, about.")


class ReadCache:
    """A least-recently-used cache, bounded in bytes and emptied when the version of the data changes.

    Take `version()` before the read and hand it to `put`: what was read from older data is not kept then.
    """

    def __init__(self, database: Database, max_bytes: int) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._version: int | None = None
        self.under_way: dict[Hashable, asyncio.Event] = {}  # answers that somebody is making now
        self._bytes = 0

    def version(self) -> int | None:
        """The version of the data now; None while it cannot be known, and then nothing is cached."""
        version = self._database.version() if self._max_bytes else None
        if version != self._version:
            self._entries.clear()
            self._bytes = 0
            self._version = version
        return version

    def get(self, key: Hashable) -> Any | None:
        """What was put under `key` if the data is still the same, or None."""
        if key not in self._entries or self.version() is None or key not in self._entries:
            return None
        _hits.inc()
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: Any, size: int, version: int | None) -> None:
        """Remember `value` of about `size` bytes, read when the data had `version`."""
        _misses.inc()
        if version is None or version != self.version() or size > self._max_bytes // 8:
            return
        if key in self._entries:
            self._bytes -= self._entries.pop(key)[1]
        self._entries[key] = (value, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= self._entries.popitem(last=False)[1][1]
            _evictions.inc()

    def measure(self) -> None:
        """Set the gauges of what is kept."""
        _kept.set(len(self._entries))
        _kept_bytes.set(self._bytes)


@asynccontextmanager
async def open_cache(state: State) -> AsyncIterator[ReadCache]:
    """Open the cache over the database; list it behind `open_database`."""
    yield ReadCache(state.database, state.settings.cache_bytes)
