"""Lists of goods: filters, orders, numbered pages and endless lists."""

import base64
import contextlib
import json
import sys
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.shopdemo.goods.cursors import Cursor
from api.shopdemo.goods.errors import CategoryUnknown, CursorInvalid, PageTooDeep
from api.shopdemo.schemas import Goods
from tests.support.catalogue import ON_SALE, goods_body
from tests.support.databases import only_sqlite
from tests.support.envelopes import A_TIME, failure, invalid, success

Headers = dict[str, str]
Catalogue = dict[str, Goods]

GOODS = "/shopdemo/goods"
NEWEST = list(reversed(ON_SALE))
SORTS = ("-created_at", "created_at", "price", "-price", "sales", "-sales")


def skus(client: TestClient, **query: Any) -> list[str]:
    answer = client.get(GOODS, params=query)
    assert answer.status_code == 200, answer.text
    return [goods["sku"] for goods in answer.json()["data"]["items"]]


def test_a_page_as_a_whole(client: TestClient, catalogue: Catalogue) -> None:
    answer = client.get(GOODS, params={"q": "龙井", "sort": "price", "size": 1})
    assert answer.json() == success(
        {
            "items": [
                {
                    "id": catalogue["TEA-3"].id,
                    "sku": "TEA-3",
                    "name": "龙井茶饼 Longjing Tea Cake",
                    "description": "说明 TEA-3",
                    "category": "green-tea",
                    "price": "68.00",
                    "stock": 5,
                    "sales": 30,
                    "pictures": [],
                    "attributes": {"series": "系列 TEA"},
                    "on_sale": True,
                    "created_at": A_TIME,
                    "updated_at": A_TIME,
                }
            ],
            "total": 2,
            "page": 1,
            "size": 1,
            "next_cursor": Cursor("price", 6800, catalogue["TEA-3"].id).encode(),
        }
    )


def test_an_empty_shop(client: TestClient) -> None:
    nothing = {"items": [], "total": 0, "page": 1, "size": 20, "next_cursor": None}
    assert client.get(GOODS).json() == success(nothing)
    endless = {**nothing, "total": None, "page": None}
    assert client.get(f"{GOODS}?cursor=").json() == success(endless)


LISTS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, NEWEST),
    ({"category": "green-tea"}, ["TEA-3", "TEA-2", "TEA-1"]),
    ({"category": "tea-coffee"}, ["COF-2", "COF-1", "TEA-3", "TEA-2", "TEA-1"]),
    ({"category": "pots"}, []),
    ({"category": "garden"}, []),
    ({"price_min": "99"}, ["SHI-2", "TEA-2", "TEA-1"]),
    ({"price_max": "68.00"}, ["COF-2", "COF-1", "TEA-3"]),
    ({"price_min": "68", "price_max": "68.0"}, ["COF-1", "TEA-3"]),
    ({"in_stock": True}, ["SHI-2", "SHI-1", "COF-2", "COF-1", "TEA-3", "TEA-1"]),
    ({"in_stock": False}, ["TEA-2"]),
    ({"on_sale": False}, ["SHI-3"]),
    ({"on_sale": False, "category": "clothing", "price_max": "19"}, ["SHI-3"]),
    ({"sort": "created_at"}, list(ON_SALE)),
    ({"sort": "price"}, ["COF-2", "TEA-3", "COF-1", "SHI-1", "SHI-2", "TEA-2", "TEA-1"]),
    ({"sort": "-price"}, ["TEA-1", "TEA-2", "SHI-2", "SHI-1", "COF-1", "TEA-3", "COF-2"]),
    ({"sort": "sales"}, ["COF-1", "SHI-2", "TEA-1", "TEA-3", "TEA-2", "SHI-1", "COF-2"]),
    ({"sort": "-sales"}, ["COF-2", "SHI-1", "TEA-2", "TEA-3", "TEA-1", "SHI-2", "COF-1"]),
    ({"q": "龙井", "category": "tea-coffee", "price_min": "100", "in_stock": True, "sort": "-sales"}, ["TEA-1"]),
    ({"size": 2, "page": 1}, NEWEST[:2]),
    ({"size": 2, "page": 4}, NEWEST[6:]),
    ({"size": 2, "page": 5}, []),
    ({"page": 2**63 - 1}, []),
    ({"unknown": "x"}, NEWEST),
]


