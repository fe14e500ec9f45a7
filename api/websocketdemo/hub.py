"""The chat of this worker: who is connected, the open rooms, and the ways between them and the other workers."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from pydantic_core import from_json, to_json
from starlette.datastructures import State

from api.websocketdemo import metrics
from api.websocketdemo.adding import Said
from api.websocketdemo.errors import (
    NameTaken,
    RecipientNotConnected,
    TooManyRoomsOfUser,
    TooManySocketsOfAddress,
    TooManySocketsOfUser,
)
from api.websocketdemo.frames import EVERYBODY, Direct, Error, Join, Leave
from api.websocketdemo.identity import Identity
from api.websocketdemo.outlets import TRY_AGAIN_LATER, Batch, Outlet
from api.websocketdemo.recorder import Outcome, Recorder, room_event
from api.websocketdemo.room_keeper import RoomKeeper
from api.websocketdemo.sessions import Session
from api.websocketdemo.store import ChatStore
from extensions.broker_protocol import Broker, OwnedByAnother, Reached, Visit
from settings import Settings
from utils.background import Background
from utils.custom_exc import NotReady, ServiceError
from utils.fields import utc_now

ALL_WORKERS = "*"  # no room is called so
TIDY_SECONDS = 15.0
TRIM_SECONDS = 60.0
RECHECK_SECONDS = 2.0  # how late a message is whose event got lost
NAME_PATIENCE_SECONDS = 0.6  # how long a name may be held by a connection that is just being closed
NAME_RETRY_SECONDS = 0.05
POLICY_VIOLATION = 1008


class Hub:
    """Lets users in and out, and hands on what they say."""

    def __init__(self, store: ChatStore, broker: Broker, settings: Settings) -> None:
        self.store = store
        self.broker = broker
        self.settings = settings
        self._background = Background()
        self.rooms = RoomKeeper(store, broker, self._background)
        self._recorder = Recorder(store, broker, self._tell_here)
        self._by_name: defaultdict[str, set[Session]] = defaultdict(set)
        self._addresses: Counter[str] = Counter()
        broker.gone = lambda room, name: room_event([_leave(room, name)])
        broker.came = lambda room, name: room_event([_join(room, name)])
        broker.missed = lambda: self._background.start(self.rooms.catch_up_all())

    async def open(self) -> None:
        """Listen to the other workers, and look after the rooms."""
        with suppress(NotReady):  # it begins when the broker is back
            await self.broker.subscribe(ALL_WORKERS, self._receive)
        self._background.every(TIDY_SECONDS, self.rooms.close_empty)
        self._background.every(TRIM_SECONDS, self._trim)
        if self.broker.shared:
            self._background.every(RECHECK_SECONDS, self.rooms.catch_up_all)

    async def close(self) -> None:
        """Store what has arrived; the sockets have gone by now."""
        await self._recorder.close()
        await self._background.close()

    async def _trim(self) -> None:
        await self.rooms.trim(self.settings.chat_keep_messages, self.settings.chat_keep_days)

    def measure(self) -> None:
        """Set the gauges of the chat."""
        listening = [room.outlets for room in self.rooms]
        metrics.rooms.set(len(listening))
        metrics.listeners.set(sum(map(len, listening)))
        metrics.queue_bytes.set(sum(outlet.waiting() for outlets in listening for outlet in outlets))

    # -- coming and going ----------------------------------------------------------------------------------------------

    async def enter(
        self, identity: Identity, room_name: str, outlet: Outlet, address: str, since: int | None
    ) -> Session:
        """Let a socket in: presence, what it missed, then live. Raises ServiceError when it may not come in."""
        visit = Visit(room_name, identity.name, identity.owner)
        session = Session(visit, outlet, address, self.settings.chat_messages_per_second)
        self._check_limits(session)
        self._addresses[address] += 1
        try:
            async with self.rooms.open(room_name) as room:
                session.room = room
                session.own_join = _join(room_name, identity.name)
                room.expect_join(session.own_join, outlet)
                was_anothers = await self._take_name(session, identity)
                try:
                    if was_anothers:
                        await self._evict(identity)
                    self._check_limits_of_user(session)  # again: others may have come in meanwhile
                    self._by_name[identity.name].add(session)
                    seen = None if since is None else await self.rooms.recover(room, outlet, since)
                    room.visitors += 1
                    room.add(outlet, seen, session.own_join)
                except BaseException:
                    await self._give_name_back(session)
                    raise
        except BaseException:
            self._forget(session)
            raise
        return session

    async def leave(self, session: Session) -> None:
        """Take a socket out; the last one of its user in the room is told to the others."""
        self._forget(session)
        if session.room:
            session.room.visitors -= 1
        await self._give_name_back(session)

    def _forget(self, session: Session) -> None:
        name = session.visit.name
        if name in self._by_name:
            self._by_name[name].discard(session)
            if not self._by_name[name]:
                del self._by_name[name]
        self._addresses[session.address] -= 1
        if not self._addresses[session.address]:
            del self._addresses[session.address]
        if session.room:
            session.room.remove(session.outlet, session.own_join)

    def _check_limits(self, session: Session) -> None:
        if self._addresses[session.address] >= self.settings.chat_sockets_per_address:
            raise TooManySocketsOfAddress
        self._check_limits_of_user(session)

    def _check_limits_of_user(self, session: Session) -> None:
        mine = self._by_name.get(session.visit.name, set())
        if len(mine) >= self.settings.chat_sockets_per_user:
            raise TooManySocketsOfUser
        if len({one.visit.place for one in mine} | {session.visit.place}) > self.settings.chat_rooms_per_user:
            raise TooManyRoomsOfUser

    async def _take_name(self, session: Session, identity: Identity) -> bool:
        """Count the visit; answers whether the name was another's.

        A token's name is taken from guests; a guest waits a moment for one that is being left. Raises NameTaken.
        """
        visit, name = session.visit, identity.name
        if not identity.is_guest:
            await self.store.register(name)
        elif await self.store.is_registered(name):
            raise NameTaken
        event = room_event([session.own_join])
        for _ in range(round(NAME_PATIENCE_SECONDS / NAME_RETRY_SECONDS)):
            try:
                return await self.broker.enter(visit, event, claims=not identity.is_guest)
            except OwnedByAnother:
                await asyncio.sleep(NAME_RETRY_SECONDS)
        raise NameTaken

    async def _evict(self, identity: Identity) -> None:
        """Close the sockets of others under this name, on all workers."""
        event = to_json({"evict": identity.name, "owner": identity.owner}) + b"\n"
        await self.broker.publish(ALL_WORKERS, event)

    async def _give_name_back(self, session: Session) -> None:
        visit = session.visit
        await self.broker.leave(visit, room_event([_leave(visit.place, visit.name)]))

    # -- what is said --------------------------------------------------------------------------------------------------

    async def say(self, said: Said, done: Callable[[Outcome], None]) -> None:
        """Say something in a room; `done` gets its id when it is stored, or the error."""
        await self._recorder.put(said, done)

    async def say_directly(self, said: Said, to: str) -> Reached:
        """Hand something to all sockets of a user, and to the sender's own.

        Raises RecipientNotConnected, or NotReady while the broker is away.
        """
        if await self.broker.owner(to) is None:
            raise RecipientNotConnected
        return await self._hand_on(said, to, sorted({to, said.user}))

    async def push_directly(self, said: Said, to: str) -> Reached:
        """Hand something to all sockets of a user, or of everybody, for somebody who has none."""
        return await self._hand_on(said, to, [to])

    async def _hand_on(self, said: Said, to: str, names: list[str]) -> Reached:
        frame = Direct.model_construct(
            user=said.user, message=said.message, room=said.room, time=said.time, send_user=to, data=said.data
        )
        event = to_json({"to": names}) + b"\n" + frame.model_dump_json().encode()
        return await self.broker.ask(ALL_WORKERS, event)

    async def push(self, said: Said) -> tuple[int, Reached]:
        """Say something in a room for somebody who is not in it: its id, and how many sockets listen to it."""
        stored: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # Who waits for it may have given up meanwhile.
        await self.say(said, lambda outcome: None if stored.done() else stored.set_result(outcome))
        outcome = await stored
        if isinstance(outcome, ServiceError):
            raise outcome
        try:
            reached = await self.broker.ask(ALL_WORKERS, to_json({"count": said.room}) + b"\n")
        except NotReady:  # it is stored: whoever is told of a failure would send it twice
            reached = Reached(self._count_here(said.room), 0)
        return outcome, reached

    def _receive(self, event: bytes) -> int:
        """Take what another worker, or this one, says to all workers."""
        header, _, payload = event.partition(b"\n")
        told = from_json(header)
        if "evict" in told:
            self._evict_here(told["evict"], told["owner"])
            return 0
        if "count" in told:
            return self._count_here(told["count"])
        reached = list(self._sessions_of(told["to"]))
        batch = Batch([payload])
        for session in reached:
            session.outlet.deliver(batch)
        metrics.delivered.inc(len(reached))
        return len(reached)

    def _count_here(self, room_name: str) -> int:
        room = self.rooms.find(room_name)
        return len(room.outlets) if room else 0

    def _tell_here(self, room_name: str, first_id: int, payloads: list[bytes]) -> None:
        if room := self.rooms.find(room_name):
            room.messages(first_id, payloads)

    def _sessions_of(self, names: Iterable[str]) -> Iterable[Session]:
        for name in names:
            if name == EVERYBODY:
                for sessions in self._by_name.values():
                    yield from sessions
            else:
                yield from self._by_name.get(name, ())

    def _evict_here(self, name: str, owner: str) -> None:
        for session in self._by_name.get(name, ()):
            if session.visit.owner != owner:
                put_out(session.outlet, NameTaken())


def put_out(outlet: Outlet, error: ServiceError) -> None:
    """Say why, and close: with 1008, or with 1013 when it may work later."""
    outlet.deliver(Batch([error_frame(error)]))
    outlet.close(TRY_AGAIN_LATER if isinstance(error, NotReady) else POLICY_VIOLATION)


def error_frame(error: ServiceError, ref: str | None = None) -> bytes:
    """The frame that tells of a failure, with the code that REST would answer."""
    frame = Error(code=error.code, message=error.message, ref=ref, data=error.data)
    return frame.model_dump_json().encode()


def _join(room: str, name: str) -> bytes:
    return Join.model_construct(user=name, room=room, time=utc_now()).model_dump_json().encode()


def _leave(room: str, name: str) -> bytes:
    return Leave.model_construct(user=name, room=room, time=utc_now()).model_dump_json().encode()


@asynccontextmanager
async def open_hub(state: State) -> AsyncIterator[Hub]:
    """Open the chat over the database and the broker; list it behind both."""
    hub = Hub(ChatStore(state.database), state.broker, state.settings)
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()
