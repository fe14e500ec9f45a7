"""The broker on Redis: events by pub/sub, presence by scripts, and a beat by which workers know who still lives."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from loguru import logger
from redis.exceptions import RedisError, ResponseError

from extensions.broker_protocol import OwnedByAnother, Tell, Visit, nothing_to_say
from extensions.broker_scripts import BEAT, ENTER, LEAVE, REAP, REPLACE
from extensions.redis_client import connect
from extensions.redis_events import RETRY_SECONDS, RedisEvents, as_not_ready
from utils.background import stop
from utils.custom_exc import NotReady

BEAT_SECONDS = 1.0
NO_CHANGES = "Redis takes no changes: it is full, or follows another server."
DEAD_SECONDS = 3.0  # without a beat a worker counts as dead, and its connections as gone
COMMAND_SECONDS = 2.0  # how long Redis may take for one answer

Value = bytes | str | int | float


class RedisBroker(RedisEvents):
    """Redis between any number of workers and machines."""

    shared = True

    def __init__(self, url: str) -> None:
        redis, prefix = connect(url, COMMAND_SECONDS)
        super().__init__(redis, prefix)
        self.gone: Tell = nothing_to_say
        self.came: Tell = nothing_to_say
        self._present: Counter[Visit] = Counter()
        self._life = b""  # of Redis: another one means that it forgot
        self._untold: list[Visit] = []  # who left while Redis was away
        self._is_true = False  # whether Redis has our presence as it is
        self._takes_changes = True
        self._moves = _Moves()
        self._tasks: list[asyncio.Task[None]] = []
        self._enter, self._leave, self._beat, self._reap, self._replace = (
            redis.register_script(script) for script in (ENTER, LEAVE, BEAT, REAP, REPLACE)
        )

    async def open(self) -> None:
        """Start to listen and to beat."""
        connected = self.wait_until_connected()
        self._tasks = [
            asyncio.create_task(self.listen(), name="broker-listen"),
            asyncio.create_task(self._keep_present(), name="broker-beat"),
        ]
        await connected

    async def close(self) -> None:
        """Take our presence away and disconnect."""
        await stop((*self._tasks, *self._answers))
        with suppress(RedisError, OSError):
            await self._reap(args=[self._prefix, self.worker])
        await self._redis.aclose()

    async def check(self) -> None:
        async with as_not_ready():
            await self._redis.ping()
        if not self._takes_changes:
            raise NotReady(NO_CHANGES)

    def interrupted(self) -> None:
        self._is_true = False

    async def enter(self, visit: Visit, event: bytes, *, claims: bool) -> bool:
        arguments: list[Value] = [self._prefix, self.worker, visit.place, visit.name, visit.owner, int(claims)]
        async with self._moves.one():
            try:
                async with as_not_ready():
                    other = await self._enter(args=[*arguments, self._channel(visit.place), b"\n" + event])
            except NotReady:
                self._is_true = False  # it may have been counted
                raise
            if other == -1:
                raise OwnedByAnother
            self._present[visit] += 1
        return bool(other)

    async def leave(self, visit: Visit, event: bytes) -> None:
        channel = self._channel(visit.place)
        arguments: list[Value] = [self._prefix, self.worker, visit.place, visit.name, channel, b"\n" + event]
        async with self._moves.one():
            self._present[visit] -= 1
            if self._present[visit] <= 0:
                del self._present[visit]
            try:
                await self._leave(args=arguments)
            except (RedisError, OSError):
                self._is_true = False
                self._untold.append(visit)

    async def owner(self, name: str) -> str | None:
        async with as_not_ready():
            found: Any = await self._redis.hget(f"{self._prefix}owners", name)
        return found.decode() if found else None

    async def members(self, place: str) -> dict[str, int]:
        async with as_not_ready():
            found: Any = await self._redis.hgetall(f"{self._prefix}place:{place}")
        return {name.decode(): int(number) for name, number in found.items()}

    async def places(self) -> dict[str, int]:
        async with as_not_ready():
            found: Any = await self._redis.zrange(f"{self._prefix}places", 0, -1, withscores=True)
        return {place.decode(): int(number) for place, number in found}

    async def _keep_present(self) -> None:
        """Beat; put our presence right after an interruption; take that of dead workers away."""
        while True:
            try:
                arguments: list[Value] = [self._prefix, self.worker, self._own_channel, DEAD_SECONDS]
                known, dead, life = await self._beat(args=arguments)
                self._note_changes(None)
                was_taken_for_dead = not known and life == self._life
                if self.connected and not (known and self._is_true):
                    await self._put_right(was_taken_for_dead=was_taken_for_dead)
                self._life = life
                for worker in dead:
                    if worker.decode() != self.worker:
                        await self._tell_gone(await self._reap(args=[self._prefix, worker]))
            except ResponseError as error:
                self._is_true = False
                self._note_changes(error)
            except (RedisError, OSError):
                self._is_true = False
            await asyncio.sleep(BEAT_SECONDS)

    def _note_changes(self, refusal: ResponseError | None) -> None:
        """Remember, and say once, that Redis answers but refuses what changes anything."""
        if refusal and self._takes_changes:
            logger.warning("Redis takes no changes: {}", refusal)
        elif not refusal and not self._takes_changes:
            logger.info("Redis takes changes again.")
        self._takes_changes = refusal is None

    async def _put_right(self, *, was_taken_for_dead: bool) -> None:
        """Make Redis count exactly our connections.

        Tells of those who left while it was away, and of those who others were told have gone.
        """
        async with self._moves.none():
            self._is_true = True  # whatever happens while Redis is asked makes it untrue again
            entries = [
                value
                for visit, number in self._present.items()
                for value in (visit.place, visit.name, visit.owner, number)
            ]
            gone, came = await self._replace(args=[self._prefix, self.worker, *entries])
        untold = len(self._untold)
        if untold:
            await asyncio.sleep(RETRY_SECONDS)  # until the other workers listen again
        gone += {f"{visit.place}\n{visit.name}".encode() for visit in self._untold[:untold]} - set(gone)
        await self._tell_gone(gone)
        del self._untold[:untold]
        for place, name in _split(came if was_taken_for_dead else ()):
            await self._redis.publish(self._channel(place), b"\n" + self.came(place, name))

    async def _tell_gone(self, entries: list[bytes]) -> None:
        for place, name in _split(entries):
            if not await self._redis.hexists(f"{self._prefix}place:{place}", name):
                await self._redis.publish(self._channel(place), b"\n" + self.gone(place, name))


def _split(entries: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """The place and the name of each entry."""
    for entry in entries:
        place, _, name = entry.decode().partition("\n")
        yield place, name


class _Moves:
    """Visits that begin or end, at any time together, but not while our presence is put right: it would miss them."""

    def __init__(self) -> None:
        self._number = 0
        self._allowed = asyncio.Event()
        self._allowed.set()
        self._done = asyncio.Event()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        await self._allowed.wait()
        self._number += 1
        try:
            yield
        finally:
            self._number -= 1
            self._done.set()

    @asynccontextmanager
    async def none(self) -> AsyncIterator[None]:
        self._allowed.clear()
        try:
            while self._number:
                self._done.clear()
                await self._done.wait()
            yield
        finally:
            self._allowed.set()
