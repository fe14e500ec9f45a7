"""How often passwords may be tried: the generic cell rate algorithm (ITU-T I.371), of a name and of an address.

One number is kept of each: the time at which the next attempt would arrive if all kept exactly to the rate. An
attempt may come before that time, but only by as much as a burst is.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from api.accounts.errors import TooManyAttempts
from api.accounts.names import name_key
from utils.addresses import subscriber_of
from utils.fields import utc_now


@dataclass(frozen=True)
class Limit:
    """So many attempts at once, and then one more after each interval."""

    burst: int
    interval: timedelta

    def count(self, arrival: datetime, now: datetime) -> datetime:
        """The next theoretical arrival, when an attempt at `now` counts."""
        return max(arrival, now) + self.interval

    def wait(self, arrival: datetime, now: datetime) -> timedelta:
        """How long after `now` the next attempt may come; zero or less: now."""
        return self.count(arrival, now) - now - self.burst * self.interval


OF_A_NAME = Limit(10, timedelta(minutes=1))
OF_AN_ADDRESS = Limit(300, timedelta(seconds=3))

Limits = Mapping[str, Limit]  # by key


class Arrivals(Protocol):
    """What the throttle needs of a store, inside one transaction."""

    async def lock(self, keys: Sequence[str], now: datetime) -> dict[str, datetime]: ...

    async def keep(self, arrivals: Mapping[str, datetime]) -> None: ...


class Throttle:
    """Counts attempts; all workers together, because it counts in the database."""

    def __init__(
        self, open_store: Callable[[], AbstractAsyncContextManager[Arrivals]], clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._open_store = open_store
        self._clock = clock

    async def count(self, name: str, address: str) -> Limits:
        """Count an attempt, before its password is looked at; raises TooManyAttempts, and counts nothing then."""
        limits = limits_of(name, address)
        now = self._clock()
        async with self._open_store() as store:
            arrivals = await store.lock(sorted(limits), now)
            wait = max(limit.wait(arrivals[key], now) for key, limit in limits.items())
            if wait > timedelta(0):
                raise TooManyAttempts(headers={"Retry-After": str(math.ceil(wait.total_seconds()))})
            await store.keep({key: limit.count(arrivals[key], now) for key, limit in limits.items()})
        return limits

    async def give_back(self, limits: Limits) -> None:
        """Take the count of an attempt back: it had the right password."""
        async with self._open_store() as store:
            arrivals = await store.lock(sorted(limits), self._clock())
            await store.keep({key: arrivals[key] - limit.interval for key, limit in limits.items()})


def limits_of(name: str, address: str) -> Limits:
    """What counts an attempt on this name from this address."""
    return {_key("name", name_key(name)): OF_A_NAME, _key("address", subscriber_of(address)): OF_AN_ADDRESS}


def _key(kind: str, text: str) -> str:
    """A hash, because people type passwords where names belong, and what is no name is no text for a database."""
    return hashlib.sha256(f"{kind} {text}".encode("utf-8", "surrogatepass")).hexdigest()
