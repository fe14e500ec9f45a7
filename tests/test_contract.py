"""What OpenAPI promises of every operation, compared with what the service really answers.

`CALLS` has a request that succeeds for each operation, `FAILURES` one for each failure that is not the same
everywhere; an operation or a documented status without one fails here.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from PIL import Image
from schemathesis.specs.openapi.definitions import OPENAPI_31
from starlette.testclient import TestClient

from api import create_app
from api.shopdemo.goods.dependencies import get_importer
from api.shopdemo.goods.goods import MAX_UPLOAD_BYTES
from api.shopdemo.goods.store import GoodsWriter
from api.shopdemo.goods.transfer import Importer
from api.shopdemo.schemas import Goods
from api.websocketdemo.event_stream import EventStream
from api.websocketdemo.history import HubDep
from api.websocketdemo.push import open_stream
from settings.base import Settings
from settings.testing_config import TestingSettings
from tests.support.catalogue import goods_body
from tests.support.databases import only_sqlite
from utils.custom_exc import NotReady

Headers = dict[str, str]

GOODS = "/shopdemo/goods"
NOBODY = 10**9
NO_PICTURE = f"{0:024x}.webp"

# Routes that are no operations: what a browser loads beside the API.
PAGES = {
    "/openapi.json", "/docs", "/redoc", "/favicon.ico", "/static", "/asyncapi.json", "/static/websocketdemo",
}  # fmt: skip
SOCKETS = {"/websocketdemo/ws/{user}", "/websocketdemo/ws/{room}/{user}"}  # described by /asyncapi.json

VERBS = {
    "list", "get", "show", "create", "replace", "update", "delete", "add", "remove", "import", "export", "push",
    "stream", "register", "refresh", "revoke", "merge", "pay", "cancel", "place",
}  # fmt: skip

# Headers of HTTP itself and of every answer; all others are documented.
PLAIN_HEADERS = {
    "content-type", "content-length", "accept-ranges", "last-modified", "vary", "cache-control",
    "x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-opener-policy",
    "content-security-policy", "x-accel-buffering",
}  # fmt: skip

DOCUMENT: dict[str, Any] = create_app(TestingSettings()).openapi()


class Operation(NamedTuple):
    """One operation of the document."""

    method: str
    path: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        name: str = self.spec["operationId"]
        return name

    @property
    def responses(self) -> dict[str, Any]:
        responses: dict[str, Any] = self.spec["responses"]
        return responses


OPERATIONS = [
    Operation(method.upper(), path, spec) for path, item in DOCUMENT["paths"].items() for method, spec in item.items()
]


class Shop(NamedTuple):
    """The running service with its small catalogue, and who asks."""

    app: FastAPI
    client: TestClient
    admin: Headers
    customer: Headers
    goods: dict[str, Goods]
    picture: str

    def ask(self, operation: Operation, call: "Call") -> Any:
        address = call.path or operation.path
        assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation.path), address), f"{address}: {operation.path}"
        return self.client.request(operation.method, address, **call.options)


class Call(NamedTuple):
    """A request: its path, if that has parameters, and what httpx takes."""

    path: str
    options: dict[str, Any]


def call(path: str = "", **options: Any) -> Call:
    return Call(path, options)


def _goods(shop: Shop, **options: Any) -> Call:
    """A request about the first goods, by an administrator who has just read them."""
    headers = {**shop.admin, "If-Match": shop.goods["TEA-1"].etag}
    return call(f"{GOODS}/{shop.goods['TEA-1'].id}", **{"headers": headers, **options})


def _picture_of(shop: Shop, goods_id: int, **options: Any) -> Call:
    return call(f"{GOODS}/{goods_id}/pictures", headers=shop.admin, files={"file": ("a", _png("red"))}, **options)


def _import(shop: Shop, *lines: str) -> Call:
    text = "\r\n".join(["sku,name,description,category,price,stock", *lines])
    return call(headers=shop.admin, files={"file": ("goods.csv", text.encode())})


def _png(colour: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


class ShortStream(EventStream):
    """A stream with one event, where a real one never ends."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for event in super().__aiter__():
            yield event
            return


async def open_short_stream(hub: HubDep) -> AsyncIterator[EventStream]:
    stream = ShortStream(hub.settings.chat_outbound_bytes)
    async with hub.rooms.listen("lobby", stream, 0):
        yield stream


def _short_stream(shop: Shop) -> Call:
    shop.app.dependency_overrides.setdefault(open_stream, open_short_stream)
    return call("/websocketdemo/rooms/lobby/events")


