"""The tables of the shop."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from extensions.database_types import NAMING, BigId, JsonDocument, MoneyCents, SearchTokens, UtcDateTime


class Base(DeclarativeBase):
    """Where the tables of this sub-project are registered."""

    metadata = MetaData(naming_convention=NAMING)


class CategoryRow(Base):
    """A category; two levels, a top one has no parent."""

    __tablename__ = "shopdemo_categories"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("shopdemo_categories.id"))


class GoodsRow(Base):
    """One kind of goods. The id grows with the time of creation, so ordering by it is ordering by newest."""

    __tablename__ = "shopdemo_goods"
    __table_args__ = (
        CheckConstraint("price >= 0", "price"),
        CheckConstraint("stock >= 0", "stock"),
        # One index for each order that a list can have, alone and behind each level of categories. Every list
        # asks for what is on sale, or for what is not, and counts it in the index alone.
        *(
            Index(None, *level, "on_sale", *order, "id")
            for level in ((), ("category_id",), ("department_id",))
            for order in ((), ("price",), ("sales",))
        ),
        Index(None, "search", postgresql_using="gin").ddl_if(dialect="postgresql"),  # SQLite has an FTS5 table
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    sku: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    category_id: Mapped[int] = mapped_column(ForeignKey("shopdemo_categories.id"))
    # The top category, here again so that a list of it needs one index, not one for each of its children.
    department_id: Mapped[int] = mapped_column(ForeignKey("shopdemo_categories.id"))
    price: Mapped[Decimal] = mapped_column(MoneyCents)
    stock: Mapped[int] = mapped_column(Integer)
    sales: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    on_sale: Mapped[bool] = mapped_column(default=True)
    attributes: Mapped[dict[str, str]] = mapped_column(JsonDocument)
    pictures: Mapped[list[dict[str, Any]]] = mapped_column(JsonDocument)
    search: Mapped[list[str]] = mapped_column(SearchTokens)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CartRow(Base):
    """A cart: of a user, or of a guest who has its id in a signed cookie."""

    __tablename__ = "shopdemo_carts"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - the id of a cart that is gone may be in a cookie

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    owner: Mapped[str | None] = mapped_column(Text, unique=True)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class CartItemRow(Base):
    """So many of one kind of goods in a cart.

    No foreign key leads to the goods: on PostgreSQL its check locks them, and an order could wait for itself.
    """

    __tablename__ = "shopdemo_cart_items"
    __table_args__ = (CheckConstraint("quantity > 0", "quantity"),)

    cart_id: Mapped[int] = mapped_column(ForeignKey("shopdemo_carts.id", ondelete="CASCADE"), primary_key=True)
    goods_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    quantity: Mapped[int] = mapped_column(Integer)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OrderRow(Base):
    """An order. It expires unless it is paid until then; the key is the client's Idempotency-Key."""

    __tablename__ = "shopdemo_orders"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key"),
        CheckConstraint("status IN ('pending', 'paid', 'shipped', 'done', 'cancelled')", "status"),
        Index(None, "owner", "id"),
        Index(None, "status", "id"),
        Index(
            None,
            "expires_at",
            postgresql_where=text("status = 'pending'"),
            sqlite_where=text("status = 'pending'"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    total: Mapped[Decimal] = mapped_column(MoneyCents)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_hash: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OrderLineRow(Base):
    """What was ordered, as it was then: the goods may change later, or go."""

    __tablename__ = "shopdemo_order_lines"
    __table_args__ = (CheckConstraint("quantity > 0", "quantity"),)

    order_id: Mapped[int] = mapped_column(ForeignKey("shopdemo_orders.id"), primary_key=True)
    goods_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    sku: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    price: Mapped[Decimal] = mapped_column(MoneyCents)
    quantity: Mapped[int] = mapped_column(Integer)


class PaymentRow(Base):
    """An attempt to pay an order; order and attempt are the key under which the gateway knows it."""

    __tablename__ = "shopdemo_payments"
    __table_args__ = (
        CheckConstraint("status IN ('started', 'succeeded', 'declined', 'refund_due', 'refunded')", "status"),
        Index(
            None,
            "updated_at",
            postgresql_where=text("status IN ('started', 'refund_due')"),
            sqlite_where=text("status IN ('started', 'refund_due')"),
        ),
    )

    order_id: Mapped[int] = mapped_column(ForeignKey("shopdemo_orders.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(String(16))
    charge_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JobRow(Base):
    """A job that one worker does at a time, and when it is due again."""

    __tablename__ = "shopdemo_jobs"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
