"""The wiring of one request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Depends, Header, Path, Request

from api.shopdemo.goods.pictures import Pictures
from api.shopdemo.goods.service import Administration, Catalogue
from api.shopdemo.goods.store import GoodsStore, GoodsWriter
from api.shopdemo.goods.transfer import Importer
from extensions.database import Database
from extensions.security import require_role
from utils.fields import MAX_ID

GoodsId = Annotated[int, Path(ge=1, le=MAX_ID, description="The id of the goods.")]
IfMatch = Annotated[str | None, Header(description="The ETag of the goods as you last read them.")]

AsAdministrator = Depends(require_role("admin"))


async def get_catalogue(request: Request) -> Catalogue:
    state = request.app.state
    return Catalogue(GoodsStore(state.database, state.cache))


@asynccontextmanager
async def open_writer(database: Database) -> AsyncIterator[GoodsWriter]:
    """One transaction on goods."""
    async with database.transaction() as connection:
        yield GoodsWriter(connection)


async def get_administration(request: Request) -> AsyncIterator[Administration]:
    """One transaction for the request; with scope="function" it is committed before the answer leaves."""
    async with open_writer(request.app.state.database) as writer:
        yield Administration(writer)


async def get_importer(request: Request) -> Importer:
    return Importer(partial(open_writer, request.app.state.database))


async def get_pictures(request: Request) -> Pictures:
    return Pictures(partial(open_writer, request.app.state.database), request.app.state.pictures)


CatalogueDep = Annotated[Catalogue, Depends(get_catalogue)]
AdministrationDep = Annotated[Administration, Depends(get_administration, scope="function")]
ImporterDep = Annotated[Importer, Depends(get_importer)]
PicturesDep = Annotated[Pictures, Depends(get_pictures)]
