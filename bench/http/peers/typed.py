"""From rows to pydantic models, for the peers on FastAPI."""

from sqlalchemy.ext.asyncio import AsyncSession

from bench.http.models import BANNERS, Category, Goods, GoodsPage, Home
from bench.http.peers import orm


def goods(found: orm.Found) -> Goods:
    return Goods(**orm.public(*found))


async def page_of(session: AsyncSession, cursor: int | None, page: int | None, size: int) -> GoodsPage:
    """A numbered page with the total, or one of the endless list."""
    if page is not None:
        rows, total = await orm.numbered(session, page, size)
        return GoodsPage(items=list(map(goods, rows)), total=total, page=page, size=size, next_cursor=None)
    items = [goods(row) for row in await orm.newest(session, cursor, size)]
    return GoodsPage(items=items, total=None, page=None, size=size, next_cursor=str(items[-1].id))


async def home(session: AsyncSession) -> Home:
    return Home(
        banners=BANNERS,
        categories=[Category.model_validate(node) for node in await orm.category_tree(session)],
        newest=[goods(row) for row in await orm.newest(session, None, orm.SHELF_SIZE)],
        best_selling=[goods(row) for row in await orm.best_selling(session)],
        recommended=[goods(row) for row in await orm.recommended(session)],
    )
