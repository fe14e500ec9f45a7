"""The envelope part: the same two fixed answers, in each way to write them."""

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute

from api import create_app
from bench.http.models import ONE, PAGE, Goods, GoodsPage
from bench.http.peers.seed_response import resp_200
from extensions.logger import configure_logging
from settings import get_settings
from utils.routing import EnvelopeRoute, mount_flat


def typed_router(route_class: type[APIRoute]) -> APIRouter:
    """Routes that return models by annotation."""
    router = APIRouter(prefix="/fixed", route_class=route_class)

    @router.get("/one")
    async def get_one() -> Goods:
        return ONE

    @router.get("/page")
    async def get_page() -> GoodsPage:
        return PAGE

    return router


def make_plain() -> FastAPI:
    """FastAPI as its documentation shows it: the bare model by annotation."""
    app = FastAPI()
    app.include_router(typed_router(APIRoute))
    return app


def make_route() -> FastAPI:
    """Our route class and nothing else."""
    app = FastAPI()
    mount_flat(app, typed_router(EnvelopeRoute))
    return app


def make_service() -> FastAPI:
    """The whole service, with these two routes added: request id, access log, security headers, failures."""
    settings = get_settings()
    configure_logging(settings)
    app = create_app(settings)
    mount_flat(app, typed_router(EnvelopeRoute))
    return app


def make_seed() -> FastAPI:
    """The seed's way: every answer through `resp_200`."""
    app = FastAPI()

    @app.get("/fixed/one")
    async def get_one() -> Response:
        return resp_200(data=ONE)

    @app.get("/fixed/page")
    async def get_page() -> Response:
        return resp_200(data=PAGE)

    return app
