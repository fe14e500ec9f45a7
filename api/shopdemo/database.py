"""The tables of the shop."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, MetaData, String, Text
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
