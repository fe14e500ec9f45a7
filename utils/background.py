"""Work in the background that is kept until it ends, and whose failures are told."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from loguru import logger

from utils.custom_exc import NotReady


class Background:
    """Tasks that live as long as whoever started them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this once, beside everything else. A dependency that is away is not worth a line: readiness tells it."""
        task = asyncio.create_task(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do this again and again, `seconds` after it was done."""
        self.start(self._repeat(seconds, do))

    async def _repeat(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await _guarded(do())

    async def close(self) -> None:
        """Cancel whatever is not done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _guarded(work: Awaitable[None]) -> None:
    try:
        await work
    except NotReady:
        return
    except Exception:
        logger.exception("Work in the background failed")
