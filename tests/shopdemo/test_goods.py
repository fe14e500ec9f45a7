"""One by one: create, read, replace, change, delete; every answer whole."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from api.shopdemo.goods.errors import CategoryUnknown, GoodsNotFound, GoodsSkuTaken
from api.shopdemo.schemas import Goods
from tests.support.catalogue import goods_body
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, goods_answer, invalid, success
from utils.custom_exc import PreconditionFailed, PreconditionRequired

Headers = dict[str, str]
Catalogue = dict[str, Goods]

GOODS = "/shopdemo/goods"
NUL_MESSAGE = "must not contain the NUL character"


def add(client: TestClient, admin: Headers, **changes: Any) -> tuple[str, str]:
    """Create goods; returns their address and ETag."""
    answer = client.post(GOODS, json=goods_body(**changes), headers=admin)
    assert answer.status_code == 201
    return answer.headers["Location"], answer.headers["ETag"]


def test_create_and_read(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    created = client.post(GOODS, json=goods_body(), headers=admin)
    expected = success(goods_answer(9, goods_body()))
    assert (created.status_code, created.json()) == (201, expected)
    assert created.headers["Location"] == f"{GOODS}/9"
    read = client.get(created.headers["Location"])
    assert (read.status_code, read.json()) == (200, created.json())
    assert read.headers["ETag"] == created.headers["ETag"]


def test_create_with_what_may_be_left_out(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    body = goods_body()
    del body["attributes"], body["on_sale"]
    created = client.post(GOODS, json=body, headers=admin)
    assert created.json() == success(goods_answer(9, goods_body(attributes={})))


@pytest.mark.parametrize(
    ("sent", "shown"), [("0", "0.00"), ("1.5", "1.50"), ("007.00", "7.00"), ("99999999.99", "99999999.99")]
)
def test_money_has_two_digits(client: TestClient, admin: Headers, catalogue: Catalogue, sent: str, shown: str) -> None:
    location, _ = add(client, admin, price=sent)
    assert client.get(location).json()["data"]["price"] == shown


@only_sqlite
def test_what_is_no_money(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    prices: list[Any] = [199, 1.5, "-1", "1.005", "1e3", "", " 1", "1 ", "١", "100000000", "NaN", None, "1,5"]
    for price in prices:
        answer = client.post(GOODS, json=goods_body(price=price), headers=admin)
        assert (answer.status_code, answer.json()["data"]["errors"][0]["loc"]) == (422, ["body", "price"])


MISFITS: list[tuple[str, Any]] = [
        ("sku", ""), ("sku", "a b"), ("sku", "x" * 65), ("sku", "a\n"), ("sku", 5),
        ("name", ""), ("name", "  "), ("name", "x" * 201),
        ("description", "x" * 10_001), ("description", None),
        ("category", ""), ("category", "绿茶"), ("category", "x\n"),
        ("stock", -1), ("stock", 1.0), ("stock", True), ("stock", "7"), ("stock", 10**9 + 1), ("stock", 10**30),
        ("on_sale", "yes"), ("on_sale", 1), ("on_sale", None),
        ("attributes", []), ("attributes", {"a": 1}), ("attributes", {"": "a"}), ("attributes", {"a" * 51: "a"}),
        ("attributes", {"a": "x" * 201}), ("attributes", {str(n): "" for n in range(51)}), ("attributes", None),
        ("id", 5), ("sales", 5), ("created_at", "2026-01-01T00:00:00Z"),
]  # fmt: skip


@only_sqlite
def test_what_does_not_fit(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    goods = catalogue["TEA-1"]
    headers = {**admin, "If-Match": goods.etag}
    for field, value in MISFITS:
        answers = [
            client.post(GOODS, json=goods_body(**{field: value}), headers=headers),
            client.put(f"{GOODS}/{goods.id}", json=goods_body(**{field: value}), headers=headers),
            client.patch(f"{GOODS}/{goods.id}", json={field: value}, headers=headers),
        ]
        assert [answer.status_code for answer in answers] == [422] * 3, (field, value)
        for answer in answers:
            assert [error["loc"][:2] for error in answer.json()["data"]["errors"]] == [["body", field]]


def test_text_is_kept_as_it_is(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    strange = "𠀀👨‍👩‍👧 é e\u0301 \u202e <b>&amp;</b> ' \" \\ % _ \t\n\x01 ﷺ"
    body = goods_body(name=f"x{strange}x", description=strange, attributes={"颜色": strange})
    answer = client.post(GOODS, json=body, headers=admin)
    assert answer.json() == success(goods_answer(9, body))
    assert client.get(answer.headers["Location"]).json() == answer.json()


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"sku": "a\0b"}, ("sku",)),
        ({"name": "a\0b"}, ("name",)),
        ({"description": "\0"}, ("description",)),
        ({"attributes": {"colour": "a\0"}}, ("attributes", "colour")),
        ({"attributes": {"\0": "a"}}, ("attributes", "\0", "[key]")),
    ],
)
def test_nul_in_a_body(
    client: TestClient, admin: Headers, catalogue: Catalogue, changes: dict[str, Any], loc: tuple[str, ...]
) -> None:
    answer = client.post(GOODS, json=goods_body(**changes), headers=admin)
    assert (answer.status_code, answer.json()) == (422, invalid((("body", *loc), NUL_MESSAGE, "value_error")))


def test_nul_in_a_query(client: TestClient, catalogue: Catalogue) -> None:
    for query in ["q=%00", "q=a%00b", "category=%00", "cursor=%00", "price_min=%00", "sort=%00"]:
        answer = client.get(f"{GOODS}?{query}")
        assert answer.status_code == 422
        assert answer.json().keys() == {"code", "message", "data"}


@pytest.mark.parametrize("path", [f"{GOODS}/%00", f"{GOODS}/1%00", f"{GOODS}/1/pictures/%00"])
def test_nul_in_a_path(client: TestClient, catalogue: Catalogue, path: str) -> None:
    assert client.get(path).status_code == 422


@only_sqlite
@pytest.mark.parametrize("goods_id", [0, -1, 2**63, 10**40, "x", "1.5", "１"])
def test_what_is_no_id(client: TestClient, catalogue: Catalogue, goods_id: object) -> None:
    assert client.get(f"{GOODS}/{goods_id}").status_code == 422


@pytest.mark.parametrize("goods_id", [99, 2**63 - 1])
def test_unknown_id(client: TestClient, admin: Headers, catalogue: Catalogue, goods_id: int) -> None:
    for method, body in (("GET", None), ("PUT", goods_body()), ("PATCH", {}), ("DELETE", None)):
        answer = client.request(method, f"{GOODS}/{goods_id}", json=body, headers={**admin, "If-Match": "*"})
        assert (answer.status_code, answer.json()) == (404, failure(GoodsNotFound))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_taken_sku_and_unknown_category(client: TestClient, admin: Headers, catalogue: Catalogue, method: str) -> None:
    goods = catalogue["TEA-2"]
    path = GOODS if method == "POST" else f"{GOODS}/{goods.id}"
    before = client.get(GOODS, params={"size": 100}).json()
    headers = {**admin, "If-Match": goods.etag}
    taken = client.request(method, path, json=goods_body(sku="TEA-1"), headers=headers)
    unknown = client.request(method, path, json=goods_body(category="nothing"), headers=headers)
    assert (taken.status_code, taken.json()) == (409, failure(GoodsSkuTaken))
    assert (unknown.status_code, unknown.json()) == (422, failure(CategoryUnknown))
    assert client.get(GOODS, params={"size": 100}).json() == before


def test_replace(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    goods = catalogue["COF-2"]
    body = goods_body(sku="COF-2", category="coffee", attributes={})
    answer = client.put(f"{GOODS}/{goods.id}", json=body, headers={**admin, "If-Match": goods.etag})
    assert (answer.status_code, answer.json()) == (200, success(goods_answer(goods.id, body, sales=500)))
    assert answer.headers["ETag"] not in ("", goods.etag)
    read = client.get(f"{GOODS}/{goods.id}")
    assert (read.json(), read.headers["ETag"]) == (answer.json(), answer.headers["ETag"])
    assert read.json()["data"]["updated_at"] > read.json()["data"]["created_at"]


def test_replace_without_optional_fields_resets_them(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    goods = catalogue["SHI-3"]
    body = goods_body(sku="SHI-3")
    del body["attributes"], body["on_sale"]
    answer = client.put(f"{GOODS}/{goods.id}", json=body, headers={**admin, "If-Match": goods.etag})
    expected = goods_answer(goods.id, {**body, "attributes": {}, "on_sale": True}, sales=1)
    assert answer.json() == success(expected)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"price": "1.00"},
        {"stock": 0, "on_sale": False},
        {"name": "别的 Other", "category": "coffee"},
        {"sku": "TEA-1"},
        {"attributes": {}},
    ],
)
def test_change_some(client: TestClient, admin: Headers, catalogue: Catalogue, change: dict[str, Any]) -> None:
    path = f"{GOODS}/{catalogue['TEA-1'].id}"
    before = client.get(path)
    headers = {**admin, "If-Match": before.headers["ETag"]}
    answer = client.patch(path, json=change, headers=headers)
    expected = success({**before.json()["data"], **change, "updated_at": answer.json()["data"]["updated_at"]})
    assert (answer.status_code, answer.json()) == (200, expected)
    assert client.get(path).json() == expected


@only_sqlite
def test_null_changes_nothing_but_is_refused(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    goods = catalogue["TEA-1"]
    headers = {**admin, "If-Match": goods.etag}
    for field in goods_body():
        answer = client.patch(f"{GOODS}/{goods.id}", json={field: None}, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["data"]["errors"][0]["loc"] == ["body", field]
    assert client.get(f"{GOODS}/{goods.id}").headers["ETag"] == goods.etag


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_change_needs_the_etag(client: TestClient, admin: Headers, catalogue: Catalogue, method: str) -> None:
    goods = catalogue["TEA-1"]
    path = f"{GOODS}/{goods.id}"
    body = goods_body(sku="TEA-1")
    missing = client.request(method, path, json=body, headers=admin)
    assert (missing.status_code, missing.json()) == (428, failure(PreconditionRequired))
    for wrong in ('"0-0"', goods.etag.strip('"'), '""', "nonsense", f'"{goods.id}-{goods.version + 1}"'):
        stale = client.request(method, path, json=body, headers={**admin, "If-Match": wrong})
        assert (stale.status_code, stale.json()) == (412, failure(PreconditionFailed))
    for right in (goods.etag, "*"):
        changed = client.request(method, path, json=body, headers={**admin, "If-Match": right})
        assert changed.status_code == 200
    old = client.request(method, path, json=body, headers={**admin, "If-Match": f'"0-0", {goods.etag}'})
    assert (old.status_code, old.json()) == (412, failure(PreconditionFailed))
    now = client.get(path).headers["ETag"]
    assert client.request(method, path, json=body, headers={**admin, "If-Match": f'"0-0", {now}'}).status_code == 200


def test_delete(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    goods = catalogue["TEA-1"]
    path = f"{GOODS}/{goods.id}"
    stale = client.delete(path, headers={**admin, "If-Match": '"0-0"'})
    assert (stale.status_code, stale.json()) == (412, failure(PreconditionFailed))
    gone = client.delete(path, headers={**admin, "If-Match": goods.etag})
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.get(path).status_code == 404
    assert client.delete(path, headers=admin).status_code == 404
    assert client.delete(f"{GOODS}/{catalogue['TEA-2'].id}", headers=admin).status_code == 204


def test_ids_are_never_used_again(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    location, _ = add(client, admin)
    client.delete(location, headers=admin)
    assert add(client, admin)[0] != location


def test_not_modified(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    goods = catalogue["TEA-1"]
    path = f"{GOODS}/{goods.id}"
    for known in (goods.etag, f"W/{goods.etag}", f'"x", {goods.etag}', "*"):
        answer = client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", goods.etag)
        assert "X-Request-ID" in answer.headers
    assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200
    client.patch(path, json={"stock": 1}, headers={**admin, "If-Match": goods.etag})
    assert client.get(path, headers={"If-None-Match": goods.etag}).status_code == 200


@pytest.mark.parametrize("path", [GOODS, f"{GOODS}?q=龙井", "/shopdemo/home", "/shopdemo/categories"])
def test_lists_are_not_sent_again_while_they_are_the_same(
    client: TestClient, admin: Headers, catalogue: Catalogue, path: str
) -> None:
    etag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    add(client, admin, name="龙井 Longjing")
    changed = client.get(path, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.headers["ETag"] != etag) == (200, True)


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_of_several_changes_with_one_etag_exactly_one_wins(
    async_client: httpx.AsyncClient, admin: Headers, catalogue: Catalogue, method: str
) -> None:
    goods = catalogue["TEA-1"]
    path = f"{GOODS}/{goods.id}"
    bodies = [goods_body(sku="TEA-1", stock=number) for number in range(10)]
    headers = {**admin, "If-Match": goods.etag}
    answers = await asyncio.gather(*(async_client.request(method, path, json=body, headers=headers) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 9]
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    assert (await async_client.get(path)).json() == winner.json()


@pytest.mark.anyio
async def test_of_several_with_one_sku_exactly_one_is_created(
    async_client: httpx.AsyncClient, admin: Headers, catalogue: Catalogue
) -> None:
    work = [async_client.post(GOODS, json=goods_body(stock=number), headers=admin) for number in range(10)]
    answers = await asyncio.gather(*work)
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 9]


def test_other_json_types_are_json(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    headers = {**admin, "Content-Type": "application/merge-patch+json; charset=utf-8", "If-Match": "*"}
    answer = client.patch(f"{GOODS}/1", content=json.dumps({"stock": 3}), headers=headers)
    assert answer.status_code == 200
