"""Whatever fails, the client gets the envelope with the true status, and nothing that it should not see."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from loguru import logger
from starlette.testclient import TestClient

from api.shopdemo.goods.goods import MAX_UPLOAD_BYTES
from tests.support.catalogue import goods_body
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, invalid
from utils.custom_exc import (
    ContentTooLarge,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    UnsupportedMediaType,
)

pytestmark = only_sqlite

MIB = 1024 * 1024
SECRET = "the-password-that-nobody-may-see"
ORIGIN = {"Origin": "https://shop.example"}
DEBUG_WITH_CORS = {"debug": True, "cors_origins": ("https://shop.example",)}
JSON = {"Content-Type": "application/json"}

Headers = dict[str, str]


def pieces(size: int) -> Iterator[bytes]:
    """A chunked body: its length is not declared."""
    for _ in range(size // 65_536 + 1):
        yield b" " * 65_536


@pytest.mark.parametrize("path", ["/nothing", "/shopdemo", "/shopdemo/goods/1/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_path(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, follow_redirects=False)
    assert (answer.status_code, answer.json()) == (404, failure(NotFound))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/shopdemo/goods", "GET, HEAD, POST"),
        ("POST", "/shopdemo/goods/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("PUT", "/shopdemo/goods/1/pictures", "POST"),
    ],
)
def test_wrong_method(client: TestClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()) == (405, failure(MethodNotAllowed))
    assert ", ".join(sorted(answer.headers["Allow"].split(", "))) == allowed


def test_no_token(client: TestClient) -> None:
    answer = client.post("/shopdemo/goods", json=goods_body())
    assert (answer.status_code, answer.json()) == (401, failure(NotAuthenticated))
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_wrong_role(client: TestClient, customer: Headers) -> None:
    answer = client.post("/shopdemo/goods", json=goods_body(), headers=customer)
    assert (answer.status_code, answer.json()) == (403, failure(Forbidden, "This needs the role “admin”."))


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        ("text/plain", "not as text/plain"),
        ("application/xml", "not as application/xml"),
        ("", "and say so in Content-Type"),
    ],
)
def test_wrong_content_type(client: TestClient, admin: Headers, type_: str, given: str) -> None:
    content = json.dumps(goods_body())
    answer = client.post("/shopdemo/goods", content=content, headers={**admin, "Content-Type": type_})
    message = f"Send the body as application/json, {given}."
    assert (answer.status_code, answer.json()) == (415, failure(UnsupportedMediaType, message))


@pytest.mark.parametrize("path", ["/shopdemo/goods/import", "/shopdemo/goods/1/pictures"])
def test_json_for_an_upload(client: TestClient, admin: Headers, path: str) -> None:
    answer = client.post(path, json={}, headers=admin)
    message = "Send the body as multipart/form-data, not as application/json."
    assert (answer.status_code, answer.json()) == (415, failure(UnsupportedMediaType, message))


@pytest.mark.parametrize(("method", "path"), [("POST", "/shopdemo/goods"), ("PATCH", "/shopdemo/goods/1")])
@pytest.mark.parametrize("declared", [True, False])
def test_too_large_json(client: TestClient, admin: Headers, method: str, path: str, declared: bool) -> None:
    content: Any = b" " * (MIB + 1) if declared else pieces(MIB)
    answer = client.request(method, path, content=content, headers={**admin, **JSON})
    assert (answer.status_code, answer.json()) == (413, failure(ContentTooLarge))


@pytest.mark.parametrize("path", ["/shopdemo/goods/import", "/shopdemo/goods/1/pictures"])
@pytest.mark.parametrize("declared", [True, False])
def test_too_large_upload(client: TestClient, admin: Headers, path: str, declared: bool) -> None:
    content: Any = b" " * (MAX_UPLOAD_BYTES + 1) if declared else pieces(MAX_UPLOAD_BYTES)
    headers = {**admin, "Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post(path, content=content, headers=headers)
    assert (answer.status_code, answer.json()) == (413, failure(ContentTooLarge))


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_for_an_unknown_path_is_not_read(client: TestClient, declared: bool) -> None:
    content: Any = b" " * (11 * MIB) if declared else pieces(11 * MIB)
    answer = client.post("/nothing", content=content)
    assert (answer.status_code, answer.json()) == (404, failure(NotFound))


@pytest.mark.parametrize("path", ["/shopdemo/goods/import", "/shopdemo/goods/1/pictures"])
@pytest.mark.parametrize("content", [b"", b"--b", b"--b\r\nx", b"--b\r\n\r\n\r\n--b--\r\n", b"nothing like it"])
def test_broken_multipart(client: TestClient, admin: Headers, path: str, content: bytes) -> None:
    headers = {**admin, "Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post(path, content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json().keys() == {"code", "message", "data"}


@pytest.mark.parametrize("content", [b"{", b"", b"[1,", b"{'sku': 1}", b"\xff\xfe", b'{"sku": "\xff"}'])
def test_malformed_json(client: TestClient, admin: Headers, content: bytes) -> None:
    answer = client.post("/shopdemo/goods", content=content, headers={**admin, **JSON})
    assert answer.status_code in (400, 422)
    assert answer.json().keys() == {"code", "message", "data"}


@pytest.mark.parametrize("depth", [500, 100_000, 400_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_json(client: TestClient, admin: Headers, depth: int, opening: str) -> None:
    content = (opening * depth)[:MIB]
    answer = client.post("/shopdemo/goods", content=content, headers={**admin, **JSON})
    assert answer.status_code in (400, 422)
    assert answer.json().keys() == {"code", "message", "data"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000])
def test_strange_numbers(client: TestClient, admin: Headers, number: str) -> None:
    for field in ("price", "stock", "name", "attributes", "on_sale"):
        content = json.dumps(goods_body(**{field: "@"})).replace('"@"', number)
        answer = client.post("/shopdemo/goods", content=content, headers={**admin, **JSON})
        assert answer.status_code in (400, 422)
        assert answer.json().keys() == {"code", "message", "data"}


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"sku": "a\ud800b"}, ["sku"]),
        ({"name": "a\ud800b"}, ["name"]),
        ({"description": "a\ud800b"}, ["description"]),
        ({"category": "a\ud800b"}, ["category"]),
        ({"attributes": {"a": "\udfff"}}, ["attributes", "a"]),
        ({"attributes": {"\udfff": "a"}}, ["attributes", "�" * 3, "[key]"]),
        ({"\udfff": "a"}, []),
    ],
)
def test_half_a_surrogate_pair(
    client: TestClient, admin: Headers, catalogue: object, changes: dict[str, Any], loc: list[str]
) -> None:
    content = json.dumps(goods_body(**changes))
    answer = client.post("/shopdemo/goods", content=content, headers={**admin, **JSON})
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["data"]["errors"]] == [["body", *loc]]


def test_rejected_input_is_never_echoed(client: TestClient, admin: Headers) -> None:
    body = {name: [SECRET] for name in goods_body()} | {SECRET[:8]: SECRET}
    answer = client.post("/shopdemo/goods", json=body, headers=admin)
    assert answer.status_code == 422
    assert SECRET not in answer.text
    assert {"input", "ctx", "url"}.isdisjoint(key for error in answer.json()["data"]["errors"] for key in error)


def test_every_wrong_field_is_named(client: TestClient, admin: Headers) -> None:
    body = goods_body(price=1.5, stock="7", nonsense=1)
    del body["sku"]
    answer = client.post("/shopdemo/goods", json=body, headers=admin)
    assert (answer.status_code, answer.json()) == (
        422,
        invalid(
            (("body", "sku"), "Field required", "missing"),
            (
                ("body", "price"),
                'must be a string such as "199.00": up to 8 digits, and up to 2 after the point',
                "value_error",
            ),
            (("body", "stock"), "Input should be a valid integer", "int_type"),
            (("body", "nonsense"), "Extra inputs are not permitted", "extra_forbidden"),
        ),
    )


@pytest.mark.parametrize("settings", [{}, DEBUG_WITH_CORS], indirect=True)
def test_a_crash_leaks_nothing_but_is_logged_under_its_request_id(app: FastAPI) -> None:
    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError(SECRET)

    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    with TestClient(app) as client:
        answer = client.get("/crash", headers={**ORIGIN, "X-Request-ID": "r-1"})
    logger.remove(sink)
    assert (answer.status_code, answer.json()) == (500, failure(InternalError))
    assert answer.headers["X-Request-ID"] == "r-1"
    assert SECRET not in str(answer.headers)
    assert SECRET in "".join(lines)
    if app.state.settings.cors_origins:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"


@pytest.mark.parametrize("settings", [DEBUG_WITH_CORS], indirect=True)
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("POST", "/healthz", 405),
        ("POST", "/shopdemo/goods", 401),
        ("GET", "/shopdemo/goods?size=0", 422),
    ],
)
def test_every_answer_has_request_id_cors_and_security_headers(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path, headers=ORIGIN)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert len(answer.headers["X-Request-ID"]) == 24
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("settings", [DEBUG_WITH_CORS], indirect=True)
def test_preflight(client: TestClient) -> None:
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization, if-match"}
    answer = client.options("/shopdemo/goods/1", headers={**ORIGIN, **asked})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, if-match"


@pytest.mark.parametrize("settings", [DEBUG_WITH_CORS], indirect=True)
def test_another_origin_is_not_allowed(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
