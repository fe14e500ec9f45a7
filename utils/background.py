"""Work in the background that is kept until it ends, and whose failures are told."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from loguru import logger

from utils.custom_exc import NotReady

PATIENCE_SECONDS = 0.1


class Background:
    """Tasks that live as long as whoever started them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this once, beside everything else. A dependency that is away is not worth a line: readiness tells it."""
        task = asyncio.create_task(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # or it warns, if it is cancelled before it begins

    def every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do this again and again, `seconds` after it was done."""
        self.start(self._repeat(seconds, do))

    async def _repeat(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await _guarded(do())

    async def close(self) -> None:
        """Cancel whatever is not done."""
        await stop(self._tasks)


async def stop(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: `asyncio.wait_for` of Python 3.11 may swallow a cancellation."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=PATIENCE_SECONDS)
        await asyncio.gather(*done, return_exceptions=True)


async def _guarded(work: Awaitable[None]) -> None:
    try:
        await work
    except NotReady:
        return
    except Exception:
        logger.exception("Work in the background failed")