def test_filters_and_orders(client: TestClient, catalogue: Catalogue) -> None:
    assert [(query, skus(client, **query)) for query, _ in LISTS] == LISTS
    for query, found in LISTS:
        if "page" not in query:
            assert skus(client, **query, cursor="") == found
            assert client.get(GOODS, params=query).json()["data"]["total"] == len(found)


MISFITS: list[tuple[dict[str, Any], list[str]]] = [
    ({"page": 0}, ["query", "page"]),
    ({"page": 2**63}, ["query", "page"]),
    ({"size": 0}, ["query", "size"]),
    ({"size": 101}, ["query", "size"]),
    ({"price_min": "1.234"}, ["query", "price_min"]),
    ({"price_max": "-1"}, ["query", "price_max"]),
    ({"in_stock": "perhaps"}, ["query", "in_stock"]),
    ({"sort": "name"}, ["query", "sort"]),
    ({"q": "x" * 101}, ["query", "q"]),
    ({"category": "Grün"}, ["query", "category"]),
    ({"cursor": "x" * 201}, ["query", "cursor"]),
]


@only_sqlite
def test_queries_that_do_not_fit(client: TestClient) -> None:
    for query, loc in MISFITS:
        answer = client.get(GOODS, params=query)
        assert (answer.status_code, [error["loc"] for error in answer.json()["data"]["errors"]]) == (422, [loc])


@only_sqlite
def test_queries_that_contradict_themselves(client: TestClient) -> None:
    prices = client.get(GOODS, params={"price_min": "2", "price_max": "1"})
    assert prices.json() == invalid((("query",), "price_min must not be above price_max", "value_error"))
    both = client.get(GOODS, params={"page": 1, "cursor": ""})
    assert both.json() == invalid((("query",), "send either page or cursor", "value_error"))


def test_unknown_category(client: TestClient, catalogue: Catalogue) -> None:
    answer = client.get(GOODS, params={"category": "nothing"})
    assert (answer.status_code, answer.json()) == (422, failure(CategoryUnknown))


@only_sqlite
def test_pages_and_cursor_show_the_same(client: TestClient, catalogue: Catalogue) -> None:
    filters: list[dict[str, Any]] = [{}, {"q": "t"}, {"category": "tea-coffee"}, {"in_stock": True}]
    for sort, query in product(SORTS, filters):
        walked = [goods["sku"] for goods in walk(client, sort=sort, size=2, **query)]
        pages = [sku for page in (1, 2, 3, 4) for sku in skus(client, sort=sort, size=2, page=page, **query)]
        assert walked == pages == skus(client, sort=sort, **query)


def test_a_numbered_page_leads_on_by_cursor(client: TestClient, catalogue: Catalogue) -> None:
    page = client.get(GOODS, params={"size": 3, "page": 2}).json()["data"]
    assert skus(client, cursor=page["next_cursor"]) == NEWEST[6:]
    assert client.get(GOODS, params={"size": 7, "page": 1}).json()["data"]["next_cursor"] is None


