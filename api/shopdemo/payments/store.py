"""Every query of payments; rows become schemas here and never leave."""

import re
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.shopdemo.database import PaymentRow
from api.shopdemo.payments.schemas import Payment
from extensions.database import Record
from utils.fields import utc_now

AT_ONCE = 100

_KEY = re.compile(r"order-([1-9][0-9]{0,17})-([1-9][0-9]{0,8})-[0-9TZ.]+", re.ASCII).fullmatch

COLUMNS = tuple(getattr(PaymentRow, name) for name in Payment.model_fields)
PAYMENTS = select(*COLUMNS).where(PaymentRow.order_id == bindparam("order_id"))
NEWEST = PAYMENTS.order_by(PaymentRow.attempt.desc()).limit(1)
BY_ATTEMPT = PAYMENTS.where(PaymentRow.attempt == bindparam("attempt"))
SAVE = (
    update(PaymentRow)
    .where(PaymentRow.order_id == bindparam("of_order"), PaymentRow.attempt == bindparam("of_attempt"))
    .values(status=bindparam("new_status"), charge_id=bindparam("charge"), updated_at=bindparam("now"))
)
LEFT = (
    select(PaymentRow.order_id, PaymentRow.attempt)
    .where(PaymentRow.status.in_(("started", "refund_due")), PaymentRow.updated_at < bindparam("before"))
    .order_by(PaymentRow.updated_at)
    .limit(AT_ONCE)
    .with_for_update(skip_locked=True)
)
CLAIM = (
    update(PaymentRow)
    .where(tuple_(PaymentRow.order_id, PaymentRow.attempt).in_(LEFT))
    .values(updated_at=bindparam("now"))
    .returning(*COLUMNS)
)


class PaymentWriter:
    """Reads and changes payments inside one transaction; the lock of their order is theirs too."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def newest(self, order_id: int) -> Payment | None:
        """The last attempt to pay an order."""
        return await self._one(NEWEST, {"order_id": order_id})

    async def by_key(self, key: str) -> Payment | None:
        """The attempt that has this key."""
        found = _KEY(key)
        if found is None:
            return None
        payment = await self._one(BY_ATTEMPT, {"order_id": int(found[1]), "attempt": int(found[2])})
        return payment if payment and payment.key == key else None

    async def add(self, order_id: int, attempt: int) -> Payment:
        """Begin an attempt."""
        now = utc_now()
        payment = Payment(
            order_id=order_id, attempt=attempt, status="started", charge_id=None, created_at=now, updated_at=now
        )
        await self._connection.execute(insert(PaymentRow), payment.model_dump())
        return payment

    async def save(self, payment: Payment) -> Payment:
        """Store status and charge of an attempt, and that it was touched now."""
        now = utc_now()
        await self._connection.execute(
            SAVE,
            {
                "of_order": payment.order_id,
                "of_attempt": payment.attempt,
                "new_status": payment.status,
                "charge": payment.charge_id,
                "now": now,
            },
        )
        return payment.model_copy(update={"updated_at": now})

    async def claim(self, before: datetime) -> list[Payment]:
        """Take some of the unsettled payments that nobody has touched since then."""
        rows = await self._connection.execute(CLAIM, {"before": before, "now": utc_now()})
        return [Payment(**row) for row in rows.mappings()]

    async def _one(self, statement: Select[*tuple[Any, ...]], values: Record) -> Payment | None:
        row = (await self._connection.execute(statement, values)).mappings().one_or_none()
        return Payment(**row) if row else None
