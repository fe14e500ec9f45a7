"""Every query of goods; rows become schemas here and never leave."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Executable, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.shopdemo.database import CategoryRow, GoodsRow
from api.shopdemo.goods.cursors import Cursor
from api.shopdemo.goods.errors import CategoryUnknown, GoodsNotFound, GoodsSkuTaken
from api.shopdemo.goods.listing import Level, Shape, count_statement, page_statement, select_goods, values_of
from api.shopdemo.schemas import Goods, GoodsCreate, GoodsFilter, Picture, Sort
from extensions.cache import ReadCache
from extensions.database import Database, Record
from utils.fields import utc_now
from utils.full_text import is_code, tokenize_fields

EXPORT_BATCH = 500
ROWS_AT_ONCE = 500
FEW = 2_000  # so many goods are sorted sooner than found by walking a list of a million
COUNT_BYTES = 500  # about what a remembered count takes

GOODS_BY_ID = select_goods().where(GoodsRow.id == bindparam("id"))
GOODS_AFTER_ID = select_goods().where(GoodsRow.id > bindparam("id")).order_by(GoodsRow.id).limit(EXPORT_BATCH)
CHANGE_GOODS = (
    update(GoodsRow).where(GoodsRow.id == bindparam("goods_id")).values(version=GoodsRow.version + 1)
)  # and whatever columns it is executed with
GOODS_LIST = TypeAdapter(list[Goods])  # one call for all is faster than one for each
CATEGORIES = select(CategoryRow.id, CategoryRow.slug, CategoryRow.name, CategoryRow.parent_id)
CATEGORIES_IN_TURN = CATEGORIES.order_by(CategoryRow.id).with_for_update(key_share=True)
CATEGORY_BY_SLUG = CATEGORIES.where(CategoryRow.slug == bindparam("slug"))


class GoodsStore:
    """Reads goods."""

    def __init__(self, database: Database, cache: ReadCache) -> None:
        self._database = database
        self._cache = cache

    async def get(self, goods_id: int) -> Goods | None:
        """One by id."""
        record = await self._database.fetch_one(GOODS_BY_ID, {"id": goods_id})
        return Goods(**record) if record else None

    async def page(
        self, wanted: GoodsFilter, sort: Sort, limit: int, *, offset: int = 0, after: Cursor | None = None
    ) -> list[Goods]:
        """Up to `limit` goods in the order `sort`, from `offset` or behind a cursor; raises CategoryUnknown."""
        shape, values = await self._prepare(wanted)
        if shape.price_min or shape.price_max:
            shape = shape._replace(walks=await self._should_walk(wanted, sort))
        start = "cursor" if after else "offset" if offset else "first"
        values |= {"limit": limit, "offset": offset}
        if after:
            values |= {"after_value": after.value, "after_id": after.goods_id}
        records = await self._database.fetch_all(page_statement(shape, sort, start), values)
        return GOODS_LIST.validate_python(records)

    async def count(self, wanted: GoodsFilter, limit: int) -> int:
        """How many match, counted up to `limit`; remembered until anything changes."""
        key = ("goods count", wanted, limit)
        if (known := self._cache.get(key)) is not None:
            return int(known)
        version = self._cache.version()
        shape, values = await self._prepare(wanted)
        record = await self._database.fetch_one(count_statement(shape), values | {"limit": limit})
        total: int = record["total"] if record else 0
        self._cache.put(key, total, COUNT_BYTES, version)
        return total

    async def everything(self) -> AsyncIterator[Sequence[Goods]]:
        """All goods by id, batch after batch, so that memory does not grow with their number."""
        last_id = 0
        while records := await self._database.fetch_all(GOODS_AFTER_ID, {"id": last_id}):
            yield GOODS_LIST.validate_python(records)
            last_id = records[-1]["id"]

    async def _should_walk(self, wanted: GoodsFilter, sort: Sort) -> bool:
        """Whether a list between two prices is found sooner in its own order than by its prices.

        SQLite cannot know: it has no statistics of this. PostgreSQL decides by itself.
        """
        if self._database.dialect != "sqlite" or sort.endswith("price"):
            return False
        priced = wanted.model_copy(update={"q": None, "in_stock": None})
        return wanted.q is not None or await self.count(priced, FEW) == FEW

    async def _prepare(self, wanted: GoodsFilter) -> tuple[Shape, dict[str, Any]]:
        category = None
        if wanted.category is not None:
            category = await self._database.fetch_one(CATEGORY_BY_SLUG, {"slug": wanted.category})
            if category is None:
                raise CategoryUnknown
        dialect = self._database.dialect
        values = values_of(wanted, dialect, category["id"] if category else None)
        kind: Level | None = None
        if category:
            kind = "department_id" if category["parent_id"] is None else "category_id"
        shape = Shape(
            dialect,
            search="q" in values,
            category=kind,
            price_min="price_min" in values,
            price_max="price_max" in values,
            in_stock=wanted.in_stock,
            code=dialect == "postgresql" and is_code(wanted.q or ""),
        )
        return shape, values


class GoodsWriter:
    """Changes goods inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get_for_update(self, goods_id: int) -> Goods:
        """One by id, kept from others until the transaction ends; raises GoodsNotFound."""
        locked = GOODS_BY_ID.with_for_update(of=GoodsRow)
        record = (await self._connection.execute(locked, {"id": goods_id})).mappings().one_or_none()
        if record is None:
            raise GoodsNotFound
        return Goods(**record)

    async def known_skus(self, skus: Sequence[str]) -> dict[str, int]:
        """The ids of those of these SKUs that exist."""
        known: dict[str, int] = {}
        for start in range(0, len(skus), ROWS_AT_ONCE):
            some = skus[start : start + ROWS_AT_ONCE]
            rows = await self._connection.execute(select(GoodsRow.sku, GoodsRow.id).where(GoodsRow.sku.in_(some)))
            known |= {row.sku: row.id for row in rows}
        return known

    async def create(self, goods: GoodsCreate, *, sales: int = 0) -> Goods:
        """Add goods; raises GoodsSkuTaken or CategoryUnknown."""
        values = _row(goods, await self._category(goods.category)) | _new_row(sales)
        with _taken_sku():
            inserted = await self._connection.execute(insert(GoodsRow).returning(GoodsRow.id), values)
        return Goods(id=inserted.scalar_one(), category=goods.category, **_shown(values))

    async def create_many(self, goods: Sequence[GoodsCreate]) -> None:
        """Add many goods at once; raises GoodsSkuTaken or KeyError for an unknown category."""
        new = _new_row()
        await self._write_many(insert(GoodsRow), [(one, new) for one in goods])

    async def replace(self, goods_id: int, goods: GoodsCreate) -> Goods:
        """Give goods other values; raises GoodsSkuTaken or CategoryUnknown."""
        with _taken_sku():
            await self._change(goods_id, _row(goods, await self._category(goods.category)))
        return await self.get_for_update(goods_id)

    async def replace_many(self, goods: Sequence[tuple[int, GoodsCreate]]) -> None:
        """Give many goods other values; raises GoodsSkuTaken or KeyError for an unknown category."""
        in_turn = sorted(goods, key=lambda one: one[0])  # as orders lock them, or both could wait for each other
        await self._write_many(CHANGE_GOODS, [(one, _changed_row(goods_id)) for goods_id, one in in_turn])

    async def set_pictures(self, goods_id: int, pictures: Sequence[Picture]) -> None:
        """Give goods these pictures."""
        await self._change(goods_id, {"pictures": [picture.model_dump() for picture in pictures]})

    async def delete(self, goods_id: int) -> None:
        """Remove goods."""
        await self._connection.execute(delete(GoodsRow).where(GoodsRow.id == goods_id))

    async def _change(self, goods_id: int, values: Record) -> None:
        await self._connection.execute(CHANGE_GOODS, values | _changed_row(goods_id))

    async def _write_many(self, statement: Executable, goods: Sequence[tuple[GoodsCreate, Record]]) -> None:
        categories = await self.known_categories()
        for start in range(0, len(goods), ROWS_AT_ONCE):
            # Cutting ten thousand texts into words would stop the event loop for half a second.
            rows = await asyncio.to_thread(_rows, goods[start : start + ROWS_AT_ONCE], categories)
            with _taken_sku():
                await self._connection.execute(statement, rows)

    async def known_categories(self) -> dict[str, Record]:
        """The categories by slug; whoever asks first writes many goods first, so that no two wait for each other."""
        rows = await self._connection.execute(CATEGORIES_IN_TURN)
        return {row["slug"]: dict(row) for row in rows.mappings()}

    async def _category(self, slug: str) -> Record:
        found = await self._connection.execute(CATEGORY_BY_SLUG, {"slug": slug})
        record = found.mappings().one_or_none()
        if record is None:
            raise CategoryUnknown
        return dict(record)


