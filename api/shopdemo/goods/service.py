"""The rules of goods; knows neither the web framework nor the database."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from api.shopdemo.goods.cursors import Cursor
from api.shopdemo.goods.errors import GoodsNotFound, PageTooDeep
from api.shopdemo.schemas import Goods, GoodsCreate, GoodsFilter, GoodsPage, GoodsQuery, GoodsUpdate, Sort
from utils.custom_exc import PreconditionFailed, PreconditionRequired
from utils.etags import matches

COUNT_LIMIT = 10_000  # counting further costs more than anybody gains from the number
DEAR_COUNT_LIMIT = 1_000  # a search, and a list by stock: every row has to be looked at
_SOLD = re.compile(r'\.\d+\.\d+(?=")')  # stock and sales at the end of an ETag


class Reads(Protocol):
    """What the catalogue needs of a store."""

    async def get(self, goods_id: int) -> Goods | None: ...

    async def page(
        self, wanted: GoodsFilter, sort: Sort, limit: int, *, offset: int = 0, after: Cursor | None = None
    ) -> list[Goods]: ...

    async def count(self, wanted: GoodsFilter, limit: int) -> int: ...

    def everything(self) -> AsyncIterator[Sequence[Goods]]: ...


class Writes(Protocol):
    """What the administration needs of a store, inside one transaction."""

    async def get_for_update(self, goods_id: int) -> Goods: ...

    async def create(self, goods: GoodsCreate) -> Goods: ...

    async def replace(self, goods_id: int, goods: GoodsCreate) -> Goods: ...

    async def delete(self, goods_id: int) -> None: ...


class Catalogue:
    """Goods as customers look at them."""

    def __init__(self, store: Reads) -> None:
        self._store = store

    async def get(self, goods_id: int) -> Goods:
        """One by id; raises GoodsNotFound."""
        goods = await self._store.get(goods_id)
        if goods is None:
            raise GoodsNotFound
        return goods

    async def list(self, query: GoodsQuery) -> GoodsPage:
        """A numbered page, or the next part of an endless list."""
        if query.cursor is not None:
            return await self._endless(query.filter(), query)
        return await self._numbered(query.filter(), query)

    def everything(self) -> AsyncIterator[Sequence[Goods]]:
        """All goods, batch after batch."""
        return self._store.everything()

    async def _endless(self, wanted: GoodsFilter, query: GoodsQuery) -> GoodsPage:
        after = Cursor.decode(query.cursor, query.sort) if query.cursor else None
        found = await self._store.page(wanted, query.sort, query.size + 1, after=after)
        return _page(found, query, total=None, page=None)

    async def _numbered(self, wanted: GoodsFilter, query: GoodsQuery) -> GoodsPage:
        page = query.page or 1
        offset = (page - 1) * query.size
        limit = DEAR_COUNT_LIMIT if query.q or query.in_stock is not None else COUNT_LIMIT
        total = await self._store.count(wanted, limit)
        if offset + query.size > limit and total == limit:
            raise PageTooDeep
        found = await self._store.page(wanted, query.sort, query.size + 1, offset=offset) if offset < total else []
        return _page(found, query, total=total, page=page)


class Administration:
    """Goods as administrators change them; `if_match` is the header with the ETag they last read."""

    def __init__(self, store: Writes) -> None:
        self._store = store

    async def create(self, goods: GoodsCreate) -> Goods:
        """Add goods."""
        return await self._store.create(goods)

    async def replace(self, goods_id: int, goods: GoodsCreate, if_match: str | None) -> Goods:
        """Give goods all new values, unless somebody changed them meanwhile."""
        await self._unchanged(goods_id, if_match)
        return await self._store.replace(goods_id, goods)

    async def update(self, goods_id: int, change: GoodsUpdate, if_match: str | None) -> Goods:
        """Change some values, unless somebody changed them meanwhile.

        Sales go on while somebody writes a description: they only matter to who sets the stock.
        """
        now = await self._unchanged(goods_id, if_match, but_sold="stock" not in change.model_fields_set)
        known = now.model_dump(include=set(GoodsCreate.model_fields))
        return await self._store.replace(goods_id, GoodsCreate(**{**known, **change.model_dump(exclude_unset=True)}))

    async def delete(self, goods_id: int, if_match: str | None) -> None:
        """Remove goods; here the ETag may be left out, there is nothing to overwrite."""
        await self._unchanged(goods_id, if_match, required=False, but_sold=True)
        await self._store.delete(goods_id)

    async def _unchanged(
        self, goods_id: int, if_match: str | None, *, required: bool = True, but_sold: bool = False
    ) -> Goods:
        if required and if_match is None:
            raise PreconditionRequired
        goods = await self._store.get_for_update(goods_id)
        if if_match is not None and not _is_current(if_match, goods.etag, but_sold=but_sold):
            raise PreconditionFailed
        return goods


def _is_current(if_match: str, etag: str, *, but_sold: bool) -> bool:
    if but_sold:
        if_match, etag = _SOLD.sub("", if_match), _SOLD.sub("", etag)
    return matches(if_match, etag)


def _page(found: Sequence[Goods], query: GoodsQuery, *, total: int | None, page: int | None) -> GoodsPage:
    """Make a page of `found`, which has one more than the page if the list goes on."""
    items = list(found[: query.size])
    cursor = Cursor(query.sort, _sort_value(items[-1], query.sort), items[-1].id) if len(found) > query.size else None
    return GoodsPage(
        items=items, total=total, page=page, size=query.size, next_cursor=cursor.encode() if cursor else None
    )


def _sort_value(goods: Goods, sort: Sort) -> int:
    match sort.removeprefix("-"):
        case "price":
            return int(goods.price.scaleb(2))
        case "sales":
            return goods.sales
        case _:
            return 0
