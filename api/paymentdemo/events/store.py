"""Every query of the delivery of events."""

from datetime import datetime

from sqlalchemy import bindparam, select, update

from api.paymentdemo.database import EventRow
from api.paymentdemo.events.due import DueEvent
from extensions.database import Database

AT_ONCE = 20

DUE = select(EventRow.id).where(EventRow.due_at <= bindparam("now")).order_by(EventRow.due_at).limit(AT_ONCE)
CLAIM = (
    update(EventRow)
    .where(EventRow.id.in_(DUE.with_for_update(skip_locked=True)))
    .values(due_at=bindparam("until"), attempts=EventRow.attempts + 1)
    .returning(EventRow.id, EventRow.url, EventRow.body, EventRow.attempts)
)
# A worker that was stopped for longer than its lease must not take the event from whoever has it now.
FINISH = (
    update(EventRow)
    .where(EventRow.id == bindparam("event_id"), EventRow.attempts == bindparam("own_attempt"))
    .values(due_at=bindparam("next_due_at"), delivered_at=bindparam("delivered"))
)


class EventStore:
    """Events that wait for their delivery."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, now: datetime, until: datetime) -> list[DueEvent]:
        """Take some that are due, for nobody else until then; looking first costs less than a transaction."""
        if await self._database.fetch_one(DUE, {"now": now}) is None:
            return []
        async with self._database.transaction() as connection:
            rows = await connection.execute(CLAIM, {"now": now, "until": until})
            return [DueEvent(*row) for row in rows]

    async def finish(self, event: DueEvent, delivered_at: datetime | None, due_at: datetime | None) -> None:
        """Say what became of an attempt: when it was delivered, or when it is due again; neither gives it up."""
        values = {"event_id": event.id, "own_attempt": event.attempts, "next_due_at": due_at, "delivered": delivered_at}
        async with self._database.transaction() as connection:
            await connection.execute(FINISH, values)
