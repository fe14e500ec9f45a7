"""Events between workers by Redis's pub/sub."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from loguru import logger
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from extensions.broker_protocol import Handler, Missed, Reached, nobody_cares
from utils.custom_exc import NotReady

RETRY_SECONDS = 0.3
SILENCE_SECONDS = 4.0  # our own beats come back; without any event for so long the connection is dead
CONFIRM_SECONDS = 2.0
ANSWER_SECONDS = 1.0  # how long `ask` waits for the other workers


class RedisEvents:
    """One connection that listens; who publishes takes any. While Redis is away everything raises NotReady at once."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.worker = secrets.token_hex(8)
        self.missed: Missed = nobody_cares
        self._redis = redis
        self._prefix = prefix
        self._handlers: dict[str, Handler] = {}
        self._questions: dict[str, _Question] = {}
        self._subscribing: dict[str, asyncio.Future[None]] = {}
        self._pubsub: PubSub | None = None
        self._answers: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        return self._pubsub is not None

    async def wait_until_connected(self) -> None:
        """Wait for Redis, but not for long: it may be away, then it is waited for in the background."""
        first = self._subscribing[self._own_channel] = asyncio.get_running_loop().create_future()
        with suppress(TimeoutError, NotReady):
            await asyncio.wait_for(first, CONFIRM_SECONDS)

    def interrupted(self) -> None:
        """Told when the connection is lost."""

    async def subscribe(self, channel: str, handler: Handler) -> None:
        self._handlers[channel] = handler
        await self._confirm(self._channel(channel))

    async def unsubscribe(self, channel: str) -> None:
        self._handlers.pop(channel, None)
        if self._pubsub:
            with suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(self._channel(channel))

    async def publish(self, channel: str, event: bytes) -> None:
        async with as_not_ready():
            await self._redis.publish(self._channel(channel), b"\n" + event)

    async def ask(self, channel: str, event: bytes) -> Reached:
        question = _Question()
        name = secrets.token_hex(8)
        self._questions[name] = question
        try:
            async with as_not_ready():
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
            async with as_not_ready():
                await self._pubsub.subscribe(channel)
                await asyncio.wait_for(asyncio.shield(confirmed), CONFIRM_SECONDS)
        finally:
            self._subscribing.pop(channel, None)

    async def listen(self) -> None:
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
                self.interrupted()
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
async def as_not_ready() -> AsyncIterator[None]:
    """Whatever Redis and the network raise becomes NotReady."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise NotReady from error
