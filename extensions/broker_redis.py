"""The broker on Redis: pub/sub for events, scripts for presence, and a beat by which workers know who still lives."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from loguru import logger
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from extensions.broker import Gone, Handler, Missed, OwnedByAnother, Reached, Visit, nobody_cares, nothing_to_say
from extensions.broker_scripts import BEAT, ENTER, LEAVE, REAP, REPLACE
from utils.custom_exc import NotReady

PREFIX = "myfastapi:"  # of all keys and channels; `?prefix=` of the URL replaces it
BEAT_SECONDS = 1.0
DEAD_SECONDS = 4.0  # without a beat a worker counts as dead, and its connections as gone
RETRY_SECONDS = 0.3
COMMAND_SECONDS = 2.0  # how long Redis may take for one answer
SILENCE_SECONDS = 4.0  # our own beats come back; without any event for so long the connection is dead
ANSWER_SECONDS = 1.0  # how long `ask` waits for the other workers

Value = bytes | str | int


class RedisBroker:
    """Redis between any number of workers and machines; while it is away everything raises NotReady at once."""

    shared = True

    def __init__(self, url: str) -> None:
        address, prefix, database = _split_prefix(url)
        self.worker = secrets.token_hex(8)
        self.missed: Missed = nobody_cares
        self.gone: Gone = nothing_to_say
        self._prefix = f"{prefix}{database}:"  # pub/sub knows no databases
        self._handlers: dict[str, Handler] = {}
        self._present: Counter[Visit] = Counter()
        self._untold: list[Visit] = []  # who left while Redis was away
        self._is_true = False  # whether Redis has our presence as it is
        self._questions: dict[str, _Question] = {}
        self._subscribing: dict[str, asyncio.Future[None]] = {}
        self._pubsub: PubSub | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._redis = Redis.from_url(
            address,
            socket_timeout=COMMAND_SECONDS,
            socket_connect_timeout=COMMAND_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._enter, self._leave, self._beat, self._reap, self._replace = (
            self._redis.register_script(script) for script in (ENTER, LEAVE, BEAT, REAP, REPLACE)
        )

    @property
    def connected(self) -> bool:
        return self._pubsub is not None

    async def open(self) -> None:
        """Start to listen; Redis may be away, then it is waited for in the background."""
        first = asyncio.get_running_loop().create_future()
        self._subscribing[self._own_channel] = first
        self._tasks = [
            asyncio.create_task(self._listen(), name="broker-listen"),
            asyncio.create_task(self._keep_present(), name="broker-beat"),
        ]
        with suppress(TimeoutError, NotReady):
            await asyncio.wait_for(first, COMMAND_SECONDS)

    async def close(self) -> None:
        """Take our presence away and disconnect."""
        for task in (*self._tasks, *self._answers):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._answers, return_exceptions=True)
        with suppress(RedisError, OSError):
            await self._reap(args=[self._prefix, self.worker])
        await self._redis.aclose()

    async def check(self) -> None:
        async with _as_not_ready():
            await self._redis.ping()

    async def subscribe(self, channel: str, handler: Handler) -> None:
        self._handlers[channel] = handler
        await self._confirm(self._channel(channel))

    async def unsubscribe(self, channel: str) -> None:
        self._handlers.pop(channel, None)
        if self._pubsub:
            with suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(self._channel(channel))

    async def publish(self, channel: str, event: bytes) -> None:
        async with _as_not_ready():
            await self._redis.publish(self._channel(channel), b"\n" + event)

    async def ask(self, channel: str, event: bytes) -> Reached:
        question = _Question()
        name = secrets.token_hex(8)
        self._questions[name] = question
        try:
            async with _as_not_ready():
                asked = await self._redis.publish(
                    self._channel(channel), f"{self._own_channel} {name}\n".encode() + event
                )
            if asked:
                question.expect(asked)
                with suppress(TimeoutError):
                    await asyncio.wait_for(question.done.wait(), ANSWER_SECONDS)
        finally:
            del self._questions[name]
        here = question.answers.pop(self.worker, 0)
        return Reached(here, sum(question.answers.values()))

    async def enter(self, visit: Visit, event: bytes, *, claims: bool) -> bool:
        arguments: list[Value] = [self._prefix, self.worker, visit.place, visit.name, visit.owner, int(claims)]
        try:
            async with _as_not_ready():
                other = await self._enter(args=[*arguments, self._channel(visit.place), b"\n" + event])
        except NotReady:
            self._is_true = False  # it may have been counted
            raise
        if other == -1:
            raise OwnedByAnother
        self._present[visit] += 1
        return bool(other)

    async def leave(self, visit: Visit, event: bytes) -> None:
        self._present[visit] -= 1
        if self._present[visit] <= 0:
            del self._present[visit]
        channel = self._channel(visit.place)
        arguments: list[Value] = [self._prefix, self.worker, visit.place, visit.name, channel, b"\n" + event]
        try:
            await self._leave(args=arguments)
        except (RedisError, OSError):
            self._is_true = False
            self._untold.append(visit)

    async def owner(self, name: str) -> str | None:
        async with _as_not_ready():
            found: Any = await self._redis.hget(f"{self._prefix}owners", name)
        return found.decode() if found else None

    async def members(self, place: str) -> dict[str, int]:
        async with _as_not_ready():
            found: Any = await self._redis.hgetall(f"{self._prefix}place:{place}")
        return {name.decode(): int(number) for name, number in found.items()}

    async def places(self) -> dict[str, int]:
        async with _as_not_ready():
            found: Any = await self._redis.zrange(f"{self._prefix}places", 0, -1, withscores=True)
        return {place.decode(): int(number) for place, number in found}

    # -- events --------------------------------------------------------------------------------------------------------

    @property
    def _own_channel(self) -> str:
        return self._channel(f"worker/{self.worker}")

    def _channel(self, name: str) -> str:
        return f"{self._prefix}events:{name}"

    async def _confirm(self, channel: str) -> None:
        """Subscribe and wait until Redis says so; while it is away, raise: the listener subscribes when it is back."""
        if self._pubsub is None:
            raise NotReady
        confirmed = self._subscribing.setdefault(channel, asyncio.get_running_loop().create_future())
        try:
            async with _as_not_ready():
                await self._pubsub.subscribe(channel)
                await asyncio.wait_for(asyncio.shield(confirmed), COMMAND_SECONDS)
        finally:
            self._subscribing.pop(channel, None)

    async def _listen(self) -> None:
        """Listen for as long as the service lives; after every interruption say that events may have been missed."""
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._own_channel, *map(self._channel, self._handlers))
                    await self._listen_to(pubsub)
            except (RedisError, OSError) as error:
                if self._pubsub:
                    logger.warning("Redis is away: {}", error)
            finally:
                self._pubsub = None
                self._is_true = False
                self._fail_subscribing()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_to(self, pubsub: PubSub) -> None:
        while message := await pubsub.get_message(timeout=SILENCE_SECONDS):
            channel = message["channel"].decode()
            if message["type"] == "message":
                self._receive(channel, message["data"])
            elif message["type"] == "subscribe":
                if channel == self._own_channel:
                    self._pubsub = pubsub
                    logger.info("Redis is there.")
                    self.missed()
                if (waiting := self._subscribing.get(channel)) and not waiting.done():
                    waiting.set_result(None)
        raise TimeoutError(f"nothing came for {SILENCE_SECONDS:.0f} seconds")

    def _fail_subscribing(self) -> None:
        for waiting in self._subscribing.values():
            if not waiting.done():
                waiting.set_exception(NotReady())
                waiting.exception()  # nobody may be waiting any more

    def _receive(self, channel: str, data: bytes) -> None:
        asker, _, event = data.partition(b"\n")
        if channel == self._own_channel:
            if event:
                self._receive_answer(event)
            return
        handler = self._handlers.get(channel.removeprefix(self._channel("")))
        try:
            reached = handler(event) if handler else 0
        except Exception:
            logger.exception("An event of {} could not be handled", channel)
            reached = 0
        if asker:
            answer = asyncio.create_task(self._answer(asker.decode(), reached))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def _answer(self, asker: str, reached: int) -> None:
        channel, _, question = asker.partition(" ")
        with suppress(RedisError, OSError):
            await self._redis.publish(channel, f"\n{question} {self.worker} {reached}")

    def _receive_answer(self, event: bytes) -> None:
        name, worker, reached = event.decode().split(" ")
        if question := self._questions.get(name):
            question.answer(worker, int(reached))

    # -- presence ------------------------------------------------------------------------------------------------------

    async def _keep_present(self) -> None:
        """Beat; put our presence right after an interruption; take that of dead workers away."""
        while True:
            try:
                known, dead = await self._beat(args=[self._prefix, self.worker, self._own_channel, DEAD_SECONDS])
                if not known or not self._is_true:
                    await self._put_right()
                for worker in dead:
                    if worker.decode() != self.worker:
                        await self._tell_gone(await self._reap(args=[self._prefix, worker]))
            except (RedisError, OSError):
                self._is_true = False
            await asyncio.sleep(BEAT_SECONDS)

    async def _put_right(self) -> None:
        """Make Redis count exactly our connections, and tell of those who left while it was away."""
        self._is_true = True  # whatever happens while Redis is asked makes it untrue again
        entries = [
            value for visit, number in self._present.items() for value in (visit.place, visit.name, visit.owner, number)
        ]
        gone = await self._replace(args=[self._prefix, self.worker, *entries])
        untold, self._untold = self._untold, []
        gone += {f"{visit.place}\n{visit.name}".encode() for visit in untold} - set(gone)
        await self._tell_gone(gone)

    async def _tell_gone(self, entries: list[bytes]) -> None:
        for place, _, name in (entry.decode().partition("\n") for entry in entries):
            if not await self._redis.hexists(f"{self._prefix}place:{place}", name):
                await self._redis.publish(self._channel(place), b"\n" + self.gone(place, name))


class _Question:
    """An event that is to be answered by everybody who gets it."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self.done = asyncio.Event()
        self._expected = 0

    def expect(self, number: int) -> None:
        self._expected = number
        self._look()

    def answer(self, worker: str, reached: int) -> None:
        self.answers[worker] = reached
        self._look()

    def _look(self) -> None:
        if self._expected and len(self.answers) >= self._expected:
            self.done.set()


@asynccontextmanager
async def _as_not_ready() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise NotReady from error


def _split_prefix(url: str) -> tuple[str, str, str]:
    """The address for the client, the prefix of our keys, and the number of the database."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    prefix = query.pop("prefix", PREFIX)
    return urlunsplit(parts._replace(query=urlencode(query))), prefix, query.get("db") or parts.path.strip("/") or "0"
