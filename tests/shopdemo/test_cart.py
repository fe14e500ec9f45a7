"""Carts: a guest's behind a signed cookie, a user's behind the name in the token, and one that becomes the other."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from api.shopdemo.cart.dependencies import COOKIE, PURPOSE, forget_carts
from api.shopdemo.cart.errors import CartFull
from api.shopdemo.database import CartItemRow, CartRow
from api.shopdemo.goods.errors import GoodsNotFound
from api.shopdemo.schemas import Goods
from extensions.database import Database
from extensions.security import Tokens
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, success
from tests.support.pictures import picture
from tests.support.shopping import CART, GOODS, Headers, buyer, cart_answer, inside, items
from utils.custom_exc import NotAuthenticated
from utils.fields import MAX_ID, utc_now

Catalogue = dict[str, Goods]

pytestmark = pytest.mark.parametrize("settings", [{"projects": ("shopdemo",)}], indirect=True)

EMPTY = success(cart_answer())


def put(client: TestClient, goods: Goods | int, quantity: int, headers: Headers | None = None) -> Any:
    goods_id = goods if isinstance(goods, int) else goods.id
    return client.put(f"{CART}/items/{goods_id}", json={"quantity": quantity}, headers=headers)


def another(client: TestClient, **options: Any) -> TestClient:
    """Another browser, with its own cookies, on the same running service."""
    browser = TestClient(client.app, **options)
    browser.portal = client.portal
    return browser


def with_cookie(value: str) -> Headers:
    return {"Cookie": f"{COOKIE}={value}"}


def cart_in(tokens: Tokens, answer: Any) -> int:
    """The id in the cookie that an answer sets."""
    sealed = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    return int(tokens.unseal(PURPOSE, sealed) or 0)


def attributes_of(answer: Any) -> set[str]:
    return set(answer.headers["set-cookie"].split("; ")[1:])


def test_put_show_and_remove(client: TestClient, tokens: Tokens, catalogue: Catalogue) -> None:
    tea, coffee, off_sale = catalogue["TEA-1"], catalogue["COF-1"], catalogue["SHI-3"]
    user = buyer(tokens, "bob")
    for headers in ({}, user):
        empty = client.get(CART, headers=headers)
        assert (empty.status_code, empty.json()) == (200, EMPTY)
        assert "set-cookie" not in empty.headers
        expected = [
            (put(client, coffee, 41, headers), [(coffee, 41)]),
            (put(client, tea, 1, headers), [(coffee, 41), (tea, 1)]),
            (put(client, coffee, 2, headers), [(coffee, 2), (tea, 1)]),  # it stays where it was
            (client.get(CART, headers=headers), [(coffee, 2), (tea, 1)]),
            (client.put(CART, json=items((off_sale, 1), (tea, 999), (coffee, 1)), headers=headers),
             [(off_sale, 1), (tea, 999), (coffee, 1)]),
            (client.get(CART, headers=headers), [(off_sale, 1), (tea, 999), (coffee, 1)]),
        ]  # fmt: skip
        for answer, lines in expected:
            assert (answer.status_code, answer.json()) == (200, success(cart_answer(*lines)))
        for _ in range(2):
            gone = client.delete(f"{CART}/items/{tea.id}", headers=headers)
            assert (gone.status_code, gone.content) == (204, b"")
            assert client.get(CART, headers=headers).json() == success(cart_answer((off_sale, 1), (coffee, 1)))
        for _ in range(2):
            gone = client.delete(CART, headers=headers)
            assert (gone.status_code, gone.content) == (204, b"")
            assert client.get(CART, headers=headers).json() == EMPTY
        assert client.put(CART, json={"items": []}, headers=headers).json() == EMPTY
        client.cookies.clear()


@only_sqlite
def test_everybody_has_a_cart_of_their_own(client: TestClient, tokens: Tokens, catalogue: Catalogue) -> None:
    tea, guest = catalogue["TEA-1"], another(client)
    bob, carol = buyer(tokens, "bob"), buyer(tokens, "carol")
    for quantity, (browser, headers) in enumerate(((client, {}), (guest, {}), (another(client), bob)), 1):
        put(browser, tea, quantity, headers)
    assert client.get(CART).json() == success(cart_answer((tea, 1)))
    assert guest.get(CART).json() == success(cart_answer((tea, 2)))
    stranger = another(client)
    assert stranger.get(CART, headers=bob).json() == success(cart_answer((tea, 3)))
    assert stranger.get(CART, headers=carol).json() == EMPTY
    assert stranger.get(CART).json() == EMPTY


@only_sqlite
def test_the_cookie(app: FastAPI, client: TestClient, tokens: Tokens, catalogue: Catalogue) -> None:
    plain = put(client, 1, 1)
    assert attributes_of(plain) == {"HttpOnly", "Max-Age=2592000", "Path=/shopdemo", "SameSite=lax"}
    secure = put(another(client, base_url="https://testserver"), 1, 1)
    assert attributes_of(secure) == attributes_of(plain) | {"Secure"}
    behind_a_proxy = put(another(client, root_path="/api"), 1, 1)
    assert attributes_of(behind_a_proxy) == attributes_of(plain) - {"Path=/shopdemo"} | {"Path=/api/shopdemo"}
    assert "set-cookie" not in client.get(CART).headers
    assert cart_in(tokens, put(client, 1, 2)) == cart_in(tokens, plain)  # and its time begins anew
    assert "set-cookie" not in put(another(client), 1, 1, buyer(tokens, "bob")).headers


@only_sqlite
def test_a_cookie_that_is_not_ours_is_none(client: TestClient, tokens: Tokens, catalogue: Catalogue) -> None:
    tea = catalogue["TEA-1"]
    put(client, tea, 1)
    good = client.cookies[COOKIE]
    client.cookies.clear()
    assert client.get(CART, headers=with_cookie(good)).json() == success(cart_answer((tea, 1)))
    head, body, signature = good.split(".")
    for wrong in (
        "1",
        "nonsense",
        "..",
        "",
        "é\xff",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body[:-4]}.{signature}",
        tokens.seal("another purpose", "1", 30),
        tokens.seal(PURPOSE, "1", -1),
        tokens.sign("1", frozenset(), 60),
        Tokens("another key that is long enough too").seal(PURPOSE, "1", 30),
    ):
        headers = {"Cookie": f"{COOKIE}={wrong}".encode("latin-1")}
        assert client.get(CART, headers=headers).json() == EMPTY  # type: ignore[arg-type]
        assert client.delete(CART, headers=headers).status_code == 204  # type: ignore[arg-type]
        made = put(client, tea, 2, headers)  # type: ignore[arg-type]
        assert made.json() == success(cart_answer((tea, 2)))
        assert cart_in(tokens, made) > 1
        client.cookies.clear()
    assert client.get(CART, headers=with_cookie("x" * 1001)).status_code == 422
    assert client.get(CART, headers=with_cookie(good)).json() == success(cart_answer((tea, 1)))
    refused = client.get(CART, headers={"Authorization": f"Bearer {good}"})
    assert (refused.status_code, refused.json()) == (401, failure(NotAuthenticated, "The access token is not valid."))


def test_no_id_is_a_key_to_the_cart_of_a_user(client: TestClient, tokens: Tokens, catalogue: Catalogue) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    bob, carol = buyer(tokens, "bob"), buyer(tokens, "carol")
    put(client, tea, 3, bob)
    key = with_cookie(tokens.seal(PURPOSE, "1", 30))
    assert client.get(CART, headers=key).json() == EMPTY
    assert client.delete(CART, headers=key).status_code == 204
    assert client.delete(f"{CART}/items/{tea.id}", headers=key).status_code == 204
    made = put(client, coffee, 1, key)
    assert made.json() == success(cart_answer((coffee, 1)))
    assert cart_in(tokens, made) > 1
    client.cookies.clear()
    assert client.get(CART, headers={**carol, **key}).json() == EMPTY
    assert client.get(CART, headers={**bob, **key}).json() == success(cart_answer((tea, 3)))


def test_a_login_merges(app: FastAPI, client: TestClient, tokens: Tokens, catalogue: Catalogue) -> None:
    tea, coffee, cake = catalogue["TEA-1"], catalogue["COF-1"], catalogue["TEA-3"]
    bob = buyer(tokens, "bob")
    put(another(client), coffee, 600, bob)
    put(another(client), tea, 2, bob)
    for goods, quantity in ((tea, 3), (coffee, 600), (cake, 1)):
        made = put(client, goods, quantity)
    cookie = with_cookie(client.cookies[COOKIE])
    merged = client.get(CART, headers=bob)
    expected = success(cart_answer((coffee, 999), (tea, 5), (cake, 1)))
    assert (merged.status_code, merged.json()) == (200, expected)
    assert attributes_of(merged) >= {"Max-Age=0", "Path=/shopdemo"}
    assert COOKIE not in client.cookies
    assert client.get(CART, headers=cookie).json() == EMPTY  # nobody who kept the cookie sees it
    for _ in range(2):
        again = client.get(CART, headers={**bob, **cookie})
        assert again.json() == expected
        assert attributes_of(again) >= {"Max-Age=0"}
    assert cart_in(tokens, put(client, tea, 1, cookie)) > cart_in(tokens, made)  # no id is used again


@only_sqlite
def test_whatever_comes_first_after_the_login_merges(
    app: FastAPI, client: TestClient, tokens: Tokens, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    bob = buyer(tokens, "bob")
    for method, path, body, lines in (
        ("PUT", f"{CART}/items/{coffee.id}", {"quantity": 2}, [(tea, 1), (coffee, 2)]),
        ("DELETE", f"{CART}/items/{coffee.id}", None, [(tea, 2)]),
        ("PUT", CART, items((coffee, 1)), [(coffee, 1)]),
        ("DELETE", CART, None, []),
    ):
        browser = another(client)
        put(browser, tea, 1)
        answer = browser.request(method, path, json=body, headers=bob)
        assert answer.status_code in (200, 204)
        assert COOKIE not in browser.cookies
        assert client.get(CART, headers=bob).json() == success(cart_answer(*lines))


@pytest.mark.anyio
async def test_ten_requests_merge_once(
    app: FastAPI, async_client: httpx.AsyncClient, tokens: Tokens, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    bob = buyer(tokens, "bob")
    await async_client.put(CART, json=items((tea, 2)), headers=bob)
    await async_client.put(CART, json=items((tea, 3), (coffee, 4)))
    work = [async_client.get(CART, headers={**bob, **with_cookie(async_client.cookies[COOKIE])}) for _ in range(10)]
    async_client.cookies.clear()
    answers = await asyncio.gather(*work)
    expected = success(cart_answer((tea, 5), (coffee, 4)))
    assert [answer.json() for answer in answers] == [expected] * 10
    assert await count(app.state.database) == (1, 2)


@pytest.mark.anyio
async def test_of_several_users_with_one_cookie_one_gets_the_cart(
    app: FastAPI, async_client: httpx.AsyncClient, tokens: Tokens, catalogue: Catalogue
) -> None:
    tea, coffee = catalogue["TEA-1"], catalogue["COF-1"]
    users = [buyer(tokens, f"user {number}") for number in range(10)]
    await asyncio.gather(*(async_client.put(CART, json=items((tea, 1)), headers=user) for user in users))
    await async_client.put(CART, json=items((tea, 3), (coffee, 4)))
    cookie = with_cookie(async_client.cookies[COOKIE])
    async_client.cookies.clear()
    answers = await asyncio.gather(*(async_client.get(CART, headers={**user, **cookie}) for user in users))
    found = [[line["quantity"] for line in answer.json()["data"]["items"]] for answer in answers]
    assert sorted(found) == [*[[1]] * 9, [4, 4]]


def test_prices_and_stock_are_those_of_now(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    tea, coffee, cake, shirt = (catalogue[sku] for sku in ("TEA-1", "COF-1", "TEA-3", "SHI-1"))
    client.put(CART, json=items((tea, 2), (coffee, 3), (cake, 5), (shirt, 1)))
    for goods, change in (
        (tea, {"price": "0.05", "name": "新茶 New"}),
        (coffee, {"stock": 2}),
        (cake, {"on_sale": False}),
    ):
        client.patch(f"{GOODS}/{goods.id}", json=change, headers={**admin, "If-Match": "*"})
    client.delete(f"{GOODS}/{shirt.id}", headers=admin)
    file = {"file": ("a.png", picture())}
    added = client.post(f"{GOODS}/{coffee.id}/pictures", files=file, headers=admin).json()["data"]
    expected = cart_answer((tea, 2), (coffee, 3), (cake, 5))
    expected["items"][0] |= {"price": "0.05", "subtotal": "0.10", "name": "新茶 New"}
    expected["items"][1] |= {"stock": 2, "available": False, "thumbnail_url": added["thumbnail_url"]}
    expected["items"][2] |= {"available": False}
    assert client.get(CART).json() == success({**expected, "total": "544.10"})


def test_unknown_goods(client: TestClient, tokens: Tokens, catalogue: Catalogue) -> None:
    tea = catalogue["TEA-1"]
    for goods_id in (99, MAX_ID):
        for answer in (put(client, goods_id, 1), client.put(CART, json=items((tea, 1), (goods_id, 1)))):
            assert (answer.status_code, answer.json()) == (404, failure(GoodsNotFound))
            assert "set-cookie" not in answer.headers
    put(client, tea, 2)
    assert client.put(CART, json=items((tea, 1), (99, 1))).status_code == 404
    assert client.get(CART).json() == success(cart_answer((tea, 2)))
    assert client.delete(f"{CART}/items/99").status_code == 204


@only_sqlite
def test_what_does_not_fit(client: TestClient, catalogue: Catalogue) -> None:
    for quantity in (0, -1, 1000, 1.0, "1", True, None):
        answers = [
            client.put(f"{CART}/items/1", json={"quantity": quantity}),
            client.put(CART, json={"items": [{"goods_id": 1, "quantity": quantity}]}),
        ]
        assert [answer.status_code for answer in answers] == [422, 422]
        where = [answer.json()["data"]["errors"][0]["loc"] for answer in answers]
        assert where == [["body", "quantity"], ["body", "items", 0, "quantity"]]
    for body in ({}, {"items": None}, items((1, 1), (1, 1)), items(*((n, 1) for n in range(1, 102))), {"a": 1}):
        assert client.put(CART, json=body).status_code == 422
    for goods_id in ("0", "-1", "x", str(MAX_ID + 1), "%00"):
        assert client.put(f"{CART}/items/{goods_id}", json={"quantity": 1}).status_code == 422
        assert client.delete(f"{CART}/items/{goods_id}").status_code == 422
    assert client.get(CART).json() == EMPTY


@pytest.mark.anyio
async def test_a_cart_gets_full(
    app: FastAPI, async_client: httpx.AsyncClient, admin: Headers, tokens: Tokens, catalogue: Catalogue
) -> None:
    lines = [f"X-{number},第{number}号,,pots,1.00,1" for number in range(100)]
    file = "\n".join(["sku,name,description,category,price,stock", *lines]).encode()
    await async_client.post(f"{GOODS}/import", files={"file": ("a", file)}, headers=admin)
    bob = buyer(tokens, "bob")
    await async_client.put(CART, json=items(*((number, 1) for number in range(1, 100))), headers=bob)
    work = [async_client.put(f"{CART}/items/{number}", json={"quantity": 1}, headers=bob) for number in range(100, 109)]
    answers = await asyncio.gather(*work)
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 8]
    assert [answer.json() for answer in answers if answer.status_code == 409] == [failure(CartFull)] * 8
    changed = await async_client.put(f"{CART}/items/1", json={"quantity": 2}, headers=bob)
    assert [line["quantity"] for line in changed.json()["data"]["items"]] == [2, *[1] * 99]
    await async_client.put(CART, json=items((107, 1), (108, 1), (1, 1)))  # a guest's, with what the user's has not
    merged = await async_client.get(CART, headers=bob)
    in_it = {line["goods_id"] for line in changed.json()["data"]["items"]}
    assert {line["goods_id"] for line in merged.json()["data"]["items"]} == in_it | {107, 108}  # nothing gets lost
    less = await async_client.put(f"{CART}/items/1", json={"quantity": 1}, headers=bob)
    assert (less.status_code, len(less.json()["data"]["items"])) == (200, 102)
    assert (await async_client.put(f"{CART}/items/106", json={"quantity": 1}, headers=bob)).status_code == 409


async def count(database: Database) -> tuple[int, int]:
    """How many carts there are, and how many lines in all of them."""
    carts = await database.fetch_one(select(func.count().label("number")).select_from(CartRow))
    lines = await database.fetch_one(select(func.count().label("number")).select_from(CartItemRow))
    assert carts
    assert lines
    return carts["number"], lines["number"]


def test_old_carts_of_guests_are_forgotten(
    app: FastAPI, client: TestClient, tokens: Tokens, catalogue: Catalogue
) -> None:
    tea, guest = catalogue["TEA-1"], another(client)
    made = put(client, tea, 1)
    put(guest, tea, 2)
    put(another(client), tea, 3, buyer(tokens, "bob"))

    async def let_a_month_pass(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(update(CartRow).values(updated_at=utc_now() - timedelta(days=30, seconds=1)))

    inside(app, client, let_a_month_pass)
    put(guest, tea, 4)
    inside(app, client, lambda database: forget_carts(database, 31))
    assert inside(app, client, count) == (3, 3)
    inside(app, client, lambda database: forget_carts(database, 30))
    assert inside(app, client, count) == (2, 2)
    assert client.get(CART).json() == EMPTY
    assert guest.get(CART).json() == success(cart_answer((tea, 4)))
    assert another(client).get(CART, headers=buyer(tokens, "bob")).json() == success(cart_answer((tea, 3)))
    assert cart_in(tokens, put(client, tea, 1)) > cart_in(tokens, made)
