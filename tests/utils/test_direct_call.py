"""Routes that are called without FastAPI's machinery behave as those that are called with it."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Header, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.testclient import TestClient
from starlette.types import Message

from utils.custom_exc import Forbidden
from utils.direct_call import DirectCall
from utils.exception_handlers import FailureMiddleware, register_exception_handlers
from utils.routing import EnvelopeRoute, mount_flat

MAX_BODY_BYTES = 1000


class Parcel(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    name: str
    weight: int = Field(strict=True, ge=1)


async def check_door(request: Request) -> None:
    request.state.visits = getattr(request.state, "visits", 0) + 1
    if "key" not in request.query_params:
        raise Forbidden


async def visits(request: Request, _: Annotated[None, Depends(check_door)]) -> int:
    count: int = request.state.visits
    return count


async def read_length(request: Request) -> int:
    return len(await request.body())


Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]

router = APIRouter(route_class=EnvelopeRoute, dependencies=[Depends(check_door)])


@router.get("/room")
async def show_room(size: int = 1) -> int:
    return size


@router.post("/parcels/{place}", status_code=201)
async def add_parcel(
    place: int,
    parcel: Parcel,
    response: Response,
    bearer: Bearer,
    visits: Annotated[int, Depends(visits)],
    length: Annotated[int, Depends(read_length)],
    some_number: Annotated[int | None, Header(ge=1)] = None,
    colour: Annotated[str, Cookie(max_length=5)] = "none",
) -> list[Any]:
    response.headers["Location"] = f"/parcels/{place}"
    return [place, parcel, bearer and bearer.credentials, visits, length, some_number, colour]


@router.post("/lists")
async def add_list(numbers: list[int]) -> list[int]:
    return numbers


@router.post("/embedded")
async def add_embedded(parcel: Annotated[Parcel, Body(embed=True)]) -> str:
    return parcel.name


@pytest.fixture(params=["direct", "by FastAPI"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    app = FastAPI()
    register_exception_handlers(app)
    app.add_middleware(FailureMiddleware)
    mount_flat(app, router, max_body_size=MAX_BODY_BYTES)
    if request.param == "by FastAPI":
        app.dependency_overrides[len] = len  # whoever overrides anything gets FastAPI's own way
    with TestClient(app) as client:
        yield client


def test_a_dependency_that_only_has_to_pass(client: TestClient) -> None:
    assert client.get("/room", params={"size": 2, "key": ""}).json() == {"code": 200, "message": "Success", "data": 2}
    assert client.get("/room", params={"size": 2}).status_code == 403


def test_which_routes_are_simple() -> None:
    simple = {route.name: DirectCall.of(route.dependant) is not None for route in router.routes}  # type: ignore[attr-defined]
    assert simple == {"show_room": True, "add_parcel": True, "add_list": False, "add_embedded": False}


PARCEL = {"name": "茶 tea", "weight": 3}
LENGTH = len('{"name":"茶 tea","weight":3}'.encode())


def test_everything_that_a_request_carries(client: TestClient) -> None:
    headers = {"Some-Number": "7", "Authorization": "Bearer abc", "Cookie": "colour=red; other=1"}
    answer = client.post("/parcels/5?key=", json=PARCEL, headers=headers)
    assert answer.json() == {"code": 200, "message": "Success", "data": [5, PARCEL, "abc", 1, LENGTH, 7, "red"]}
    assert (answer.status_code, answer.headers["Location"]) == (201, "/parcels/5")


def test_what_may_be_left_out(client: TestClient) -> None:
    answer = client.post("/parcels/5?key=", json=PARCEL)
    assert answer.json()["data"] == [5, PARCEL, None, 1, LENGTH, None, "none"]


@pytest.mark.parametrize(
    ("path", "options", "status", "locations"),
    [
        ("/parcels/x?key=", {"json": PARCEL}, 422, [["path", "place"]]),
        ("/parcels/5?key=", {"json": {"name": "tea"}}, 422, [["body", "weight"]]),
        ("/parcels/5?key=", {"json": PARCEL | {"colour": "red"}}, 422, [["body", "colour"]]),
        ("/parcels/5?key=", {"json": PARCEL | {"weight": "3"}}, 422, [["body", "weight"]]),
        ("/parcels/5?key=", {"json": [PARCEL]}, 422, [["body"]]),
        ("/parcels/5?key=", {}, 422, [["body"]]),
        ("/parcels/5?key=", {"json": PARCEL, "headers": {"Some-Number": "0"}}, 422, [["header", "some-number"]]),
        ("/parcels/5?key=", {"json": PARCEL, "headers": {"Cookie": "colour=yellow"}}, 422, [["cookie", "colour"]]),
        ("/parcels/5?key=", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, [["body", 1]]),
        ("/parcels/5", {"json": PARCEL}, 403, None),
    ],
)  # fmt: skip
def test_what_does_not_fit(
    client: TestClient, path: str, options: dict[str, Any], status: int, locations: list[Any] | None
) -> None:
    answer = client.post(path, **options)
    assert answer.status_code == status
    assert [error["loc"] for error in (answer.json()["data"] or {"errors": []})["errors"]] == (locations or [])


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b'{"name": "\xff"}', "application/json", 400),
        (b"[" * 900, "application/json", 422),
        (b'{"name": "tea", "weight": 3}', "text/plain", 415),
        (b'{"name": "tea", "weight": 3}', "application/json; charset=utf-8", 201),
        (b'{"name": "tea", "weight": 3}', "application/vnd.parcel+json", 201),
        (b'{"name": "tea", "weight": 3, "weight": 4}', "application/json", 201),
        (b" " * (MAX_BODY_BYTES + 1), "application/json", 413),
    ],
)
def test_bodies(client: TestClient, content: bytes, content_type: str, status: int) -> None:
    answer = client.post("/parcels/5?key=", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text


def test_a_body_in_chunks_of_unknown_length(client: TestClient) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        yield b'{"name": "tea",'
        yield b" " * size
        yield b'"weight": 3}'

    headers = {"Content-Type": "application/json"}
    assert client.post("/parcels/5?key=", content=chunks(1), headers=headers).status_code == 201
    assert client.post("/parcels/5?key=", content=chunks(MAX_BODY_BYTES), headers=headers).status_code == 413


def test_bodies_that_are_no_single_model(client: TestClient) -> None:
    assert client.post("/lists?key=", json=[1, 2]).json()["data"] == [1, 2]
    assert client.post("/embedded?key=", json={"parcel": PARCEL}).json()["data"] == "茶 tea"


@pytest.mark.anyio
async def test_a_body_that_comes_in_pieces_and_one_that_never_ends() -> None:
    """A client that goes away in the middle gets no answer, and causes none to be looked for in the log."""
    app = FastAPI()
    register_exception_handlers(app)
    mount_flat(app, router, max_body_size=MAX_BODY_BYTES)

    async def post(*messages: Message) -> int | None:
        left, sent = iter(messages), []

        async def receive() -> Message:
            return next(left)

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json"), (b"content-length", b"28")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/parcels/5",
            "query_string": b"key=",
            "headers": headers,
            "http_version": "1.1",
        }
        await app(scope, receive, send)
        return sent[0]["status"] if sent else None

    first = {"type": "http.request", "body": b'{"name": "tea",', "more_body": True}
    last = {"type": "http.request", "body": b' "weight": 3}', "more_body": False}
    assert await post(first, last) == 201
    assert await post(first, {"type": "http.disconnect"}) == 400