CALLS: dict[str, Callable[[Shop], Call]] = {
    "show_health": lambda _: call(),
    "show_readiness": lambda _: call(),
    "show_service": lambda _: call(),
    "show_home": lambda _: call(),
    "list_categories": lambda _: call(),
    "list_goods": lambda _: call(params={"q": "龙井", "size": 1}),
    "get_goods": lambda shop: _goods(shop, headers={}),
    "export_goods": lambda _: call(params={"format": "csv"}),
    "import_goods": lambda shop: _import(shop, "NEW-1,新 New,,pots,1.00,1", "NEW-2,新 New,,pots,2.00,2"),
    "create_goods": lambda shop: call(headers=shop.admin, json=goods_body()),
    "replace_goods": lambda shop: _goods(shop, json=goods_body()),
    "update_goods": lambda shop: _goods(shop, json={"price": "1.00"}),
    "delete_goods": _goods,
    "add_picture": lambda shop: _picture_of(shop, shop.goods["TEA-2"].id),
    "show_picture": lambda shop: call(shop.picture),
    "delete_picture": lambda shop: call(shop.picture, headers=shop.admin),
    "show_chat": lambda _: call(),
    "show_asyncapi_page": lambda _: call(),
    "list_rooms": lambda _: call(),
    "list_members": lambda _: call("/websocketdemo/rooms/lobby/users"),
    "list_messages": lambda _: call("/websocketdemo/rooms/lobby/messages"),
    "stream_events": _short_stream,
    "push_message": lambda shop: call(headers=shop.admin, json={"room": "lobby", "message": "你好"}),
}


def _forged(path: str = "") -> Call:
    return call(path, headers={"Authorization": "Bearer forged"})


def _shelf_full(shop: Shop) -> Call:
    address = f"{GOODS}/{shop.goods['TEA-3'].id}/pictures"
    for number in range(10):
        file = {"file": ("a", _png(f"rgb({number * 20}, 0, 0)"))}
        assert shop.client.post(address, headers=shop.admin, files=file).status_code == 201
    return _picture_of(shop, shop.goods["TEA-3"].id)


class LateWriter(GoodsWriter):
    """Looks for SKUs before somebody else takes them."""

    async def known_skus(self, _: Sequence[str]) -> dict[str, int]:
        return {}


def _lost_race(shop: Shop) -> Call:
    @asynccontextmanager
    async def open_writer() -> AsyncIterator[GoodsWriter]:
        async with shop.app.state.database.transaction() as connection:
            yield LateWriter(connection)

    shop.app.dependency_overrides[get_importer] = lambda: Importer(open_writer)
    return _import(shop, "TEA-1,新 New,,pots,1.00,1")


