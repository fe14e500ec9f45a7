"""Bodies that are small to send and would be large to read: each is refused, by an answer that is short.

What each costs is in docs/security.md; there is no assertion about time here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.accounts.errors import LoginFailed
from api.shopdemo.goods.errors import NotAPicture
from tests.support.accounts import PASSWORD
from tests.support.catalogue import goods_body
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from utils.custom_exc import BadRequest, ValidationFailed
from utils.exception_handlers import LONGEST_KEY, MAX_TOLD

pytestmark = only_sqlite

MIB = 1024 * 1024
SHORT = 20_000  # bytes of an answer
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

Headers = dict[str, str]


def many(pattern: bytes, size: int = 200_000) -> Iterator[bytes]:
    """Many different pieces; of these a fifth of a body is enough."""
    length = number = 0
    while length < size:
        piece = pattern % number
        yield piece
        length += len(piece) + 1
        number += 1


KEYS = b"{%b}" % b",".join(many(b'"k%d":1'))

BODIES = {
    "many keys": KEYS,
    "one key again and again": b"{%b}" % b",".join([b'"sku":"a"'] * 100_000),
    "a giant key": b'{"%b":1}' % (b"a" * 1_000_000),
    "a giant text": b'{"username":"%b"}' % (b"a" * 1_000_000),
    "a giant password": json.dumps({"username": "carol", "password": "a b" * 300_000}).encode(),
    "marks above marks": json.dumps({"username": "carol", "password": "\u0301" * 170_000}).encode(),
    "half pairs": b'{"username":"%b"}' % (b"\\ud800" * 170_000),
    "a giant number": b'{"username":%b}' % (b"9" * 1_000_000),
    "numbers as long as Python reads": b"[%b]" % b",".join([b"9" * 4300] * 240),
    "a giant fraction": b'{"username":0.%b}' % (b"9" * 1_000_000),
    "a giant exponent": b'{"username":1e999999999}',
    "a list of nothing": b"[%b]" % b",".join([b"{}"] * 340_000),
    "deep": b"[" * MIB,
    "deep and closed": b"[" * 500_000 + b"]" * 500_000,
    "UTF-16": '{"username": 1}'.encode("utf-16"),
    "UTF-32": '{"username": 1}'.encode("utf-32"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_json(client: TestClient, body: bytes) -> None:
    answer = client.post("/accounts/users", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert answer.json().keys() == {"code", "message", "data"}
    assert len(answer.content) < SHORT


def test_so_many_errors_are_told(client: TestClient) -> None:
    answer = client.post("/accounts/users", content=KEYS, headers=JSON)
    body = answer.json()
    told = body["data"].pop("errors")
    assert (answer.status_code, body) == (422, failure(ValidationFailed, data={}))
    assert len(told) == MAX_TOLD
    assert told[2] == {"loc": ["body", "k0"], "message": "Extra inputs are not permitted", "type": "extra_forbidden"}


def test_so_much_of_a_key_is_told(client: TestClient) -> None:
    body = {"username": "carol", "password": PASSWORD}
    answer = client.post("/accounts/users", json={**body, "k" * LONGEST_KEY: 1, "l" * (LONGEST_KEY + 1): 1})
    assert [error["loc"] for error in answer.json()["data"]["errors"]] == [
        ["body", "k" * LONGEST_KEY],
        ["body", f"{'l' * LONGEST_KEY}…"],
    ]


ATTRIBUTES: dict[str, Any] = {
    "many": {f"k{number}": "v" for number in range(20_000)},
    "many that are wrong": {f"k{number}": 1 for number in range(20_000)},
    "deep": {"a": json.loads("[" * 900 + "]" * 900)},
    "giant": {"a": "v" * 1_000_000},
}


@pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attributes(client: TestClient, admin: Headers, attributes: Any) -> None:
    answer = client.post("/shopdemo/goods", json=goods_body(attributes=attributes), headers=admin)
    assert answer.status_code == 422
    assert len(answer.content) < SHORT


@pytest.mark.parametrize("method", ["PUT /shopdemo/cart", "POST /shopdemo/orders"])
def test_items(client: TestClient, customer: Headers, method: str) -> None:
    for item in (b"{}", b"1", b'{"goods_id":1,"quantity":1}'):
        body = b'{"items":[%b]}' % b",".join([item] * (1_000_000 // (len(item) + 1)))
        answer = client.request(*method.split(), content=body, headers={**customer, **JSON})
        assert answer.status_code == 422
        assert len(answer.content) < SHORT


MARKS = b"%CC%95%CC%80%CC%96"  # each belongs before the one it follows: to sort n of them takes n² steps

FORMS = {
    "nothing between": b"&" * MIB,
    "many fields": b"&".join(many(b"k%d=1")),
    "one field": b"username=%b&password=x" % (b"a" * 1_000_000),
    "percent signs": b"username=%b&password=x" % (b"%41" * 300_000),
    "marks above marks": b"username=carol&password=a%b" % (MARKS * 58_000),
    "marks above the name": b"username=a%b&password=x" % (MARKS * 58_000),
    "a half percent sign": b"username=%b&password=x" % (b"%" * 1_000_000),
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_forms(client: TestClient, body: bytes) -> None:
    answer = client.post("/accounts/token", content=body, headers=FORM)
    assert answer.status_code in (400, 401, 422)
    assert answer.json().keys() == {"code", "message", "data"}
    assert len(answer.content) < SHORT


def test_a_form_in_parts(client: TestClient) -> None:
    field = b'Content-Disposition: form-data; name="%b"\r\n\r\n%b'
    marks = "\u0315\u0300\u0316".encode() * 170_000
    for name, password in ((b"carol", b"a" + marks), (b"a" + marks, b"x")):
        body = parts(field % (b"username", name), field % (b"password", password))
        answer = client.post("/accounts/token", content=body, headers=MULTIPART)
        assert (answer.status_code, answer.json()) == (401, failure(LoginFailed))


# -- uploads ----------------------------------------------------------------------------------------------------------

MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def parts(*bodies: bytes) -> bytes:
    return b"".join(b"--b\r\n%b\r\n" % body for body in bodies) + b"--b--\r\n"


UPLOADS = {
    "many files": ("b", parts(*[FILE + b"x"] * 100_000)),
    "many fields": ("b", parts(*[b'Content-Disposition: form-data; name="a"\r\n\r\nx'] * 100_000)),
    "many headers of a part": ("b", b"--b\r\n" + b"A: b\r\n" * 1_000_000),
    "a giant header of a part": ("b", b"--b\r\nA: " + b"b" * 9_000_000 + b"\r\n\r\nx\r\n--b--"),
    "a giant boundary": ("b" * 5_000, b"x"),
}


@pytest.mark.parametrize("path", ["/shopdemo/goods/1/pictures", "/shopdemo/goods/import"])
def test_uploads(client: TestClient, admin: Headers, path: str) -> None:
    for kind, (boundary, body) in UPLOADS.items():
        type_ = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = client.post(path, content=body, headers={**admin, **type_})
        assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (400, BadRequest.code, None), kind
        assert len(answer.content) < SHORT


def test_a_file_that_looks_like_its_end(client: TestClient, admin: Headers) -> None:
    for filling in (b"\r\n", b"\r\n--", b"-", b"\r\n--a"):
        file = FILE + filling * (9_000_000 // len(filling))
        answer = client.post("/shopdemo/goods/1/pictures", content=parts(file), headers={**admin, **MULTIPART})
        assert (answer.status_code, answer.json()) == (NotAPicture.status_code, failure(NotAPicture))
