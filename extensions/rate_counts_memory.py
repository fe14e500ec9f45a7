"""The counts of requests, and those of one process."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

from utils.rate_limit import Quota, Verdict

MAX_CLIENTS = 100_000  # remembered by one process; whoever was not heard of for the longest time is forgotten first


class RateCounts(Protocol):
    """Who has sent how much."""

    async def count(self, client: str, quota: Quota) -> Verdict:
        """Count one more request of a client, unless it is refused."""


class MemoryCounts:
    """The counts of one process."""

    def __init__(self, now: Callable[[], int] = lambda: monotonic_ns() // 1000) -> None:
        self._now = now
        self._arrivals: OrderedDict[str, int] = OrderedDict()  # when each client is even again, in µs

    async def count(self, client: str, quota: Quota) -> Verdict:
        return self.count_now(client, quota)

    def count_now(self, client: str, quota: Quota) -> Verdict:
        now = self._now()
        ahead = max(self._arrivals.get(client, now) - now, 0)
        verdict = quota.judge(ahead)
        if verdict.allowed:
            self._arrivals[client] = now + ahead + quota.interval
            self._arrivals.move_to_end(client)
            if len(self._arrivals) > MAX_CLIENTS:
                self._arrivals.popitem(last=False)
        return verdict