FAILURES: dict[tuple[str, int], Callable[[Shop], Call]] = {
    ("list_goods", 422): lambda _: call(params={"cursor": "nonsense"}),
    ("get_goods", 404): lambda _: call(f"{GOODS}/{NOBODY}"),
    ("get_goods", 422): lambda _: call(f"{GOODS}/0"),
    ("export_goods", 422): lambda _: call(params={"format": "pdf"}),
    ("import_goods", 409): _lost_race,
    ("import_goods", 422): lambda shop: _import(shop, "TEA-1,旧 Old,,nowhere,1.00,1"),
    ("create_goods", 409): lambda shop: call(headers=shop.admin, json=goods_body(sku="TEA-1")),
    ("create_goods", 422): lambda shop: call(headers=shop.admin, json=goods_body(category="nowhere")),
    ("replace_goods", 404): lambda shop: _goods(shop, json=goods_body())._replace(path=f"{GOODS}/{NOBODY}"),
    ("replace_goods", 409): lambda shop: _goods(shop, json=goods_body(sku="TEA-2")),
    ("replace_goods", 412): lambda shop: _goods(
        shop, json=goods_body(), headers={**shop.admin, "If-Match": '"another"'}
    ),
    ("replace_goods", 422): lambda shop: _goods(shop, json=goods_body(price=1)),
    ("replace_goods", 428): lambda shop: _goods(shop, json=goods_body(), headers=shop.admin),
    ("update_goods", 404): lambda shop: _goods(shop, json={"stock": 1})._replace(path=f"{GOODS}/{NOBODY}"),
    ("update_goods", 409): lambda shop: _goods(shop, json={"sku": "TEA-2"}),
    ("update_goods", 412): lambda shop: _goods(shop, json={}, headers={**shop.admin, "If-Match": '"another"'}),
    ("update_goods", 422): lambda shop: _goods(shop, json={"stock": -1}),
    ("update_goods", 428): lambda shop: _goods(shop, json={"stock": 1}, headers=shop.admin),
    ("delete_goods", 404): lambda shop: call(f"{GOODS}/{NOBODY}", headers=shop.admin),
    ("delete_goods", 412): lambda shop: _goods(shop, headers={**shop.admin, "If-Match": '"another"'}),
    ("delete_goods", 422): lambda shop: call(f"{GOODS}/x", headers=shop.admin),
    ("add_picture", 404): lambda shop: _picture_of(shop, NOBODY),
    ("add_picture", 409): _shelf_full,
    ("add_picture", 422): lambda shop: _picture_of(shop, 0),
    ("show_picture", 404): lambda shop: call(f"{GOODS}/1/pictures/{NO_PICTURE}"),
    ("show_picture", 400): lambda shop: call(shop.picture, headers={"Range": "lines=1-2"}),
    ("show_picture", 416): lambda shop: call(shop.picture, headers={"Range": "bytes=1000000-"}),
    ("show_picture", 422): lambda shop: call(f"{GOODS}/1/pictures/a.png"),
    ("delete_picture", 404): lambda shop: call(f"{GOODS}/1/pictures/{NO_PICTURE}", headers=shop.admin),
    ("delete_picture", 422): lambda shop: call(f"{GOODS}/1/pictures/a.png", headers=shop.admin),
    ("list_rooms", 401): lambda _: _forged(),
    ("list_members", 401): lambda _: _forged("/websocketdemo/rooms/lobby/users"),
    ("list_members", 422): lambda _: call("/websocketdemo/rooms/a room/users"),
    ("list_messages", 401): lambda _: _forged("/websocketdemo/rooms/lobby/messages"),
    ("list_messages", 422): lambda _: call("/websocketdemo/rooms/lobby/messages", params={"limit": 0}),
    ("stream_events", 401): lambda _: _forged("/websocketdemo/rooms/lobby/events"),
    ("stream_events", 422): lambda _: call("/websocketdemo/rooms/lobby/events", params={"since": -1}),
    ("push_message", 422): lambda shop: call(headers=shop.admin, json={"message": "to whom?"}),
}


def _with_headers(made: Call, **headers: str) -> Call:
    return made._replace(options={**made.options, "headers": headers})


def _with_body(made: Call, body: bytes, content_type: str) -> Call:
    headers = {**made.options["headers"], "Content-Type": content_type}
    kept = {key: value for key, value in made.options.items() if key not in ("json", "files")}
    return made._replace(options={**kept, "headers": headers, "content": body})


def _unreadable(made: Call) -> Call:
    if "json" in made.options:
        return _with_body(made, b'{"name": "\xff"}', "application/json")
    return _with_body(made, b"no boundary", "multipart/form-data")


# What is provoked in the same way everywhere, by what is changed in a request that succeeds.
COMMON_FAILURES: dict[int, Callable[[Shop, Call], Call]] = {
    400: lambda _, made: _unreadable(made),
    401: lambda _, made: _with_headers(made),
    403: lambda shop, made: _with_headers(made, **shop.customer),
    413: lambda _, made: (
        _with_body(made, bytes(MAX_UPLOAD_BYTES + 1), "multipart/form-data; boundary=a")
        if "files" in made.options
        else _with_body(made, b" " * (1024 * 1024 + 1), "application/json")
    ),
    415: lambda _, made: _with_body(made, b"text", "text/plain"),
}


class AwayDatabase:
    """A database that cannot be reached."""

    dialect = "sqlite"

    async def check(self) -> None:
        raise NotReady

    async def fetch_all(self, *_: Any) -> Any:
        raise NotReady

    async def fetch_one(self, *_: Any) -> Any:
        raise NotReady

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        raise NotReady


