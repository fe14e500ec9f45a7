"""Every query of the chat: messages are added many at a time, and read by their ids."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from pydantic_core import from_json
from sqlalchemy import Select, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from api.websocketdemo.adding import ADD_IN_POSTGRES, Said, add_in_sqlite, columns
from api.websocketdemo.database import MessageRow, NameRow, RoomRow
from api.websocketdemo.frames import Message
from extensions.database import Database
from utils.fields import MAX_ID, utc_now

ROOMS_AT_ONCE = 100
RECENT_ROOMS = 100
SHORT = 32  # messages that are stored in about 200 µs


def _history(*order: Any) -> Select[int, str, str, str | None, datetime]:
    return (
        select(MessageRow.id, MessageRow.user, MessageRow.message, MessageRow.data, MessageRow.time)
        .join(RoomRow, RoomRow.id == MessageRow.room_id)
        .where(RoomRow.name == bindparam("room"))
        .where(MessageRow.id > bindparam("after"), MessageRow.id < bindparam("before"))
        .order_by(*order)
        .limit(bindparam("limit"))
    )


OLDEST_FIRST = _history(MessageRow.id)
NEWEST_FIRST = _history(MessageRow.id.desc())
FIRST_ID = select(func.min(MessageRow.id)).where(MessageRow.room_id == RoomRow.id).scalar_subquery().label("first_id")
SPAN = select(RoomRow.last_id, FIRST_ID).where(RoomRow.name == bindparam("room"))
LAST_IDS = select(RoomRow.name, RoomRow.last_id).where(
    RoomRow.name.in_([bindparam(f"name{number}") for number in range(ROOMS_AT_ONCE)])
)
NEWEST_ROOMS = select(RoomRow.name, RoomRow.last_id).order_by(RoomRow.id.desc()).limit(RECENT_ROOMS)
NAME = select(NameRow.name).where(NameRow.name == bindparam("name"))
TRIM_ROOM = delete(MessageRow).where(
    MessageRow.room_id == select(RoomRow.id).where(RoomRow.name == bindparam("room")).scalar_subquery(),
    MessageRow.id <= bindparam("up_to"),
)
TRIM_OLD = delete(MessageRow).where(MessageRow.time < bindparam("oldest"))


class Span(NamedTuple):
    """The ids of the oldest message that is kept of a room, and of its newest; 0 when there is none."""

    first_id: int
    last_id: int


class ChatStore:
    """Rooms, messages and names."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = postgresql if database.dialect == "postgresql" else sqlite
        self._add_name = dialect.insert(NameRow).on_conflict_do_nothing()

    async def add(self, said: Sequence[Said]) -> list[int]:
        """Store messages in one transaction; answers their ids. Raises NotReady."""
        if self._database.dialect == "sqlite":
            return await self._database.write_sqlite(partial(add_in_sqlite, said), short=len(said) <= SHORT)
        return [row[0] for row in await self._database.write_postgres(ADD_IN_POSTGRES, *columns(said))]

    async def after(self, room: str, after: int, limit: int, *, before: int = MAX_ID) -> list[Message]:
        """The first messages behind `after`, oldest first."""
        values = {"room": room, "after": after, "before": before, "limit": limit}
        return [_message(room, record) for record in await self._database.fetch_all(OLDEST_FIRST, values)]

    async def before(self, room: str, before: int, limit: int) -> list[Message]:
        """The last messages ahead of `before`, oldest first."""
        values = {"room": room, "after": 0, "before": before, "limit": limit}
        return [_message(room, record) for record in reversed(await self._database.fetch_all(NEWEST_FIRST, values))]

    async def span(self, room: str) -> Span:
        record = await self._database.fetch_one(SPAN, {"room": room})
        return Span(record["first_id"] or 0, record["last_id"]) if record else Span(0, 0)

    async def last_ids(self, rooms: Iterable[str]) -> dict[str, int]:
        """The newest id of each of these rooms that has one."""
        names = list(rooms)
        found: dict[str, int] = {}
        for start in range(0, len(names), ROOMS_AT_ONCE):
            some = names[start : start + ROOMS_AT_ONCE]
            values = dict.fromkeys((f"name{number}" for number in range(ROOMS_AT_ONCE)), some[0])
            values |= {f"name{number}": name for number, name in enumerate(some)}
            records = await self._database.fetch_all(LAST_IDS, values)
            found |= {record["name"]: record["last_id"] for record in records}
        return found

    async def newest_rooms(self) -> dict[str, int]:
        """The rooms that got their first message last, with their newest ids."""
        return {record["name"]: record["last_id"] for record in await self._database.fetch_all(NEWEST_ROOMS)}

    async def is_registered(self, name: str) -> bool:
        return await self._database.fetch_one(NAME, {"name": name}) is not None

    async def register(self, name: str) -> None:
        """Remember that the name is one of somebody with a token."""
        if not await self.is_registered(name):
            async with self._database.transaction() as connection:
                await connection.execute(self._add_name, {"name": name})

    async def trim(self, up_to: Mapping[str, int], days: int) -> None:
        """Delete the messages of these rooms up to these ids, and those of all rooms that are so many days old."""
        async with self._database.transaction() as connection:
            if up_to:
                await connection.execute(TRIM_ROOM, [{"room": room, "up_to": id_} for room, id_ in up_to.items()])
            await connection.execute(TRIM_OLD, {"oldest": utc_now() - timedelta(days=days)})


def _message(room: str, record: Mapping[str, Any]) -> Message:
    data = None if record["data"] is None else from_json(record["data"])
    said = Said(room, record["user"], record["message"], data, record["time"])
    return said.with_id(record["id"])
