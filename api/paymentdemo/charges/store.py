"""Every query of charges, and the writing of the events that tell of them; rows become schemas here."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from api.paymentdemo.database import ChargeRow, EventRow
from api.paymentdemo.schemas import Charge, Event, Status
from extensions.database import Database

AT_ONCE = 100

CHARGE_COLUMNS = tuple(getattr(ChargeRow, name) for name in Charge.model_fields)
CHARGES = select(*CHARGE_COLUMNS)
CHARGE_BY_ID = CHARGES.where(ChargeRow.id == bindparam("id"))
CHARGE_BY_KEY = CHARGES.where(ChargeRow.idempotency_key == bindparam("key"))
KNOWN_CHARGE = CHARGE_BY_KEY.add_columns(ChargeRow.request_hash)
SLOW = select(ChargeRow.id).where(ChargeRow.settles_at <= bindparam("now")).limit(AT_ONCE)
SETTLE = (
    update(ChargeRow)
    .where(ChargeRow.id.in_(SLOW.with_for_update(skip_locked=True)))
    .values(status="succeeded", settles_at=None)
    .returning(*CHARGE_COLUMNS)
)
SET_STATUS = update(ChargeRow).where(ChargeRow.id == bindparam("charge_id")).values(status=bindparam("new_status"))


class ChargeStore:
    """Reads charges."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, charge_id: str) -> Charge | None:
        """One by id."""
        record = await self._database.fetch_one(CHARGE_BY_ID, {"id": charge_id})
        return Charge(**record) if record else None

    async def with_key(self, key: str) -> list[Charge]:
        """The one that was made with this Idempotency-Key, or none."""
        return [Charge(**record) for record in await self._database.fetch_all(CHARGE_BY_KEY, {"key": key})]

    async def has_slow(self, now: datetime) -> bool:
        """Whether pending charges are due: looking costs less than a transaction."""
        return await self._database.fetch_one(SLOW, {"now": now}) is not None


class ChargeWriter:
    """Changes charges inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        self._add = dialect.insert(ChargeRow).on_conflict_do_nothing(index_elements=["idempotency_key"])

    async def add(self, charge: Charge, key: str, request_hash: str, settles_at: datetime | None) -> bool:
        """Add a charge unless there is one with this key; answers whether."""
        values = {name: getattr(charge, name) for name in Charge.model_fields}
        values |= {"idempotency_key": key, "request_hash": request_hash, "settles_at": settles_at}
        return (await self._connection.execute(self._add, values)).rowcount == 1

    async def by_key(self, key: str) -> tuple[Charge, str]:
        """The charge that has this key, and the fingerprint of the request that made it."""
        record = dict((await self._connection.execute(KNOWN_CHARGE, {"key": key})).mappings().one())
        request_hash: str = record.pop("request_hash")
        return Charge(**record), request_hash

    async def get_for_update(self, charge_id: str) -> Charge | None:
        """One by id, kept from others until the transaction ends."""
        rows = await self._connection.execute(CHARGE_BY_ID.with_for_update(), {"id": charge_id})
        record = rows.mappings().one_or_none()
        return Charge(**record) if record else None

    async def set_status(self, charge_id: str, status: Status) -> None:
        """Give a charge another state."""
        await self._connection.execute(SET_STATUS, {"charge_id": charge_id, "new_status": status})

    async def settle(self, now: datetime) -> list[Charge]:
        """Let some of the pending charges succeed that are due, each in one transaction only."""
        rows = await self._connection.execute(SETTLE, {"now": now})
        return [Charge(**row) for row in rows.mappings()]

    async def add_events(self, events: Sequence[Event]) -> None:
        """Put events into the outbox, due at once."""
        rows = [
            {
                "id": f"evt_{secrets.token_hex(12)}",
                "charge_id": event.data.id,
                "url": event.data.callback_url,
                "body": event.model_dump_json(),
                "created_at": event.timestamp,
                "due_at": event.timestamp,
            }
            for event in events
        ]
        await self._connection.execute(insert(EventRow), rows)