class AwayHub:
    """A chat whose database and broker cannot be reached."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __getattr__(self, _: str) -> Any:
        raise NotReady


@contextmanager
def away(app: FastAPI) -> Iterator[None]:
    """While the database of `app` cannot be reached."""
    database, app.state.database = app.state.database, AwayDatabase()
    app.state.resources["database"] = app.state.database
    hub, app.state.hub = app.state.hub, AwayHub(app.state.hub.settings)
    yield
    app.state.database = app.state.resources["database"] = database
    app.state.hub = hub


@pytest.fixture
def shop(app: FastAPI, client: TestClient, admin: Headers, customer: Headers, catalogue: dict[str, Goods]) -> Shop:
    first = f"{GOODS}/{catalogue['TEA-1'].id}"
    added = client.post(f"{first}/pictures", headers=admin, files={"file": ("a", _png("blue"))}).json()["data"]
    # A picture is a change: the goods have the next version now.
    goods = catalogue["TEA-1"].model_copy(update={"version": catalogue["TEA-1"].version + 1})
    return Shop(app, client, admin, customer, {**catalogue, "TEA-1": goods}, added["url"])


by_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def deviations(operation: Operation, answer: Any) -> Iterator[str]:
    """Where a real answer is not the documented one."""
    status = str(answer.status_code)
    if status not in operation.responses:
        yield f"{status} is not documented: {answer.text[:200]}"
        return
    yield from (f"{status}: {text}" for text in _header_deviations(operation.responses[status], answer))
    yield from (f"{status}: {text}" for text in _body_deviations(operation.responses[status], answer))


def _header_deviations(response: dict[str, Any], answer: Any) -> Iterator[str]:
    documented = {name.lower() for name in response.get("headers", {})} - PLAIN_HEADERS
    sent = set(answer.headers) - PLAIN_HEADERS
    if sent != documented:
        yield f"the headers {sorted(sent)} are sent, {sorted(documented)} are documented"


def _body_deviations(response: dict[str, Any], answer: Any) -> Iterator[str]:
    content = response.get("content", {})
    content_type = answer.headers.get("content-type", "").partition(";")[0]
    if content_type not in (content or {"": {}}):
        yield f"{content_type or 'nothing'} is sent, {sorted(content)} are documented"
    elif content_type == "application/json":
        body = answer.json()
        if list(body) != ["code", "message", "data"]:
            yield f"the keys are {list(body)}"
        validator = jsonschema_rs.Draft202012Validator(
            {**content[content_type]["schema"], "components": DOCUMENT["components"]}, validate_formats=True
        )
        yield from (f"{error.message} at {error.instance_path}" for error in validator.iter_errors(body))
        if answer.status_code < 400:
            if body["code"] != 200:
                yield f"the code is {body['code']}"
        elif body["code"] not in [example["value"]["code"] for example in content[content_type]["examples"].values()]:
            yield f"no example has the code {body['code']}"


def failing_calls(shop: Shop, operation: Operation) -> Iterator[tuple[int, Call]]:
    """A request for each failure that the operation documents."""
    for status in sorted(int(status) for status in operation.responses if status >= "400"):
        key = (operation.name, status)
        if key in FAILURES:
            yield status, FAILURES[key](shop)
        elif status in COMMON_FAILURES:
            yield status, COMMON_FAILURES[status](shop, CALLS[operation.name](shop))
        else:
            assert status in (500, 503), f"Say in FAILURES which request gets {status} of {operation.name}."


@by_operation
def test_every_documented_answer_is_given_as_documented(
    operation: Operation, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operation.name in CALLS, f"Say in CALLS which request to {operation.name} succeeds."
    wrong: list[str] = []

    def expect(statuses: set[int], made: Call) -> None:
        answer = shop.ask(operation, made)
        if answer.status_code not in statuses:
            wrong.append(f"{answer.status_code} instead of {statuses}: {answer.text[:200]}")
        wrong.extend(deviations(operation, answer))

    for status, made in failing_calls(shop, operation):
        expect({status}, made)
    (success,) = {int(status) for status in operation.responses if status.startswith("2")} - {206}
    if "503" in operation.responses:
        with away(shop.app):
            expect({503}, CALLS[operation.name](shop))
    with monkeypatch.context() as patch:
        _break(shop.app, operation, patch)
        expect({500}, CALLS[operation.name](shop))
    if "304" in operation.responses:
        made = CALLS[operation.name](shop)
        expect({304}, _with_headers(made, **made.options.get("headers", {}), **{"If-None-Match": "*"}))
    if "206" in operation.responses:
        expect({206}, _with_headers(CALLS[operation.name](shop), Range="bytes=0-3"))
    expect({success}, CALLS[operation.name](shop))
    assert wrong == []


def _crash_at_once() -> None:
    raise RuntimeError("secret")


def _break(app: FastAPI, operation: Operation, patch: pytest.MonkeyPatch) -> None:
    """Let the route crash."""

    async def crash(**_: Any) -> None:
        raise RuntimeError("secret")

    (route,) = (route for route in app.routes if isinstance(route, APIRoute) and route.unique_id == operation.name)
    patch.setitem(app.dependency_overrides, crash, crash)  # so that FastAPI itself calls the route
    if operation.name == "stream_events":  # once it streams, it has answered
        patch.setitem(app.dependency_overrides, open_stream, _crash_at_once)
    else:
        patch.setattr(route.dependant, "call", crash)


@by_operation
@only_sqlite
def test_503_is_documented_where_the_database_is_needed(operation: Operation, shop: Shop) -> None:
    with away(shop.app):
        answer = shop.ask(operation, CALLS[operation.name](shop))
    assert (answer.status_code == 503) == ("503" in operation.responses)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method == "GET"], ids=lambda o: o.name)
@only_sqlite
def test_head_is_get_without_the_body(operation: Operation, shop: Shop) -> None:
    made = CALLS[operation.name](shop)
    made = _with_headers(made, **made.options.get("headers", {}), **{"X-Request-ID": "the-same"})
    got = shop.ask(operation, made)
    head = shop.ask(operation._replace(method="HEAD"), made)
    assert (head.status_code, head.headers, head.content) == (got.status_code, got.headers, b"")


@by_operation
def test_what_is_documented_of_every_operation(operation: Operation) -> None:
    spec = operation.spec
    assert re.fullmatch(rf"({'|'.join(VERBS)})(_[a-z]+)+", operation.name), "An operation is called verb_noun."
    assert spec["summary"].strip()
    assert spec["description"].strip()
    assert spec["tags"]
    statuses = set(operation.responses)
    assert "500" in statuses
    assert ("422" in statuses) == bool(spec.get("parameters") or spec.get("requestBody"))
    assert ({"400", "413", "415"} <= statuses) == ("requestBody" in spec)
    assert bool(statuses & {"413", "415"}) == ("requestBody" in spec)
    assert ("400" in statuses) == ("requestBody" in spec or "206" in statuses)
    writes = operation.method != "GET"
    assert ({} not in spec.get("security", [{}])) == writes, "Reading is open where guests are, writing is not."
    assert ("401" in statuses) == ("security" in spec)
    assert ("403" in statuses) == writes


@by_operation
def test_documented_answers_have_the_envelope(operation: Operation) -> None:
    for status, response in operation.responses.items():
        json = response.get("content", {}).get("application/json")
        if status >= "400":
            assert list(response["content"]) == ["application/json"]
            assert json["schema"] == {"$ref": "#/components/schemas/ErrorEnvelope"}
            for example in json["examples"].values():
                assert list(example["value"]) == ["code", "message", "data"]
                assert int(status) in (example["value"]["code"], example["value"]["code"] // 100)
                assert example["summary"]
        elif json:
            assert re.fullmatch(r"#/components/schemas/Envelope_\w+", json["schema"]["$ref"])
        assert response["description"]


def test_operation_ids_are_unique() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert sorted(names) == sorted(set(names))


def test_no_request_is_left_of_an_operation_that_is_gone() -> None:
    statuses = {(operation.name, int(status)) for operation in OPERATIONS for status in operation.responses}
    assert set(CALLS) <= {name for name, _ in statuses}
    assert set(FAILURES) <= statuses


def test_every_route_is_in_the_document_or_a_page() -> None:
    app = create_app(TestingSettings())
    routes = {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        if route.path not in PAGES | SOCKETS
        for method in route.methods or {"no method"}
    }
    assert routes == {(operation.method, operation.path) for operation in OPERATIONS}


def test_the_document_is_valid() -> None:
    errors = jsonschema_rs.Draft202012Validator(OPENAPI_31, validate_formats=True).iter_errors(DOCUMENT)
    assert [error.message for error in errors] == []
    assert DOCUMENT["openapi"].startswith("3.1")
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        assert "ValidationError" not in name, "What FastAPI would answer is never sent."


def test_examples_are_what_the_schemas_say() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
        for example in schema.get("examples", ()):
            assert [error.message for error in validator.iter_errors(example)] == [], name


def test_paths_in_answers_are_documented_to_begin_at_the_root_of_the_service() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema, field in (
        ("Picture", "url"),
        ("Picture", "thumbnail_url"),
        ("Banner", "picture_url"),
        ("Banner", "link"),
    ):
        assert "from the root of the service" in schemas[schema]["properties"][field]["description"]
    for operation in OPERATIONS:
        if location := operation.responses.get("201", {}).get("headers", {}).get("Location"):
            assert "from the root of the service" in location["description"]
