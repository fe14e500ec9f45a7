"""The open rooms of this worker: opened for the first visitor, kept in step with the database, closed when empty."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from api.websocketdemo.frames import Message, Recovered
from api.websocketdemo.outlets import Batch, Outlet
from api.websocketdemo.rooms import Room
from api.websocketdemo.store import ChatStore
from extensions.broker_protocol import Broker
from utils.background import Background

PAGE = 200  # messages in one read while somebody catches up
PIECE_BYTES = 64 * 1024  # what is sent to somebody who catches up before it must have left
NEWEST_PAGE = 50  # messages for who has missed more than is kept
LATE_SECONDS = 0.02  # how long a message may be behind the next one before it is looked for in the database


class RoomKeeper:
    """Opens, fills and closes rooms."""

    def __init__(self, store: ChatStore, broker: Broker, background: Background) -> None:
        self._store = store
        self._broker = broker
        self._background = background
        self._rooms: dict[str, Room] = {}

    def __iter__(self) -> Iterator[Room]:
        """The rooms that are open, or just being opened."""
        return iter(self._rooms.values())

    def find(self, name: str) -> Room | None:
        """The room if it is open here."""
        return self._rooms.get(name)

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Room]:
        """The room, which stays open inside the block; raises NotReady."""
        room = self._rooms.setdefault(name, Room(name, self._look_for_missing))
        room.visitors += 1
        try:
            async with room.lock:
                if not room.is_open:
                    await self._open(room)
            yield room
        finally:
            room.visitors -= 1

    async def _open(self, room: Room) -> None:
        try:  # listen first and look then, so that nothing falls between the two
            await self._broker.subscribe(room.name, room.receive)
            room.skip_to((await self._store.span(room.name)).last_id)
        except BaseException:
            await self._broker.unsubscribe(room.name)
            raise
        room.is_open = True

    @asynccontextmanager
    async def listen(self, name: str, outlet: Outlet, since: int | None) -> AsyncIterator[None]:
        """Let an outlet listen to a room, behind `since`, without being in it."""
        async with self.open(name) as room:
            seen = None if since is None else await self.recover(room, outlet, since)
            room.add(outlet, seen, b"")
            try:
                yield
            finally:
                room.remove(outlet, b"")

    async def recover(self, room: Room, outlet: Outlet, since: int) -> int:
        """Send what came behind `since` until the room's memory reaches; answers the last id that was sent."""
        span = await self._store.span(room.name)
        if since > room.last_id:  # another worker was quicker to tell it
            await self._catch_up(room)
        first_id = span.first_id or span.last_id + 1
        recovered = first_id - 1 <= since <= room.last_id
        seen = since if recovered else max(first_id - 1, room.last_id - NEWEST_PAGE)
        frame = Recovered(room=room.name, recovered=recovered, since=since, last_id=room.last_id)
        outlet.deliver(Batch([frame.model_dump_json().encode()]))
        while not room.reaches_back_to(seen):
            messages = await self._store.after(room.name, seen, PAGE, before=room.last_id + 1)
            if not messages:  # deleted meanwhile
                return room.last_id
            for piece in _pieces(messages):
                outlet.deliver(piece)
                await outlet.drained()
            seen = messages[-1].id
        return seen

    def _look_for_missing(self, room: Room) -> None:
        if room.is_open and not room.is_behind:
            room.is_behind = True
            self._background.start(self._wait_and_catch_up(room))

    async def _wait_and_catch_up(self, room: Room) -> None:
        """Most often what is missing is only late: another worker's event was overtaken."""
        try:
            await asyncio.sleep(LATE_SECONDS)
            while room.awaits_more:
                await self._catch_up(room)
        finally:
            room.is_behind = False

    async def _catch_up(self, room: Room) -> None:
        """Tell what is in the database and did not come by the broker."""
        while messages := await self._store.after(room.name, room.last_id, PAGE):
            if messages[0].id > room.last_id + 1:  # what lies between is no longer kept
                room.skip_to(messages[0].id - 1)
            room.messages(messages[0].id, [message.model_dump_json().encode() for message in messages])
        if room.awaits_more:
            room.skip_missing()

    async def catch_up_all(self) -> None:
        """Ask the database whether an event got lost."""
        rooms = {name: room for name, room in self._rooms.items() if room.is_open}
        for name, last_id in (await self._store.last_ids(rooms)).items():
            if last_id > rooms[name].last_id:
                await self._catch_up(rooms[name])

    async def close_empty(self) -> None:
        """Close the rooms that nobody is in."""
        for room in [room for room in self._rooms.values() if not room.visitors]:
            async with room.lock:
                if not room.visitors:
                    room.is_open = False
                    await self._broker.unsubscribe(room.name)
                if not room.visitors:
                    del self._rooms[room.name]

    async def trim(self, keep: int, days: int) -> None:
        """Delete all but the newest `keep` messages of the open rooms, and what is so many days old in any."""
        up_to = {room.name: room.last_id - keep for room in self._rooms.values() if room.last_id > keep}
        await self._store.trim(up_to, days)


def _pieces(messages: Sequence[Message]) -> Iterator[Batch]:
    """The frames in batches of about PIECE_BYTES."""
    payloads: list[bytes] = []
    first_id, size = messages[0].id, 0
    for message in messages:
        payloads.append(message.model_dump_json().encode())
        size += len(payloads[-1])
        if size >= PIECE_BYTES or message is messages[-1]:
            yield Batch(payloads, first_id)
            payloads, first_id, size = [], message.id + 1, 0
