"""The envelope by hand, and the errors that document themselves."""

import json
from typing import Any

import pytest
from fastapi import Response

from utils.custom_exc import Conflict, NotAuthenticated, NotFound, errors, merge_errors
from utils.response_code import (
    Envelope,
    resp_200,
    resp_201,
    resp_204,
    resp_400,
    resp_401,
    resp_403,
    resp_404,
    resp_500,
    resp_error,
)


class ThingNotFound(NotFound):
    """There is no such thing."""

    code = 40477
    message = "No such thing."


def body(answer: Response) -> Any:
    return json.loads(bytes(answer.body))


def test_success_by_hand() -> None:
    assert body(resp_200(data={"茶": 1})) == {"code": 200, "message": "Success", "data": {"茶": 1}}
    assert body(resp_200()) == {"code": 200, "message": "Success", "data": None}
    created = resp_201(data=Envelope[int](data=7), location="/things/7")
    assert (created.status_code, created.headers["Location"]) == (201, "/things/7")
    assert body(created)["data"] == {"code": 200, "message": "Success", "data": 7}
    assert (resp_204().status_code, resp_204().body) == (204, b"")


@pytest.mark.parametrize(
    ("make", "status"), [(resp_400, 400), (resp_401, 401), (resp_403, 403), (resp_404, 404), (resp_500, 500)]
)
def test_failure_by_hand(make: Any, status: int) -> None:
    answer = make(message="No.", data={"a": 1})
    assert (answer.status_code, body(answer)) == (status, {"code": status, "message": "No.", "data": {"a": 1}})
    assert body(make())["message"]


def test_failure_with_a_number_of_its_own() -> None:
    answer = resp_error(409, code=40901, message="Taken.", headers={"Retry-After": "1"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")
    assert body(answer) == {"code": 40901, "message": "Taken.", "data": None}


def test_errors_document_themselves() -> None:
    found = errors(NotFound, ThingNotFound, NotAuthenticated)
    assert list(found) == [404, 401]
    assert found[404]["description"] == "Unknown path or thing. There is no such thing."
    assert found[404]["content"]["application/json"]["examples"]["ThingNotFound"] == {
        "summary": "There is no such thing.",
        "value": {"code": 40477, "message": "No such thing.", "data": None},
    }
    assert found[401]["headers"] == {"WWW-Authenticate": {"schema": {"type": "string"}}}


def test_merged_errors_keep_every_example() -> None:
    merged = merge_errors(errors(NotFound), errors(ThingNotFound, Conflict), {200: {"description": "x"}})
    assert list(merged) == [404, 409, 200]
    assert list(merged[404]["content"]["application/json"]["examples"]) == ["NotFound", "ThingNotFound"]


def test_an_error_can_say_more() -> None:
    error = ThingNotFound("Gone.", data={"id": 1}, headers={"Retry-After": "5"})
    assert (str(error), error.data, error.code) == ("Gone.", {"id": 1}, 40477)
    assert dict(error.headers) == {"Retry-After": "5"}
    assert ThingNotFound.message == "No such thing."
