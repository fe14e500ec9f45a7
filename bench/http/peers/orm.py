"""What the peers with an ORM share: a session for each request, and the shop's queries on the shop's own tables."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import defer

from api.shopdemo.database import CategoryRow, GoodsRow
from utils.full_text import tokenize_fields

SHELF_SIZE = 10
Found = tuple[GoodsRow, str]
"""A good and the slug of its category."""

GOODS = (
    select(GoodsRow, CategoryRow.slug)
    .join(CategoryRow, CategoryRow.id == GoodsRow.category_id, isouter=True)  # or SQLite sorts the whole table
    .options(defer(GoodsRow.search))  # nobody reads it, and no careful author would load it
)


def make_engine() -> AsyncEngine:
    """The engine as SQLAlchemy makes it, with the same SQLite settings as the service itself."""
    engine = create_async_engine(os.environ["BENCH_DATABASE_URL"])
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def configure(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    return engine


class Sessions:
    """A dependency: one session for each request."""

    def __init__(self) -> None:
        self._make = async_sessionmaker(make_engine(), expire_on_commit=False)

    async def __call__(self) -> AsyncIterator[AsyncSession]:
        async with self._make() as session:
            yield session


def public(row: GoodsRow, slug: str) -> dict[str, Any]:
    """The fields of the contract."""
    return {
        "id": row.id,
        "sku": row.sku,
        "name": row.name,
        "description": row.description,
        "category": slug,
        "price": row.price,
        "stock": row.stock,
        "sales": row.sales,
        "pictures": row.pictures,
        "attributes": row.attributes,
        "on_sale": row.on_sale,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


async def one(session: AsyncSession, goods_id: int) -> Found | None:
    found = (await session.execute(GOODS.where(GoodsRow.id == goods_id))).one_or_none()
    return found._tuple() if found else None


async def newest(session: AsyncSession, before: int | None, size: int) -> list[Found]:
    """A page of the endless list: what is older than a good."""
    statement = GOODS.where(GoodsRow.on_sale).order_by(GoodsRow.id.desc()).limit(size)
    if before is not None:
        statement = statement.where(GoodsRow.id < before)
    return [row._tuple() for row in await session.execute(statement)]


async def numbered(session: AsyncSession, page: int, size: int) -> tuple[list[Found], int]:
    """A numbered page, and how many goods there are."""
    statement = GOODS.where(GoodsRow.on_sale).order_by(GoodsRow.id.desc()).offset((page - 1) * size).limit(size)
    total = await session.scalar(select(func.count()).select_from(GoodsRow).where(GoodsRow.on_sale))
    return [row._tuple() for row in await session.execute(statement)], total or 0


async def best_selling(session: AsyncSession) -> list[Found]:
    statement = GOODS.where(GoodsRow.on_sale).order_by(GoodsRow.sales.desc(), GoodsRow.id.desc()).limit(SHELF_SIZE)
    return [row._tuple() for row in await session.execute(statement)]


async def recommended(session: AsyncSession) -> list[Found]:
    """The best-selling good in stock of each top category."""
    found = []
    for top in await session.scalars(select(CategoryRow.id).where(CategoryRow.parent_id.is_(None))):
        statement = GOODS.where(GoodsRow.on_sale, GoodsRow.stock > 0, GoodsRow.department_id == top)
        statement = statement.order_by(GoodsRow.sales.desc(), GoodsRow.id.desc()).limit(1)
        found += [row._tuple() for row in await session.execute(statement)]
    return sorted(found, key=lambda pair: -pair[0].sales)[:SHELF_SIZE]


async def category_tree(session: AsyncSession) -> list[dict[str, Any]]:
    """The categories with the number of goods in each and below it."""
    counted = select(GoodsRow.category_id, func.count()).where(GoodsRow.on_sale).group_by(GoodsRow.category_id)
    counts = {row[0]: row[1] for row in await session.execute(counted)}
    rows = list(await session.scalars(select(CategoryRow).order_by(CategoryRow.id)))
    nodes: dict[int, dict[str, Any]] = {
        row.id: {"slug": row.slug, "name": row.name, "goods_count": counts.get(row.id, 0), "children": []}
        for row in rows
    }
    for row in rows:
        if row.parent_id is not None:
            nodes[row.parent_id]["children"].append(nodes[row.id])
            nodes[row.parent_id]["goods_count"] += nodes[row.id]["goods_count"]
    return [nodes[row.id] for row in rows if row.parent_id is None]


async def create(session: AsyncSession, values: dict[str, Any]) -> Found:
    """Store a new good; `values` are the fields of the request."""
    slug = values.pop("category")
    category = (await session.scalars(select(CategoryRow).where(CategoryRow.slug == slug))).one()
    now = datetime.now(UTC)
    row = GoodsRow(
        **values,
        category_id=category.id,
        department_id=category.parent_id or category.id,
        sales=0,
        on_sale=True,
        attributes={},
        pictures=[],
        search=tokenize_fields((values["sku"], values["name"], values["description"])),
        created_at=now,
        updated_at=now,
    )
    row.price = Decimal(row.price)
    session.add(row)
    await session.commit()
    return row, slug
