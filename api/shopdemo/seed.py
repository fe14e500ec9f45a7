"""Filling an empty shop with the demo catalogue."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import State

from api.shopdemo.database import CategoryRow
from api.shopdemo.demo.catalogue import DemoGoods, demo_categories, demo_goods
from api.shopdemo.demo.pictures import draw_picture
from api.shopdemo.goods.pictures import as_picture
from api.shopdemo.goods.store import GoodsWriter
from api.shopdemo.schemas import GoodsCreate, Picture
from extensions.pictures import PictureStorage

PICTURE_SIDE = 480  # pixels
CATEGORY_COUNT = select(func.count(CategoryRow.id).label("found"))


async def seed(state: State) -> str | None:
    """Add the demo catalogue, if there are no categories yet; says what it did."""
    found = await state.database.fetch_one(CATEGORY_COUNT)
    if found["found"]:
        return None
    drawings = await _draw()  # before the transaction, which may not take as long as a slow machine draws
    async with state.database.transaction() as connection:
        await _add_categories(connection)
        writer = GoodsWriter(connection)
        created = [await writer.create(_fields(goods), sales=goods.sales) for goods in demo_goods()]
        pictures = await _store([goods.id for goods in created], drawings, state.pictures)
        for goods, picture in zip(created, pictures, strict=True):
            await writer.set_pictures(goods.id, [picture])
    return f"{len(created)} goods with pictures in {len(demo_categories())} categories"


async def _add_categories(connection: AsyncConnection) -> None:
    ids = {category.slug: number for number, category in enumerate(demo_categories(), 1)}
    rows = [
        {
            "id": ids[category.slug],
            "slug": category.slug,
            "name": category.name,
            "parent_id": ids[category.parent] if category.parent else None,
        }
        for category in demo_categories()
    ]
    await connection.execute(insert(CategoryRow), rows)


async def _draw() -> list[bytes]:
    """The picture of each, drawn on all processors."""
    loop = asyncio.get_running_loop()
    # Spawned, because a fork of a process with threads can hang.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as painters:
        work = [loop.run_in_executor(painters, draw_picture, goods, PICTURE_SIDE) for goods in demo_goods()]
        return await asyncio.gather(*work)


async def _store(goods_ids: list[int], drawings: list[bytes], storage: PictureStorage) -> list[Picture]:
    async def store(goods_id: int, drawing: bytes) -> Picture:
        return as_picture(goods_id, await storage.save(str(goods_id), BytesIO(drawing)))

    return await asyncio.gather(*map(store, goods_ids, drawings))


def _fields(goods: DemoGoods) -> GoodsCreate:
    return GoodsCreate(**{name: getattr(goods, name) for name in GoodsCreate.model_fields})
