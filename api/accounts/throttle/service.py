"""How often passwords may be tried, and people register: the generic cell rate algorithm (ITU-T I.371).

One number is kept of each: the time at which the next attempt would arrive if all kept exactly to the rate. An
attempt may come before that time, but only by as much as a burst is.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from api.accounts.errors import TooManyAttempts, TooManyRegistrations
from api.accounts.names import name_key
from utils.addresses import subscriber_of
from utils.custom_exc import TooManyRequests
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


OF_A_NAME_AND_ADDRESS = Limit(10, timedelta(minutes=1))
OF_A_NAME = Limit(100, timedelta(minutes=1))  # with the interval of one address, which alone never uses it up
OF_AN_ADDRESS = Limit(300, timedelta(seconds=3))
OF_REGISTRATIONS = Limit(300, timedelta(seconds=3))  # from one address
KNOWN_FOR = timedelta(days=30)  # since the last right password from there

Limits = Mapping[str, Limit]  # by key


@dataclass(frozen=True)
class Attempt:
    """A password that is tried for a name from an address.

    Attributes:
        limits: What counts it.
        known: The key of the time until which the name is known at the address.
    """

    limits: Limits
    known: str

    @property
    def keys(self) -> list[str]:
        """All keys, in the order in which everybody locks them."""
        return sorted([*self.limits, self.known])


class Arrivals(Protocol):
    """What the throttle needs of a store, inside one transaction."""

    async def lock(self, keys: Sequence[str], now: datetime) -> dict[str, datetime]: ...

    async def keep(self, arrivals: Mapping[str, datetime]) -> None: ...


class Throttle:
    """Counts attempts and registrations; all workers together, because it counts in the database."""

    def __init__(
        self, open_store: Callable[[], AbstractAsyncContextManager[Arrivals]], clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._open_store = open_store
        self._clock = clock

    async def count(self, name: str, address: str) -> Attempt:
        """Count an attempt, before its password is looked at; raises TooManyAttempts, and counts nothing then."""
        attempt = attempt_of(name, address)
        now = self._clock()
        async with self._open_store() as store:
            arrivals = await store.lock(attempt.keys, now)
            if arrivals[attempt.known] > now:  # nobody elsewhere keeps out who has been here before
                limits = {key: limit for key, limit in attempt.limits.items() if limit is not OF_A_NAME}
                attempt = replace(attempt, limits=limits)
            await store.keep(_counted(attempt.limits, arrivals, now, TooManyAttempts))
        return attempt

    async def give_back(self, attempt: Attempt) -> None:
        """Take the count of an attempt back, which had the right password: its name is known at its address now."""
        now = self._clock()
        async with self._open_store() as store:
            arrivals = await store.lock(attempt.keys, now)
            given_back = {key: arrivals[key] - limit.interval for key, limit in attempt.limits.items()}
            await store.keep({**given_back, attempt.known: now + KNOWN_FOR})

    async def count_registration(self, address: str) -> None:
        """Count a registration from this address; raises TooManyRegistrations, and counts nothing then."""
        limits = {_key("registration", subscriber_of(address)): OF_REGISTRATIONS}
        now = self._clock()
        async with self._open_store() as store:
            arrivals = await store.lock(list(limits), now)
            await store.keep(_counted(limits, arrivals, now, TooManyRegistrations))


def attempt_of(name: str, address: str) -> Attempt:
    """An attempt on this name from this address, which is not known there yet."""
    subscriber, key = subscriber_of(address), name_key(name)
    limits = {
        _key("name and address", subscriber, key): OF_A_NAME_AND_ADDRESS,
        _key("name", key): OF_A_NAME,
        _key("address", subscriber): OF_AN_ADDRESS,
    }
    return Attempt(limits, _key("known", subscriber, key))


def _counted(
    limits: Limits, arrivals: Mapping[str, datetime], now: datetime, refusal: type[TooManyRequests]
) -> dict[str, datetime]:
    """The next arrivals; raises the refusal, with when to come back, unless all limits allow one now."""
    wait = max(limit.wait(arrivals[key], now) for key, limit in limits.items())
    if wait > timedelta(0):
        raise refusal(headers={"Retry-After": str(math.ceil(wait.total_seconds()))})
    return {key: limit.count(arrivals[key], now) for key, limit in limits.items()}


def _key(kind: str, *texts: str) -> str:
    """A hash, because people type passwords where names belong, and what is no name is no text for a database."""
    return hashlib.sha256(" ".join([kind, *texts]).encode("utf-8", "surrogatepass")).hexdigest()