def _row(goods: GoodsCreate, category: Record) -> Record:
    """The values that follow from what an administrator says."""
    words = [goods.name, goods.sku, goods.description, category["name"], *goods.attributes.values()]
    return {
        **goods.model_dump(exclude={"category"}),
        "category_id": category["id"],
        "department_id": category["parent_id"] or category["id"],
        "search": tokenize_fields(words),
    }


def _rows(goods: Sequence[tuple[GoodsCreate, Record]], categories: dict[str, Record]) -> list[Record]:
    return [_row(one, categories[one.category]) | others for one, others in goods]


def _new_row(sales: int = 0) -> Record:
    """The values that goods have from the beginning."""
    now = utc_now()
    return {"sales": sales, "pictures": [], "version": 1, "created_at": now, "updated_at": now}


def _changed_row(goods_id: int) -> Record:
    """What CHANGE_GOODS needs beside the values that change."""
    return {"goods_id": goods_id, "updated_at": utc_now()}


@contextmanager
def _taken_sku() -> Iterator[None]:
    """Only the SKU is unique; everything else was checked before it got here."""
    try:
        yield
    except IntegrityError as error:
        raise GoodsSkuTaken from error


def _shown(values: Record) -> Record:
    return {name: value for name, value in values.items() if name in Goods.model_fields}
