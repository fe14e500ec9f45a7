"""Routes that are called without FastAPI's machinery behave as those that are called with it."""

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.testclient import TestClient

from utils.custom_exc import Forbidden
from utils.exception_handlers import register_exception_handlers
from utils.routing import EnvelopeRoute, mount_flat


async def check_door(request: Request) -> None:
    if "key" not in request.query_params:
        raise Forbidden


router = APIRouter(route_class=EnvelopeRoute, dependencies=[Depends(check_door)])


@router.get("/room")
async def show_room(size: int = 1) -> int:
    return size


@pytest.mark.parametrize("overrides", [{}, {len: len}], ids=["direct", "by FastAPI"])
def test_a_dependency_that_only_has_to_pass(overrides: dict[object, object]) -> None:
    app = FastAPI()
    register_exception_handlers(app)
    mount_flat(app, router)
    app.dependency_overrides.update(overrides)  # type: ignore[arg-type]
    client = TestClient(app)
    assert client.get("/room", params={"size": 2, "key": ""}).json() == {"code": 200, "message": "Success", "data": 2}
    assert client.get("/room", params={"size": 2}).status_code == 403
