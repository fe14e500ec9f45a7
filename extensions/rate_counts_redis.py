"""The counts of all workers, in Redis; while it is away, or slow, each worker counts for itself."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

from loguru import logger
from redis.exceptions import RedisError

from extensions.rate_counts_memory import MemoryCounts
from extensions.redis_client import connect
from utils.background import Background
from utils.rate_limit import Quota, Verdict

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


class Question(NamedTuple):
    """A request that waits for what Redis says."""

    client: str
    quota: Quota
    verdict: asyncio.Future[Verdict]


class RedisCounts:
    """Asks for all requests of one turn of the loop at once."""

    def __init__(self, url: str) -> None:
        self._redis, prefix = connect(url, ANSWER_SECONDS)
        self._count: Callable[..., Any] = self._redis.register_script(COUNT)
        self._prefix = f"{prefix}rate:"
        self._background = Background()
        self._own = MemoryCounts()
        self._questions: list[Question] = []
        self._away_until = 0.0
        self._is_away = False

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
            self._report(None)
        except (RedisError, OSError) as error:
            self._away_until = monotonic() + RETRY_SECONDS
            self._report(error)
            verdicts = [self._own.count_now(client, quota) for client, quota, _ in questions]
        for question, verdict in zip(questions, verdicts, strict=True):
            if not question.verdict.done():  # its client may have gone
                question.verdict.set_result(verdict)

    def _report(self, error: Exception | None) -> None:
        """Write a line when Redis goes and one when it comes back, however often it is asked."""
        if error and not self._is_away:
            logger.warning("Redis counts no requests, so each worker counts its own: {!r}", error)
        elif self._is_away and not error:
            logger.info("Redis counts requests again.")
        self._is_away = error is not None

    async def close(self) -> None:
        """Give up what is asked, and disconnect."""
        await self._background.close()
        await self._redis.aclose()
