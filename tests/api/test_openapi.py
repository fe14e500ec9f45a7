"""What OpenAPI says of all operations alike: keys that are always there, money, and what comes before an operation."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema_rs
import pytest
from starlette.testclient import TestClient

from api import create_app
from extensions import http_server
from settings.testing_config import TestingSettings
from tests.support.catalogue import goods_body
from tests.support.databases import only_sqlite
from tests.support.raw_http import envelope, serving, statuses

Document = dict[str, Any]

DOCUMENT: Document = create_app(TestingSettings()).openapi()
COMPONENTS: Document = DOCUMENT["components"]
OPERATIONS: list[Document] = [operation for item in DOCUMENT["paths"].values() for operation in item.values()]

SCHEMAS = "#/components/schemas/"
NOT_REACHED = "#/components/responses/NotReached"

TOO_MANY_HEADERS = b"X: a\r\n" * http_server.MAX_HEADERS
BEFORE_ANY_OPERATION = [
    (400, b"HELLO\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    (408, b"GET / HTTP/1.1\r\nHost: shop.example\r\n"),
    (413, b"GET /asyncapi HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 100000000\r\n\r\n"),
    (431, b"GET / HTTP/1.1\r\nHost: shop.example\r\n" + TOO_MANY_HEADERS + b"\r\n"),
]


def named_in(part: Any) -> Iterator[str]:
    """The schemas that a part of the document refers to."""
    if isinstance(part, dict):
        if part.get("$ref", "").startswith(SCHEMAS):
            yield part["$ref"].removeprefix(SCHEMAS)
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from named_in(each)


def with_inner(names: Iterable[str]) -> set[str]:
    """These schemas and all in them."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(named_in(COMPONENTS["schemas"][name]))
    return found


TAKEN = with_inner(named_in([operation.get("requestBody") for operation in OPERATIONS]))
SENT = {
    name: COMPONENTS["schemas"][name]
    for name in with_inner(named_in([operation["responses"] for operation in OPERATIONS])) - TAKEN
}


def violations(content: Document, body: Any) -> list[str]:
    """Where a body is not what the document says of it."""
    schema = {**content["application/json"]["schema"], "components": COMPONENTS}
    return [error.message for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(body)]


def test_every_key_of_an_answer_is_there() -> None:
    """A client generator makes what is not required optional; `utils.response_code.Output` says that it is."""
    optional = {
        name: set(schema.get("properties", ())) - set(schema.get("required", ())) for name, schema in SENT.items()
    }
    assert {name: keys for name, keys in optional.items() if keys} == {}


def test_no_two_schemas_have_one_title() -> None:
    """Client generators name their classes by it, and leave out the second, with all operations that have it."""
    titles = Counter(schema.get("title") for schema in COMPONENTS["schemas"].values())
    assert [title for title, count in titles.items() if count > 1] == []


def test_money_in_answers_has_two_digits_and_any_number_before_them() -> None:
    fields = [
        field for schema in SENT.values() for field in schema.get("properties", {}).values() if "pattern" in field
    ]
    assert fields
    for field in fields:
        validator = jsonschema_rs.Draft202012Validator(field)
        accepted = [text for text in ("3", "3.5", "3.50", "99899999990.01", "1e3", "") if validator.is_valid(text)]
        assert accepted == ["3.50", "99899999990.01"]


@only_sqlite
def test_the_largest_sums_are_what_the_document_says(
    client: TestClient, admin: dict[str, str], customer: dict[str, str], catalogue: object
) -> None:
    dearest = client.post("/shopdemo/goods", headers=admin, json=goods_body(price="99999999.99", stock=999))
    basket = {"items": [{"goods_id": dearest.json()["data"]["id"], "quantity": 999}]}
    for method, path, status in (
        ("put", "/shopdemo/cart", "200"), ("post", "/shopdemo/orders", "201"), ("get", "/shopdemo/orders", "200"),
    ):  # fmt: skip
        answer = client.request(method, path, headers=customer, json=basket if method != "get" else None)
        data = answer.json()["data"]
        shown = data["items"][0] if method == "get" else data
        assert (shown["total"], shown["items"][0]["subtotal"]) == ("99899999990.01", "99899999990.01")
        assert violations(DOCUMENT["paths"][path][method]["responses"][status]["content"], answer.json()) == []


def test_the_headers_that_ask_for_304_and_206_are_parameters_there() -> None:
    for status, name in (("304", "If-None-Match"), ("206", "Range")):
        answering = [operation["operationId"] for operation in OPERATIONS if status in operation["responses"]]
        asked = [
            operation["operationId"]
            for operation in OPERATIONS
            if name in [parameter["name"] for parameter in operation.get("parameters", ())]
        ]
        assert asked == answering != []


def test_every_operation_says_what_may_come_before_it() -> None:
    assert [operation["responses"]["default"] for operation in OPERATIONS] == [{"$ref": NOT_REACHED}] * len(OPERATIONS)


def test_the_document_is_tidied_once() -> None:
    app = create_app(TestingSettings())
    app.openapi()
    assert app.openapi() == DOCUMENT


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "request_"), BEFORE_ANY_OPERATION)
async def test_what_comes_before_any_operation_is_as_documented(
    status: int, request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status == 408:
        monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.1)
        monkeypatch.setattr(http_server, "CHECK_SECONDS", 0.02)
    async with serving(create_app(TestingSettings(allowed_hosts=("shop.example",)))) as server:
        client = await server.connect()
        client.say(request_)
        answer = await client.answer()
    content = COMPONENTS["responses"]["NotReached"]["content"]
    body: Any = envelope(answer)
    assert statuses(answer) == [status]
    assert violations(content, body) == []
    assert body["code"] in [example["value"]["code"] for example in content["application/json"]["examples"].values()]
    assert f"{status}: " in COMPONENTS["responses"]["NotReached"]["description"]
