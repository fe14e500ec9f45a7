"""Litestar: the session as a dependency, msgspec structs by annotation, no envelope."""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Litestar, get, post
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from sqlalchemy.ext.asyncio import AsyncSession

from bench.http.models import BANNERS
from bench.http.peers import orm


class Goods(msgspec.Struct):
    """One good, with the fields of the contract."""

    id: int
    sku: str
    name: str
    description: str
    category: str
    price: Decimal
    stock: int
    sales: int
    pictures: list[dict[str, Any]]
    attributes: dict[str, str]
    on_sale: bool
    created_at: datetime
    updated_at: datetime


class GoodsPage(msgspec.Struct):
    """One page of a list."""

    items: list[Goods]
    total: int | None
    page: int | None
    size: int
    next_cursor: str | None


class GoodsNew(msgspec.Struct):
    """What is said of a new good."""

    sku: str
    name: str
    description: str
    category: str
    price: Decimal
    stock: int


class Home(msgspec.Struct):
    """The front page."""

    banners: list[dict[str, str | None]]
    categories: list[dict[str, Any]]
    newest: list[Goods]
    best_selling: list[Goods]
    recommended: list[Goods]


def _goods(found: orm.Found) -> Goods:
    return Goods(**orm.public(*found))


@get("/shopdemo/home")
async def show_home(session: AsyncSession) -> Home:
    return Home(
        banners=[banner.model_dump() for banner in BANNERS],
        categories=await orm.category_tree(session),
        newest=[_goods(row) for row in await orm.newest(session, None, orm.SHELF_SIZE)],
        best_selling=[_goods(row) for row in await orm.best_selling(session)],
        recommended=[_goods(row) for row in await orm.recommended(session)],
    )


@get("/shopdemo/goods")
async def list_goods(
    session: AsyncSession, cursor: int | None = None, page: int | None = None, size: int = 20
) -> GoodsPage:
    if page is not None:
        rows, total = await orm.numbered(session, page, size)
        return GoodsPage(items=list(map(_goods, rows)), total=total, page=page, size=size, next_cursor=None)
    items = [_goods(row) for row in await orm.newest(session, cursor, size)]
    return GoodsPage(items=items, total=None, page=None, size=size, next_cursor=str(items[-1].id))


@get("/shopdemo/goods/{goods_id:int}")
async def get_goods(goods_id: int, session: AsyncSession) -> Goods:
    found = await orm.one(session, goods_id)
    if found is None:
        raise NotFoundException
    return _goods(found)


@post("/shopdemo/goods")
async def create_goods(data: GoodsNew, session: AsyncSession) -> Goods:
    return _goods(await orm.create(session, msgspec.structs.asdict(data)))


def make_app() -> Litestar:
    sessions = orm.Sessions()

    async def provide_session() -> AsyncIterator[AsyncSession]:
        async for session in sessions():
            yield session

    routes = [show_home, list_goods, get_goods, create_goods]
    return Litestar(routes, dependencies={"session": Provide(provide_session)})
