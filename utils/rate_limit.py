"""How many requests a client may send: the generic cell rate algorithm (ITU-T I.371).

Of a client one number is kept: how far ahead of the even rate it is. Times are whole microseconds, so that Redis and
Python come to the same results.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

SECOND = 1_000_000


class Verdict(NamedTuple):
    """Whether one more request may pass, and what its client should know; times in seconds, rounded up."""

    allowed: bool
    remaining: int
    full_again_in: int
    retry_after: int


@dataclass(frozen=True)
class Quota:
    """So many requests in a window: all at once and then evenly, or evenly from the start."""

    name: str
    requests: int
    window_seconds: int = 60

    @property
    def window(self) -> int:
        """Microseconds of a window; nobody may be further ahead."""
        return self.window_seconds * SECOND

    @property
    def interval(self) -> int:
        """Microseconds that one request counts for."""
        return self.window // self.requests

    @property
    def policy(self) -> str:
        """What `RateLimit-Policy` says of it (draft-ietf-httpapi-ratelimit-headers-10)."""
        return f'"{self.name}";q={self.requests};w={self.window_seconds}'

    def judge(self, ahead: int) -> Verdict:
        """Judge one more request of a client that is so many microseconds ahead; if allowed, it counts."""
        after = ahead + self.interval
        if after > self.window:
            return Verdict(False, 0, _seconds(ahead), _seconds(after - self.window))
        return Verdict(True, (self.window - after) // self.interval, _seconds(after), 0)

    def state(self, verdict: Verdict) -> str:
        """What `RateLimit` says of it."""
        return f'"{self.name}";r={verdict.remaining};t={verdict.full_again_in}'


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / SECOND)
