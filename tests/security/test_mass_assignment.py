"""Bodies that try to set what is not theirs to set."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.accounts import PASSWORD
from tests.support.databases import only_sqlite
from tests.support.envelopes import invalid
from tests.test_contract import DOCUMENT, OPERATIONS, Operation

Headers = dict[str, str]

LENIENT_BODIES = {"receive_event"}  # a gateway may add keys to what it tells


def schema_of(operation: Operation) -> dict[str, Any] | None:
    content = operation.spec.get("requestBody", {}).get("content", {}).get("application/json")
    return content["schema"] if content else None


BODIES = [operation for operation in OPERATIONS if schema_of(operation)]


@pytest.mark.parametrize("operation", BODIES, ids=lambda operation: operation.name)
def test_every_body_refuses_keys_that_it_does_not_know(operation: Operation) -> None:
    schema = schema_of(operation)
    for choice in (schema or {}).get("anyOf", [schema] if schema else []):
        if "$ref" in choice:
            found = DOCUMENT["components"]["schemas"][choice["$ref"].rpartition("/")[2]]
            forbids = found.get("additionalProperties") is False
            assert forbids != (operation.name in LENIENT_BODIES)


@only_sqlite
@pytest.mark.parametrize("key", ["roles", "is_active", "id", "is_admin", "created_at"])
def test_nobody_makes_themselves_an_administrator(client: TestClient, key: str) -> None:
    body = {"username": "mallory", "password": PASSWORD, key: ["admin"]}
    answer = client.post("/accounts/users", json=body)
    told = invalid((("body", key), "Extra inputs are not permitted", "extra_forbidden"))
    assert (answer.status_code, answer.json()) == (422, told)


@only_sqlite
@pytest.mark.parametrize("key", ["price", "total", "status", "user", "user_name"])
def test_nobody_names_the_price(client: TestClient, customer: Headers, catalogue: object, key: str) -> None:
    for body, loc in (
        ({"items": [{"goods_id": 1, "quantity": 1}], key: "0.01"}, (key,)),
        ({"items": [{"goods_id": 1, "quantity": 1, key: "0.01"}]}, ("items", 0, key)),
    ):
        answer = client.post("/shopdemo/orders", json=body, headers=customer)
        told = invalid((("body", *loc), "Extra inputs are not permitted", "extra_forbidden"))
        assert (answer.status_code, answer.json()) == (422, told)
