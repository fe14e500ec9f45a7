"""Plain FastAPI: a session of the ORM for each request, models by annotation, no envelope."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import AsyncSession

from bench.http.models import Goods, GoodsNew, GoodsPage, Home
from bench.http.peers import orm, typed


def make_app() -> FastAPI:
    app = FastAPI()
    sessions = orm.Sessions()

    @app.get("/shopdemo/home")
    async def show_home(session: Annotated[AsyncSession, Depends(sessions)]) -> Home:
        return await typed.home(session)

    @app.get("/shopdemo/goods")
    async def list_goods(
        session: Annotated[AsyncSession, Depends(sessions)],
        cursor: int | None = None,
        page: int | None = None,
        size: int = 20,
    ) -> GoodsPage:
        return await typed.page_of(session, cursor, page, size)

    @app.get("/shopdemo/goods/{goods_id}")
    async def get_goods(goods_id: int, session: Annotated[AsyncSession, Depends(sessions)]) -> Goods:
        found = await orm.one(session, goods_id)
        if found is None:
            raise HTTPException(404)
        return typed.goods(found)

    @app.post("/shopdemo/goods", status_code=201)
    async def create_goods(body: GoodsNew, session: Annotated[AsyncSession, Depends(sessions)]) -> Goods:
        return typed.goods(await orm.create(session, body.model_dump()))

    return app
