"""Adding messages: the counters of their rooms are raised and the rows written, in one transaction near the driver.

All texts of SQL are by hand here: this runs for everything that anybody says.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from api.websocketdemo.frames import Message

COUNT_IN_SQLITE = """INSERT INTO websocketdemo_rooms (name, last_id) SELECT key, value FROM json_each(?) WHERE true
    ON CONFLICT (name) DO UPDATE SET last_id = last_id + excluded.last_id RETURNING name, id, last_id"""
ADD_IN_SQLITE = """INSERT INTO websocketdemo_messages (room_id, id, "user", message, data, time)
    VALUES (?, ?, ?, ?, ?, ?)"""

# The rooms in the order of their names, or two workers could wait for each other.
ADD_IN_POSTGRES = """WITH said AS (
        SELECT *, row_number() OVER (PARTITION BY room ORDER BY place) AS place_in_room
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) WITH ORDINALITY
            AS t (room, who, message, data, time, place)
    ), counted AS (
        INSERT INTO websocketdemo_rooms (name, last_id) SELECT room, count(*) FROM said GROUP BY room ORDER BY room
        ON CONFLICT (name) DO UPDATE SET last_id = websocketdemo_rooms.last_id + excluded.last_id
        RETURNING id, name, last_id
    ), numbered AS (
        SELECT said.*, counted.id AS room_id,
            counted.last_id - count(*) OVER (PARTITION BY room) + place_in_room AS id
        FROM said JOIN counted ON counted.name = said.room
    ), added AS (
        INSERT INTO websocketdemo_messages (room_id, id, "user", message, data, time)
        SELECT room_id, id, who, message, data, time FROM numbered
    )
    SELECT id FROM numbered ORDER BY place"""


@dataclass(slots=True)
class Said:
    """Something that somebody said in a room, before it has an id."""

    room: str
    user: str
    message: str
    data: JsonValue
    time: datetime

    def with_id(self, id_: int) -> Message:
        """The frame, as everybody gets it."""
        return Message.model_construct(
            user=self.user, message=self.message, room=self.room, time=self.time, id=id_, data=self.data
        )


def add_in_sqlite(said: Sequence[Said], connection: sqlite3.Connection) -> list[int]:
    """Add within the connection's transaction; answers the ids."""
    numbers = Counter(one.room for one in said)
    counted = connection.execute(COUNT_IN_SQLITE, (to_json(numbers).decode(),)).fetchall()
    rooms = {name: (room_id, last_id - numbers[name]) for name, room_id, last_id in counted}
    rows = []
    for one in said:
        room_id, id_ = rooms[one.room]
        rooms[one.room] = (room_id, id_ + 1)
        time = one.time.astimezone(UTC).isoformat(timespec="microseconds")
        rows.append((room_id, id_ + 1, one.user, one.message, _text(one.data), time))
    connection.executemany(ADD_IN_SQLITE, rows)
    return [row[1] for row in rows]


def columns(said: Sequence[Said]) -> tuple[Sequence[Any], ...]:
    """The arguments of ADD_IN_POSTGRES."""
    return (
        [one.room for one in said],
        [one.user for one in said],
        [one.message for one in said],
        [_text(one.data) for one in said],
        [one.time for one in said],
    )


def _text(data: JsonValue) -> str | None:
    return None if data is None else to_json(data).decode()
