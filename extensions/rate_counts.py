"""Counts the requests of clients: in this process, or in Redis for all workers and machines together."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic, monotonic_ns
from typing import Any, NamedTuple, Protocol

from loguru import logger
from redis.exceptions import RedisError
from starlette.datastructures import State

from utils.background import Background
from utils.rate_limit import Quota, Verdict

MAX_CLIENTS = 100_000  # remembered by one process; whoever was not heard of for the longest time is forgotten first
ANSWER_SECONDS = 0.25  # how long Redis may take; nobody waits for a limit for longer
RETRY_SECONDS = 1.0  # until Redis is asked again after it failed

# prefix, and for each request: client, interval, window in µs → how many µs each client is ahead
COUNT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = {}
for i = 2, #ARGV, 3 do
  local key, interval, window = ARGV[1] .. ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local ahead = math.max((tonumber(redis.call('GET', key)) or now) - now, 0)
  local after = ahead + interval
  if after <= window then
    redis.call('SET', key, string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
  end
  found[#found + 1] = ahead
end
return found
"""


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


class Question(NamedTuple):
    """A request that waits for what Redis says."""

    client: str
    quota: Quota
    verdict: asyncio.Future[Verdict]


class RedisCounts:
    """The counts of all workers; while Redis is away, or slow, each worker counts for itself.

    All requests of one turn of the loop are asked for at once.
    """

    def __init__(self, count: Callable[..., Any], prefix: str, background: Background) -> None:
        self._count = count
        self._prefix = prefix
        self._background = background
        self._own = MemoryCounts()
        self._questions: list[Question] = []
        self._away_until = 0.0

    async def count(self, client: str, quota: Quota) -> Verdict:
        if monotonic() < self._away_until:
            return self._own.count_now(client, quota)
        loop = asyncio.get_running_loop()
        question = Question(client, quota, loop.create_future())
        self._questions.append(question)
        if len(self._questions) == 1:
            loop.call_soon(self._ask_soon)
        return await question.verdict

    def _ask_soon(self) -> None:
        questions, self._questions = self._questions, []
        self._background.start(self._ask(questions))

    async def _ask(self, questions: list[Question]) -> None:
        args: list[str | int] = [self._prefix]
        for client, quota, _ in questions:
            args += (client, quota.interval, quota.window)
        try:
            found = await self._count(args=args)
            verdicts = [question.quota.judge(ahead) for question, ahead in zip(questions, found, strict=True)]
        except (RedisError, OSError) as error:
            self._away_until = monotonic() + RETRY_SECONDS
            logger.warning("Redis does not count requests ({!r}): this worker counts its own.", error)
            verdicts = [self._own.count_now(client, quota) for client, quota, _ in questions]
        for question, verdict in zip(questions, verdicts, strict=True):
            if not question.verdict.done():  # its client may have gone
                question.verdict.set_result(verdict)


@asynccontextmanager
async def open_rate_counts(state: State) -> AsyncIterator[RateCounts]:
    """Count where the broker is: in Redis if there is one."""
    url: str = state.settings.broker_url
    if url.startswith("memory:"):
        yield MemoryCounts()
        return
    from extensions.redis_client import connect  # who runs one process does not load it

    redis, prefix = connect(url, ANSWER_SECONDS)
    background = Background()
    try:
        yield RedisCounts(redis.register_script(COUNT), f"{prefix}rate:", background)
    finally:
        await background.close()
        await redis.aclose()
