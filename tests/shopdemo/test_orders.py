"""Placing and reading orders; every answer whole."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.shopdemo.orders.errors import GoodsNotForSale, IdempotencyKeyReused, OrderNotFound, StockTooLow
from api.shopdemo.schemas import Goods
from extensions.security import Tokens
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, invalid, success
from tests.support.shopping import (
    CART,
    GOODS,
    ORDERS,
    Body,
    Headers,
    buyer,
    cart_answer,
    inside,
    items,
    let_expire,
    order_answer,
    pay,
    place,
    stock_of,
)
from utils.custom_exc import Forbidden, NotAuthenticated
from utils.fields import MAX_ID

Catalogue = dict[str, Goods]

pytestmark = pytest.mark.parametrize("settings", [{"projects": ("shopdemo",)}], indirect=True)

ONCE = "Value error, each goods_id may stand there once; say how many in quantity"


def not_for_sale(*numbers: int) -> Body:
    """The refusal of the items with these places in the request."""
    message = "There are no goods with this id on sale."
    errors = [
        {"loc": ["body", "items", number, "goods_id"], "message": message, "type": "not_for_sale"} for number in numbers
    ]
    return failure(GoodsNotForSale, data={"errors": errors})


def too_low(*short: tuple[Goods, int, int]) -> Body:
    """The refusal of goods of which so many were wanted and so many are there."""
    found = [{"goods_id": goods.id, "quantity": quantity, "stock": stock} for goods, quantity, stock in short]
    return failure(StockTooLow, data={"items": found})


def test_place_and_read(client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    tea, coffee, gone = catalogue["TEA-1"], catalogue["COF-2"], catalogue["SHI-2"]
    placed = place(client, customer, (coffee, 3), (tea, 2), (gone, 1))
    expected = success(order_answer(1, "bob", (tea, 2), (coffee, 3), (gone, 1)))
    assert (placed.status_code, placed.json()) == (201, expected)
    assert placed.json()["data"]["total"] == "616.70"
    assert placed.headers["Location"] == f"{ORDERS}/1"
    times = {name: datetime.fromisoformat(placed.json()["data"][name]) for name in ("created_at", "expires_at")}
    assert times["expires_at"] - times["created_at"] == timedelta(minutes=30)
    read = client.get(placed.headers["Location"], headers=customer)
    assert (read.status_code, read.json()) == (200, placed.json())
    left = {sku: (stock_of(client, goods), goods.stock) for sku, goods in catalogue.items()}
    taken = {sku: before - now for sku, (now, before) in left.items() if now != before}
    assert taken == {"TEA-1": 2, "COF-2": 3, "SHI-2": 1}
    assert client.get(f"{GOODS}/{tea.id}").json()["data"]["sales"] == tea.sales  # it is not paid yet
    assert place(client, customer, (tea, 2)).json()["data"]["id"] == 2


@only_sqlite
def test_nobody_orders_without_a_token(client: TestClient, catalogue: Catalogue) -> None:
    for headers in ({}, {"Authorization": "Bearer forged"}):
        answers = [
            place(client, headers, (1, 1)),
            client.get(ORDERS, headers=headers),
            client.get(f"{ORDERS}/1", headers=headers),
            *(client.post(f"{ORDERS}/1/{action}", headers=headers) for action in ("cancel", "ship", "complete")),
        ]
        message = "The access token is not valid." if headers else None
        for answer in answers:
            assert (answer.status_code, answer.json()) == (401, failure(NotAuthenticated, message))
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@only_sqlite
def test_an_order_of_somebody_else_does_not_exist(
    app: FastAPI, client: TestClient, tokens: Tokens, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    path = place(client, customer, (catalogue["TEA-1"], 2)).headers["Location"]
    mallory = buyer(tokens, "mallory")
    for address in (path, f"{ORDERS}/99", f"{ORDERS}/{MAX_ID}"):
        answers = [
            client.get(address, headers=mallory),
            client.post(f"{address}/cancel", headers=mallory),
            client.post(f"{address}/complete", headers=mallory),
        ]
        assert [(answer.status_code, answer.json()) for answer in answers] == [(404, failure(OrderNotFound))] * 3
    for address in (f"{ORDERS}/0", f"{ORDERS}/{MAX_ID + 1}", f"{ORDERS}/x"):
        assert client.get(address, headers=customer).status_code == 422
    assert client.get(path, headers=admin).json() == success(order_answer(1, "bob", (catalogue["TEA-1"], 2)))
    cancelled = client.post(f"{path}/cancel", headers=admin)
    assert cancelled.json() == success(order_answer(1, "bob", (catalogue["TEA-1"], 2), status="cancelled"))


def test_lists(
    app: FastAPI, client: TestClient, tokens: Tokens, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    carol = buyer(tokens, "carol")
    for headers in (customer, carol, customer, customer):
        place(client, headers, (coffee, 1), (tea, 2))
    inside(app, client, lambda database: pay(database, 3))
    lines = ((tea, 2), (coffee, 1))
    orders = {
        1: order_answer(1, "bob", *lines),
        2: order_answer(2, "carol", *lines),
        3: order_answer(3, "bob", *lines, status="paid"),
        4: order_answer(4, "bob", *lines),
    }

    def page(headers: Headers, **query: Any) -> tuple[int, Body]:
        answer = client.get(ORDERS, headers=headers, params=query)
        return answer.status_code, answer.json()

    def shown(*ids: int, total: int, page: int = 1, size: int = 20) -> tuple[int, Body]:
        data = {"items": [orders[id_] for id_ in ids], "total": total, "page": page, "size": size}
        return 200, success(data)

    assert page(customer) == shown(4, 3, 1, total=3)
    assert page(customer, size=2) == shown(4, 3, total=3, size=2)
    assert page(customer, size=2, page=2) == shown(1, total=3, page=2, size=2)
    assert page(customer, size=2, page=3) == shown(total=3, page=3, size=2)
    assert page(customer, status="pending") == shown(4, 1, total=2)
    assert page(customer, status="done") == shown(total=0)
    assert page(carol) == shown(2, total=1)
    assert page(admin) == shown(total=0)
    assert page(admin, everyone=True) == shown(4, 3, 2, 1, total=4)
    assert page(admin, everyone=True, status="paid") == shown(3, total=1)
    message = "Only administrators see everyone's orders; leave out `everyone`."
    assert page(customer, everyone=True) == (403, failure(Forbidden, message))
    for query in ({"status": "lost"}, {"page": 0}, {"page": 10_001}, {"size": 101}, {"everyone": "perhaps"}):
        assert page(customer, **query)[0] == 422


def test_the_same_key_is_the_same_order(
    app: FastAPI, client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    tea, shirt = catalogue["TEA-1"], catalogue["SHI-2"]
    first = place(client, customer, (tea, 2), (shirt, 1), key="k!~1")
    assert (first.status_code, first.json()) == (201, success(order_answer(1, "bob", (tea, 2), (shirt, 1))))

    def again() -> None:
        answer = place(client, customer, (shirt, 1), (tea, 2), key="k!~1")
        assert (answer.status_code, answer.json()) == (201, first.json())
        assert answer.headers["Location"] == first.headers["Location"]

    again()  # the shirts are sold out
    assert (stock_of(client, tea), stock_of(client, shirt)) == (tea.stock - 2, 0)
    client.patch(f"{GOODS}/{tea.id}", json={"price": "1.00", "on_sale": False}, headers={**admin, "If-Match": "*"})
    again()
    client.post(f"{ORDERS}/1/cancel", headers=customer)
    again()
    assert client.get(f"{ORDERS}/1", headers=customer).json()["data"]["status"] == "cancelled"
    client.delete(f"{GOODS}/{shirt.id}", headers=admin)
    again()
    assert client.get(ORDERS, headers=customer).json()["data"]["total"] == 1
    assert stock_of(client, tea) == tea.stock


def test_a_key_belongs_to_one_order_of_one_buyer(
    client: TestClient, tokens: Tokens, customer: Headers, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    place(client, customer, (tea, 2), key="k")
    for wanted in ([(tea, 3)], [(coffee, 2)], [(tea, 2), (coffee, 1)], [(tea, 999)], [(99, 1)]):
        other = place(client, customer, *wanted, key="k")
        assert (other.status_code, other.json()) == (409, failure(IdempotencyKeyReused))
    assert (stock_of(client, tea), stock_of(client, coffee)) == (tea.stock - 2, coffee.stock)
    carols = place(client, buyer(tokens, "carol"), (tea, 2), key="k").json()["data"]
    assert carols["owner"] == "carol"
    others = [place(client, customer, (tea, 2), key=key).json()["data"]["id"] for key in ("K", "k2", None, None)]
    assert len({1, carols["id"], *others}) == 6
    assert stock_of(client, tea) == tea.stock - 12


def test_a_key_is_free_again_when_nothing_was_ordered(
    client: TestClient, customer: Headers, catalogue: Catalogue
) -> None:
    assert place(client, customer, (catalogue["TEA-2"], 1), key="k").status_code == 409
    assert place(client, customer, (99, 1), key="k").status_code == 422
    assert place(client, customer, (catalogue["TEA-1"], 1), key="k").status_code == 201


@only_sqlite
def test_what_is_no_key(client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    for key in ("", " ", "a b", "x" * 256, "ключ".encode(), b"\x7f", b"a\xff"):
        headers: Any = {**customer, "Idempotency-Key": key}
        sent = client.post(ORDERS, json=items((1, 1)), headers=headers)
        assert sent.status_code == 422
        assert sent.json()["data"]["errors"][0]["loc"] == ["header", "idempotency-key"]
    assert place(client, customer, (1, 1), key="x" * 255).status_code == 201


def test_what_is_not_for_sale(client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    tea, off_sale, sold_out = catalogue["TEA-1"], catalogue["SHI-3"], catalogue["TEA-2"]
    for wanted, wrong in (
        ([(99, 1)], [0]),
        ([(MAX_ID, 1)], [0]),
        ([(off_sale, 1)], [0]),
        ([(tea, 1), (off_sale, 1)], [1]),
        ([(99, 1), (tea, 1), (98, 1), (off_sale, 1)], [0, 2, 3]),
        ([(sold_out, 1), (99, 1)], [1]),
    ):
        refused = place(client, customer, *wanted)
        assert (refused.status_code, refused.json()) == (422, not_for_sale(*wrong))
    assert stock_of(client, tea) == tea.stock


def test_more_than_there_are(client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    cake, coffee, sold_out = catalogue["TEA-3"], catalogue["COF-1"], catalogue["TEA-2"]
    refused = place(client, customer, (coffee, 1), (cake, 6), (sold_out, 1))
    assert (refused.status_code, refused.json()) == (409, too_low((sold_out, 1, 0), (cake, 6, 5)))
    assert (stock_of(client, cake), stock_of(client, coffee)) == (cake.stock, coffee.stock)
    assert client.get(ORDERS, headers=customer).json()["data"]["total"] == 0
    assert place(client, customer, (cake, 5)).status_code == 201
    assert place(client, customer, (cake, 1)).json() == too_low((cake, 1, 0))
    assert stock_of(client, cake) == 0


MISFITS: list[tuple[Any, tuple[str | int, ...]]] = [
    ({}, ("items",)),
    ({"items": []}, ("items",)),
    ({"items": None}, ("items",)),
    ({"items": [{"goods_id": 1, "quantity": 1}] * 101}, ("items",)),
    ({"items": [{"goods_id": 1, "quantity": 1}], "total": "0.01"}, ("total",)),
    ({"items": [{"goods_id": 1, "quantity": 1, "price": "0.01"}]}, ("items", 0, "price")),
    *(({"items": [{"goods_id": 1, "quantity": wrong}]}, ("items", 0, "quantity"))
      for wrong in (0, -1, 1000, 1.0, "1", True, None)),
    *(({"items": [{"goods_id": wrong, "quantity": 1}]}, ("items", 0, "goods_id"))
      for wrong in (0, -1, MAX_ID + 1, 1.0, "1", True, None)),
    ({"items": [{"goods_id": 1}]}, ("items", 0, "quantity")),
]  # fmt: skip


@only_sqlite
def test_what_is_no_order(client: TestClient, customer: Headers, catalogue: Catalogue) -> None:
    for body, loc in MISFITS:
        refused = client.post(ORDERS, json=body, headers=customer)
        assert refused.status_code == 422, body
        assert [error["loc"] for error in refused.json()["data"]["errors"]] == [["body", *loc]]
    twice = place(client, customer, (1, 1), (2, 1), (1, 2))
    assert twice.json() == invalid((("body", "items"), ONCE.removeprefix("Value error, "), "value_error"))
    assert client.get(ORDERS, headers=customer).json()["data"]["total"] == 0


def test_a_hundred_lines(client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue) -> None:
    lines = [f"X-{number},第{number}号 Number {number},,pots,0.{number:02},999" for number in range(100)]
    file = "\n".join(["sku,name,description,category,price,stock", *lines]).encode()
    assert client.post(f"{GOODS}/import", files={"file": ("a", file)}, headers=admin).status_code == 200
    placed = place(client, customer, *((number, 999) for number in range(108, 8, -1)))
    data = placed.json()["data"]
    assert (placed.status_code, data["total"]) == (201, "49450.50")
    assert [(line["goods_id"], line["name"]) for line in data["items"]] == [
        (number + 9, f"第{number}号 Number {number}") for number in range(100)
    ]
    assert client.get(placed.headers["Location"], headers=customer).json() == placed.json()
    assert client.get(f"{GOODS}?category=pots&in_stock=true").json()["data"]["total"] == 0


def test_an_order_stays_what_it_was(
    client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    placed = place(client, customer, (tea, 2), (coffee, 1))
    change = {"price": "0.01", "name": "别的 Other", "sku": "OTHER"}
    client.patch(f"{GOODS}/{tea.id}", json=change, headers={**admin, "If-Match": "*"})
    client.delete(f"{GOODS}/{coffee.id}", headers=admin)
    for read in (
        client.get(placed.headers["Location"], headers=customer).json()["data"],
        client.get(ORDERS, headers=customer).json()["data"]["items"][0],
    ):
        assert read == placed.json()["data"]


def test_cancelling_returns_the_stock_once(
    app: FastAPI, client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    path = place(client, customer, (coffee, 1), (tea, 2)).headers["Location"]
    client.delete(f"{GOODS}/{coffee.id}", headers=admin)
    cancelled = client.post(f"{path}/cancel", headers=customer)
    assert cancelled.json() == success(order_answer(1, "bob", (tea, 2), (coffee, 1), status="cancelled"))
    data = cancelled.json()["data"]
    assert data["updated_at"] > data["created_at"]
    assert client.get(path, headers=customer).json() == cancelled.json()
    assert stock_of(client, tea) == tea.stock
    assert client.post(f"{path}/cancel", headers=customer).status_code == 409
    inside(app, client, lambda database: let_expire(database, 1))
    assert stock_of(client, tea) == tea.stock
    assert client.get(f"{GOODS}/{coffee.id}").status_code == 404


def test_what_was_ordered_leaves_the_cart(
    client: TestClient, tokens: Tokens, customer: Headers, catalogue: Catalogue
) -> None:
    tea, coffee, cake = catalogue["TEA-1"], catalogue["COF-1"], catalogue["TEA-3"]
    carol = buyer(tokens, "carol")
    for headers in (customer, carol):
        client.put(CART, json=items((coffee, 3), (tea, 1), (cake, 9)), headers=headers)
    assert place(client, customer, (tea, 1), (cake, 9)).status_code == 409
    before = client.get(CART, headers=customer).json()
    assert before == success(cart_answer((coffee, 3), (tea, 1), (cake, 9)))
    place(client, customer, (tea, 5), (coffee, 1))
    assert client.get(CART, headers=customer).json() == success(cart_answer((cake, 9)))
    assert [line["goods_id"] for line in client.get(CART, headers=carol).json()["data"]["items"]] == [
        coffee.id, tea.id, cake.id,
    ]  # fmt: skip
