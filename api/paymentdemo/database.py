"""The tables of the payment gateway."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from extensions.database_types import NAMING, MoneyCents, UtcDateTime


class Base(DeclarativeBase):
    """Where the tables of this sub-project are registered."""

    metadata = MetaData(naming_convention=NAMING)


class ChargeRow(Base):
    """A charge. A pending one is settled at `settles_at`."""

    __tablename__ = "paymentdemo_charges"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'succeeded', 'declined', 'refunded')", "status"),
        CheckConstraint("(status = 'pending') = (settles_at IS NOT NULL)", "settles_at"),
        Index(
            None,
            "settles_at",
            postgresql_where=text("settles_at IS NOT NULL"),
            sqlite_where=text("settles_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(String(255), unique=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    reference: Mapped[str] = mapped_column(String(255))
    amount: Mapped[Decimal] = mapped_column(MoneyCents)
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    callback_url: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settles_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EventRow(Base):
    """What the shop is to be told. It is due until it was delivered or given up; whoever delivers it moves that on."""

    __tablename__ = "paymentdemo_events"
    __table_args__ = (
        Index(
            None,
            "due_at",
            postgresql_where=text("due_at IS NOT NULL"),
            sqlite_where=text("due_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    charge_id: Mapped[str] = mapped_column(ForeignKey("paymentdemo_charges.id"), index=True)
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)  # as it is sent: what is signed is bytes, not a document
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