def cursor(*fields: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


NO_CURSORS = [
    "x",
    "é",
    "AAAA",
    "%%%",
    cursor("price", 1, 1),
    cursor("-created_at", 0),
    cursor("-created_at", 0, "1"),
    cursor("-created_at", 0, 1.5),
    cursor("-created_at", 0, -1),
    cursor("-created_at", 0, 2**63),
    cursor("-created_at", 2**63, 1),
    cursor(*[["x"]] * 9),
    base64.urlsafe_b64encode(b"[" * 150).decode(),
]


def test_what_is_no_cursor(client: TestClient) -> None:
    for text in NO_CURSORS:
        answer = client.get(GOODS, params={"cursor": text})
        assert (answer.status_code, answer.json()) == (422, failure(CursorInvalid)), text


@given(text=st.text(max_size=200))
def test_any_text_is_a_cursor_or_is_refused(text: str) -> None:
    for sort in SORTS:
        with contextlib.suppress(CursorInvalid):
            assert isinstance(Cursor.decode(text, sort), Cursor)


@given(st.sampled_from(SORTS), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back(sort: str, value: int, goods_id: int) -> None:
    text = Cursor(sort, value, goods_id).encode()
    assert Cursor.decode(text, sort) == Cursor(sort, value, goods_id)
    assert len(text) <= 200


def test_pages_end_where_counting_ends(
    client: TestClient, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["api.shopdemo.goods.service"], "COUNT_LIMIT", 4)
    answer = client.get(GOODS, params={"size": 2, "page": 2})
    assert (answer.json()["data"]["total"], len(answer.json()["data"]["items"])) == (4, 2)
    assert answer.json()["data"]["next_cursor"] is not None
    deep = client.get(GOODS, params={"size": 2, "page": 3})
    assert (deep.status_code, deep.json()) == (422, failure(PageTooDeep))
    assert client.get(GOODS, params={"category": "green-tea", "size": 2, "page": 3}).json()["data"]["items"] == []


def walk(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    """All goods of an endless list."""
    found: list[dict[str, Any]] = []
    query["cursor"] = ""
    while query["cursor"] is not None:
        data = client.get(GOODS, params=query).json()["data"]
        assert len(data["items"]) <= query["size"]
        found += data["items"]
        query["cursor"] = data["next_cursor"]
    return found


CHANGES = st.tuples(st.none() | st.integers(0, 3), st.none() | st.integers(0, 9))


@settings(max_examples=15)
@given(
    sort=st.sampled_from(SORTS),
    prices=st.lists(st.integers(0, 3), min_size=3, max_size=7),
    changes=st.lists(CHANGES, max_size=4),
)
def test_an_endless_list_is_stable_under_changes(
    client: TestClient,
    admin: Headers,
    catalogue: Catalogue,
    sort: str,
    prices: list[int],
    changes: list[tuple[int | None, int | None]],
) -> None:
    """What was there from the beginning and stays is seen exactly once and in order, whatever comes and goes."""
    for goods in walk(client, size=100):
        delete(client, admin, goods["id"])
    beginning = [add(client, admin, price) for price in prices]
    expected = [goods["id"] for goods in walk(client, sort=sort, size=100)]
    seen: list[int] = []
    position: str | None = ""
    for added, deleted in [*changes, *[(None, None)] * 10]:
        if position is None:
            break
        answer = client.get(GOODS, params={"sort": sort, "size": 2, "cursor": position}).json()["data"]
        seen += [goods["id"] for goods in answer["items"]]
        position = answer["next_cursor"]
        if added is not None:
            add(client, admin, added)
        if deleted is not None and deleted < len(beginning):
            victim = beginning.pop(deleted)
            delete(client, admin, victim)
            expected.remove(victim)
    assert position is None
    assert len(set(seen)) == len(seen)
    assert [goods_id for goods_id in seen if goods_id in expected] == expected


def add(client: TestClient, admin: Headers, price: int) -> int:
    answer = client.post(GOODS, json=goods_body(sku=f"X-{uuid4().hex}", price=str(price)), headers=admin)
    goods_id: int = answer.json()["data"]["id"]
    return goods_id


def delete(client: TestClient, admin: Headers, goods_id: int) -> None:
    assert client.delete(f"{GOODS}/{goods_id}", headers=admin).status_code == 204
