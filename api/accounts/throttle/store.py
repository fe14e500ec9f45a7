"""The queries of the throttle."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounts.database import ThrottleRow

KEEP = update(ThrottleRow).where(ThrottleRow.key == bindparam("of_key")).values(arrival=bindparam("new_arrival"))
# Nobody waits for what is deleted, nor is waited for: the order in which rows are found is no order of keys.
OVER = select(ThrottleRow.key).where(ThrottleRow.arrival <= bindparam("now")).with_for_update(skip_locked=True)
DELETE_OVER = delete(ThrottleRow).where(ThrottleRow.key.in_(OVER.scalar_subquery()))


class ThrottleStore:
    """Theoretical arrivals, in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    async def lock(self, keys: Sequence[str], now: datetime) -> dict[str, datetime]:
        """The arrivals of these keys, `now` where there was none; nobody else gets at them before the end.

        Everybody sorts the keys, so that no two wait for each other.
        """
        statement = self._insert(ThrottleRow).values([{"key": key, "arrival": now} for key in keys])
        statement = statement.on_conflict_do_update(
            index_elements=[ThrottleRow.key], set_={"arrival": ThrottleRow.arrival}
        )
        rows = await self._connection.execute(statement.returning(ThrottleRow.key, ThrottleRow.arrival))
        return {row.key: row.arrival for row in rows}

    async def keep(self, arrivals: Mapping[str, datetime]) -> None:
        """Store other arrivals."""
        await self._connection.execute(
            KEEP, [{"of_key": key, "new_arrival": arrival} for key, arrival in arrivals.items()]
        )

    async def delete_over(self, now: datetime) -> None:
        """Forget whoever is not ahead of the rate, and who is not known any more: without a row it is the same."""
        await self._connection.execute(DELETE_OVER, {"now": now})
