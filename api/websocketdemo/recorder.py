"""Messages are stored before anybody sees them: many in one transaction, the next ones gather meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loguru import logger

from api.websocketdemo import metrics
from api.websocketdemo.adding import Said
from api.websocketdemo.errors import NotStored
from api.websocketdemo.frames import Message
from api.websocketdemo.store import ChatStore
from extensions.broker_protocol import Broker
from utils.custom_exc import NotReady, ServiceError

MAX_BATCH = 2_000  # messages in one transaction
MAX_PENDING = 10_000  # messages that wait for one; who has more waits with reading

Outcome = int | ServiceError


@dataclass(slots=True)
class Pending:
    """A message on its way, and who wants to know what became of it."""

    said: Said
    done: Callable[[Outcome], None]


class Recorder:
    """Stores what is said, tells the rooms, and then who said it."""

    def __init__(self, store: ChatStore, broker: Broker, tell: Callable[[str, int, list[bytes]], None]) -> None:
        self._store = store
        self._broker = broker
        self._tell = tell
        self._pending: list[Pending] = []
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="chat-recorder")

    async def put(self, said: Said, done: Callable[[Outcome], None]) -> None:
        """Have a message stored; `done` gets its id, or why it was not stored."""
        while len(self._pending) >= MAX_PENDING:
            self._taken.clear()
            await self._taken.wait()
        self._pending.append(Pending(said, done))
        self._arrived.set()

    async def close(self) -> None:
        """Store what has arrived, then stop."""
        self._closing = True
        self._arrived.set()
        await self._task

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
            if not self._pending and not self._closing:
                self._arrived.clear()
            self._taken.set()
            if batch:
                await self._record_whatever_happens(batch)
            elif self._closing:
                return

    async def _record_whatever_happens(self, batch: Sequence[Pending]) -> None:
        """Go on after a failure nobody thought of: without this task nobody could say anything any more."""
        try:
            await self._record(batch)
        except Exception:
            logger.exception("{} messages were stored, but not everybody was told", len(batch))

    async def _record(self, batch: Sequence[Pending]) -> None:
        outcomes: Sequence[Outcome]
        try:
            if not self._broker.connected:  # stored, but told to nobody, it would look like lost
                raise NotReady
            outcomes = await self._store.add([pending.said for pending in batch])
        except NotReady:
            outcomes = [NotStored()] * len(batch)
        except Exception:
            logger.exception("{} messages could not be stored", len(batch))
            outcomes = [NotStored()] * len(batch)
        else:
            metrics.stored.inc(len(batch))
            await self._publish([one.said.with_id(id_) for one, id_ in zip(batch, outcomes, strict=True)])
        for pending, outcome in zip(batch, outcomes, strict=True):
            pending.done(outcome)

    async def _publish(self, messages: Sequence[Message]) -> None:
        rooms: dict[str, list[Message]] = {}
        for message in messages:
            rooms.setdefault(message.room, []).append(message)
        if self._broker.shared:  # each has a way to go
            await asyncio.gather(*(self._publish_in(room, said) for room, said in rooms.items()))
        else:
            for room, said in rooms.items():
                await self._publish_in(room, said)

    async def _publish_in(self, room: str, messages: Sequence[Message]) -> None:
        payloads = [message.model_dump_json().encode() for message in messages]
        try:
            await self._broker.publish(room, room_event(payloads, messages[0].id))
        except NotReady:  # they are stored: the other workers find them when the broker is back
            self._tell(room, messages[0].id, payloads)


def room_event(payloads: Sequence[bytes], first_id: int = 0) -> bytes:
    """Frames for a room as the broker carries them: the first one's id (0: no messages), then a line for each."""
    return b"\n".join((b"%d" % first_id, *payloads))
