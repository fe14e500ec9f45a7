"""The seed's way: a session of the ORM for each request, and every answer through `resp_200`."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Response
from sqlalchemy.ext.asyncio import AsyncSession

from bench.http.models import GoodsNew
from bench.http.peers import orm, typed
from bench.http.peers.seed_response import resp_200


def make_app() -> FastAPI:
    app = FastAPI()
    sessions = orm.Sessions()

    @app.get("/shopdemo/home")
    async def show_home(session: Annotated[AsyncSession, Depends(sessions)]) -> Response:
        return resp_200(data=await typed.home(session))

    @app.get("/shopdemo/goods")
    async def list_goods(
        session: Annotated[AsyncSession, Depends(sessions)],
        cursor: int | None = None,
        page: int | None = None,
        size: int = 20,
    ) -> Response:
        return resp_200(data=await typed.page_of(session, cursor, page, size))

    @app.get("/shopdemo/goods/{goods_id}")
    async def get_goods(goods_id: int, session: Annotated[AsyncSession, Depends(sessions)]) -> Response:
        found = await orm.one(session, goods_id)
        if found is None:
            raise HTTPException(404)
        return resp_200(data=typed.goods(found))

    @app.post("/shopdemo/goods")
    async def create_goods(body: GoodsNew, session: Annotated[AsyncSession, Depends(sessions)]) -> Response:
        return resp_200(data=typed.goods(await orm.create(session, body.model_dump())))

    return app
