"""What OpenAPI promises of every operation, compared with what the service really answers.

`CALLS` has a request that succeeds for each operation, `FAILURES` one for each failure that is not the same
everywhere; an operation or a documented status without one fails here.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from copy import deepcopy
from io import BytesIO
from time import monotonic, time
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from PIL import Image
from schemathesis.specs.openapi.definitions import OPENAPI_31
from sqlalchemy import select
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from api import ALWAYS_ANSWERED, create_app
from api.accounts.throttle.service import OF_A_NAME_AND_ADDRESS
from api.paymentdemo.database import ChargeRow
from api.rate_limit import RATE_LIMIT_HEADERS
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
from tests.support.shopping import inside
from utils.custom_exc import NotReady, Overloaded
from utils.request_context import RECEIVED
from utils.webhooks import signed_headers

Headers = dict[str, str]

GOODS = "/shopdemo/goods"
NOBODY = 10**9
NO_PICTURE = f"{0:024x}.webp"

USERS = "/accounts/users"
ORDERS = "/shopdemo/orders"
CART = "/shopdemo/cart"
CHARGES = "/paymentdemo/charges"
PASSWORD = "four teapots under a plum tree"

# Routes that are no operations: what a browser loads beside the API.
PAGES = {
    "/openapi.json", "/docs", "/redoc", "/favicon.ico", "/static", "/asyncapi.json", "/static/websocketdemo",
}  # fmt: skip
SOCKETS = {"/websocketdemo/ws/{user}", "/websocketdemo/ws/{room}/{user}"}  # described by /asyncapi.json

VERBS = {
    "list", "get", "show", "create", "replace", "update", "delete", "add", "remove", "import", "export", "push",
    "stream", "register", "refresh", "revoke", "merge", "pay", "cancel", "place",
    "receive", "refund", "ship", "complete",
}  # fmt: skip

# Who may do what is said here, where it is not that everybody reads and nobody writes without a token.
OPEN_WRITES = {
    "register_user", "create_token", "refresh_token", "revoke_token",
    "replace_cart", "delete_cart", "replace_cart_item", "delete_cart_item",
}  # fmt: skip
PRIVATE_READS = {"list_users", "get_me", "get_user", "list_orders", "get_order", "list_charges", "get_charge"}
ROLELESS_WRITES = {  # whose it is decides, or a key
    "place_order", "cancel_order", "complete_order", "pay_order", "receive_event", "create_charge", "refund_charge",
}  # fmt: skip

# The keys of envelopes that have more than the three.
BESIDE_DATA = {"TokenAnswer": ["access_token", "token_type"]}

# Headers of HTTP itself and of every answer; all others are documented.
PLAIN_HEADERS = {
    "content-type", "content-length", "accept-ranges", "last-modified", "vary", "cache-control",
    "x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-opener-policy",
    "content-security-policy", "x-accel-buffering",
}  # fmt: skip

# Documented, but not sent every time: only to guests, and once after their login; and only where quotas are set.
SOMETIMES_SENT = {"set-cookie", *(name.lower() for name in RATE_LIMIT_HEADERS)}

# Parameters that may say anything: what does not fit is as if it were not sent, or 400 and 416.
UNCHECKED = {"If-None-Match", "Range"}

NEVER_THE_SAME = {"show_metrics"}  # what it says has another length the next time

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
        """Its own answers, without what may come before any operation (`tests/api/test_openapi.py`)."""
        return {status: response for status, response in self.spec["responses"].items() if status != "default"}


OPERATIONS = [
    Operation(method.upper(), path, spec) for path, item in DOCUMENT["paths"].items() for method, spec in item.items()
]


class Account(NamedTuple):
    """Somebody who has registered and logged in."""

    user_id: int
    headers: Headers
    refresh_token: str


class Shop(NamedTuple):
    """The running service with its small catalogue, and who asks."""

    app: FastAPI
    client: TestClient
    admin: Headers
    customer: Headers
    goods: dict[str, Goods]
    picture: str
    carol: "Account"
    order: int
    charge: str

    @property
    def key(self) -> Headers:
        """The headers of the shop at its payment gateway."""
        return {"Authorization": f"Bearer {self.app.state.settings.payment_key}"}

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


def _place(client: TestClient, customer: Headers, goods: Goods) -> int:
    body = {"items": [{"goods_id": goods.id, "quantity": 1}]}
    order_id: int = client.post(ORDERS, headers=customer, json=body).json()["data"]["id"]
    return order_id


def _basket(goods_id: int, quantity: int = 1) -> dict[str, Any]:
    return {"items": [{"goods_id": goods_id, "quantity": quantity}]}


def _move(shop: Shop, action: str, *before: str) -> Call:
    """A request to move another order, after it was moved before; by an administrator, who may do all that."""
    address = f"{ORDERS}/{_place(shop.client, shop.admin, shop.goods['COF-2'])}"
    for step in before:
        assert shop.client.post(f"{address}/{step}", headers=shop.admin, json={}).status_code == 200
    return call(f"{address}/{action}", headers=shop.admin)


def _item(goods_id: int, **options: Any) -> Call:
    return call(f"{CART}/items/{goods_id}", **{"headers": {}, "json": {"quantity": 2}, **options})


def _long_cookie(path: str = "") -> Call:
    return call(path, headers={"Cookie": "shop_cart=" + "x" * 1001})


def _cart_full(shop: Shop) -> Call:
    made = _import(shop, *(f"NEW-{number},新 New,,pots,1.00,1" for number in range(93)))
    shop.client.post(f"{GOODS}/import", **made.options)
    items = [{"goods_id": number, "quantity": 1} for number in range(1, 101)]
    assert shop.client.put(CART, json={"items": items}).status_code == 200
    return _item(101)


def _pay(shop: Shop, order_id: int, method: str = "test-card") -> Call:
    return call(f"{ORDERS}/{order_id}/pay", headers=shop.customer, json={"method": method})


def _pay_another(shop: Shop, method: str) -> Call:
    return _pay(shop, _place(shop.client, shop.customer, shop.goods["COF-2"]), method)


def _paid(shop: Shop) -> Call:
    made = _pay_another(shop, "test-card")
    assert shop.client.post(made.path, **made.options).status_code == 200
    return made


def _charge(key: Headers, idempotency_key: str, method: str = "test-card", amount: str = "199.00") -> Call:
    headers = {**key, "Idempotency-Key": idempotency_key}
    return call(headers=headers, json={"reference": "订单 7", "amount": amount, "method": method})


def _declined_charge(shop: Shop) -> Call:
    made = shop.client.post(CHARGES, **_charge(shop.key, "declined", "test-card-declined").options)
    return call(f"{CHARGES}/{made.json()['data']['id']}/refund", headers=shop.key)


def _event(shop: Shop, **changes: Any) -> Call:
    """A webhook of the gateway, about a payment that is not known here unless the changes say which."""
    charge = {"id": "ch_1", "reference": "订单 7", "amount": "199.00", "status": "succeeded", **changes}
    event = {"type": "charge.succeeded", "timestamp": "2026-01-01T00:00:00Z", "data": charge}
    body = shop.client.build_request("POST", "/", json=event).read()
    signed = signed_headers(shop.app.state.settings.payment_key, "evt_1", int(time()), body)
    return call(headers=signed, json=event)


OWN_CHARGES = select(ChargeRow.reference).where(ChargeRow.reference.startswith("order-"))


def _event_of_another_amount(shop: Shop) -> Call:
    made = _pay(shop, shop.order, "test-card-declined")
    assert shop.client.post(made.path, **made.options).status_code == 402
    newest = inside(shop.app, shop.client, lambda database: database.fetch_one(OWN_CHARGES))
    assert newest
    return _event(shop, reference=newest["reference"], amount="0.01")


def _account(client: TestClient, name: str) -> Account:
    known = {"username": name, "password": PASSWORD}
    registered = client.post(USERS, json=known).json()["data"]
    pair = client.post("/accounts/token", data=known).json()["data"]
    return Account(registered["id"], {"Authorization": f"Bearer {pair['access_token']}"}, pair["refresh_token"])


def _login(name: str, password: str = PASSWORD) -> Call:
    return call(headers={}, data={"username": name, "password": password})


def _change(account: Account, current: str, new: str = "another teapot under a plum tree") -> Call:
    return call(headers=account.headers, json={"current_password": current, "new_password": new})


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
    "show_metrics": lambda _: call(),
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
    "register_user": lambda _: call(headers={}, json={"username": "爱丽丝", "password": PASSWORD}),
    "list_users": lambda shop: call(headers=shop.admin, params={"q": "CAR"}),
    "get_me": lambda shop: call(headers=shop.carol.headers),
    "get_user": lambda shop: call(f"{USERS}/{shop.carol.user_id}", headers=shop.carol.headers),
    "update_user": lambda shop: call(f"{USERS}/{shop.carol.user_id}", headers=shop.admin, json={"roles": ["push"]}),
    "replace_password": lambda shop: _change(shop.carol, PASSWORD),
    "create_token": lambda _: _login("Carol"),
    "refresh_token": lambda shop: call(headers={}, json={"refresh_token": shop.carol.refresh_token}),
    "revoke_token": lambda shop: call(headers={}, json={"refresh_token": shop.carol.refresh_token}),
    "place_order": lambda shop: call(headers=shop.customer, json=_basket(shop.goods["TEA-1"].id, 2)),
    "list_orders": lambda shop: call(headers=shop.admin, params={"everyone": True, "status": "pending"}),
    "get_order": lambda shop: call(f"{ORDERS}/{shop.order}", headers=shop.customer),
    "cancel_order": lambda shop: call(f"{ORDERS}/{shop.order}/cancel", headers=shop.customer),
    "ship_order": lambda shop: _move(shop, "ship", "pay"),
    "complete_order": lambda shop: _move(shop, "complete", "pay", "ship"),
    "show_cart": lambda _: call(headers={}),
    "replace_cart": lambda shop: call(headers={}, json=_basket(shop.goods["TEA-2"].id, 2)),
    "delete_cart": lambda _: call(headers={}),
    "replace_cart_item": lambda shop: _item(shop.goods["TEA-1"].id),
    "delete_cart_item": lambda _: call(f"{CART}/items/{NOBODY}", headers={}),
    "pay_order": lambda shop: _pay(shop, shop.order),
    "receive_event": _event,
    "create_charge": lambda shop: _charge(shop.key, "key-2"),
    "list_charges": lambda shop: call(headers=shop.key, params={"key": "key-1"}),
    "get_charge": lambda shop: call(f"{CHARGES}/{shop.charge}", headers=shop.key),
    "refund_charge": lambda shop: call(f"{CHARGES}/{shop.charge}/refund", headers=shop.key),
}

# Those that may also answer with 202, and when they do.
ACCEPTED: dict[str, Callable[[Shop], Call]] = {"pay_order": lambda shop: _pay_another(shop, "test-card-slow")}


def _forged(path: str = "", **options: Any) -> Call:
    return call(path, headers={"Authorization": "Bearer forged"}, **options)


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


def _own_role(shop: Shop) -> Call:
    """An administrator who would be none afterwards."""
    address = f"{USERS}/{shop.carol.user_id}"
    assert shop.client.patch(address, headers=shop.admin, json={"roles": ["admin"]}).status_code == 200
    token = shop.app.state.tokens.sign("carol", frozenset({"admin"}), 5)
    return call(address, headers={"Authorization": f"Bearer {token}"}, json={"roles": []})


def _logins_used_up(shop: Shop) -> Call:
    for _ in range(OF_A_NAME_AND_ADDRESS.burst):
        assert shop.client.post("/accounts/token", data={"username": "dave", "password": "x"}).status_code == 401
    return _login("dave")


def _changes_used_up(shop: Shop) -> Call:
    account = _account(shop.client, "dave")
    for _ in range(OF_A_NAME_AND_ADDRESS.burst):
        assert shop.client.put(f"{USERS}/me/password", **_change(account, "x").options).status_code == 403
    return _change(account, PASSWORD)


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
    ("register_user", 409): lambda _: call(headers={}, json={"username": "CAROL", "password": PASSWORD}),
    ("register_user", 422): lambda _: call(headers={}, json={"username": "爱丽丝", "password": "password" * 3}),
    ("list_users", 422): lambda shop: call(headers=shop.admin, params={"size": 0}),
    ("get_me", 404): lambda shop: call(headers=shop.customer),
    ("get_user", 403): lambda shop: call(f"{USERS}/{NOBODY}", headers=shop.carol.headers),
    ("get_user", 404): lambda shop: call(f"{USERS}/{NOBODY}", headers=shop.admin),
    ("get_user", 422): lambda shop: call(f"{USERS}/0", headers=shop.admin),
    ("update_user", 404): lambda shop: call(f"{USERS}/{NOBODY}", headers=shop.admin, json={"is_active": False}),
    ("update_user", 409): _own_role,
    ("update_user", 422): lambda shop: call(f"{USERS}/1", headers=shop.admin, json={"roles": ["No role"]}),
    ("replace_password", 403): lambda shop: _change(shop.carol, "another password"),
    ("replace_password", 404): lambda shop: _change(shop.carol, PASSWORD)._replace(
        options={**_change(shop.carol, PASSWORD).options, "headers": shop.customer}
    ),
    ("replace_password", 422): lambda shop: _change(shop.carol, PASSWORD, "short"),
    ("replace_password", 429): _changes_used_up,
    ("create_token", 401): lambda _: _login("carol", "another password"),
    ("create_token", 422): lambda _: call(headers={}, data={"username": "carol"}),
    ("create_token", 429): _logins_used_up,
    ("refresh_token", 401): lambda _: call(headers={}, json={"refresh_token": "unknown"}),
    ("refresh_token", 422): lambda _: call(headers={}, json={}),
    ("revoke_token", 401): lambda _: call(headers={}, json={"refresh_token": "unknown"}),
    ("revoke_token", 422): lambda _: call(headers={}, json={}),
    ("place_order", 409): lambda shop: call(headers=shop.customer, json=_basket(shop.goods["TEA-2"].id)),
    ("place_order", 422): lambda shop: call(headers=shop.customer, json=_basket(shop.goods["SHI-3"].id)),
    ("list_orders", 422): lambda shop: call(headers=shop.customer, params={"status": "lost"}),
    ("get_order", 404): lambda shop: call(f"{ORDERS}/{NOBODY}", headers=shop.customer),
    ("get_order", 422): lambda shop: call(f"{ORDERS}/0", headers=shop.customer),
    ("cancel_order", 404): lambda shop: call(f"{ORDERS}/{NOBODY}/cancel", headers=shop.customer),
    ("cancel_order", 409): lambda shop: _move(shop, "cancel", "cancel"),
    ("cancel_order", 422): lambda shop: call(f"{ORDERS}/0/cancel", headers=shop.customer),
    ("ship_order", 404): lambda shop: call(f"{ORDERS}/{NOBODY}/ship", headers=shop.admin),
    ("ship_order", 409): lambda shop: _move(shop, "ship"),
    ("ship_order", 422): lambda shop: call(f"{ORDERS}/0/ship", headers=shop.admin),
    ("complete_order", 404): lambda shop: call(f"{ORDERS}/{NOBODY}/complete", headers=shop.customer),
    ("complete_order", 409): lambda shop: _move(shop, "complete", "pay"),
    ("complete_order", 422): lambda shop: call(f"{ORDERS}/0/complete", headers=shop.customer),
    ("show_cart", 401): lambda _: _forged(),
    ("show_cart", 422): lambda _: _long_cookie(),
    ("replace_cart", 401): lambda _: _forged(json=_basket(1)),
    ("replace_cart", 404): lambda _: call(headers={}, json=_basket(NOBODY)),
    ("replace_cart", 422): lambda _: call(headers={}, json=_basket(1, 0)),
    ("delete_cart", 401): lambda _: _forged(),
    ("delete_cart", 422): lambda _: _long_cookie(),
    ("replace_cart_item", 401): lambda _: _forged(f"{CART}/items/1", json={"quantity": 1}),
    ("replace_cart_item", 404): lambda _: _item(NOBODY),
    ("replace_cart_item", 409): _cart_full,
    ("replace_cart_item", 422): lambda _: _item(1, json={"quantity": 0}),
    ("delete_cart_item", 401): lambda _: _forged(f"{CART}/items/1"),
    ("delete_cart_item", 422): lambda _: call(f"{CART}/items/0"),
    ("pay_order", 402): lambda shop: _pay(shop, shop.order, "test-card-declined"),
    ("pay_order", 404): lambda shop: _pay(shop, NOBODY),
    ("pay_order", 409): _paid,
    ("pay_order", 422): lambda shop: _pay(shop, shop.order, "shells"),
    ("receive_event", 409): _event_of_another_amount,
    ("receive_event", 422): lambda shop: _event(shop, status="perhaps"),
    ("create_charge", 409): lambda shop: _charge(shop.key, "key-1", amount="1.00"),
    ("create_charge", 422): lambda shop: _charge(shop.key, "key-3", "shells"),
    ("list_charges", 422): lambda shop: call(headers=shop.key),
    ("get_charge", 404): lambda shop: call(f"{CHARGES}/ch_0", headers=shop.key),
    ("get_charge", 422): lambda shop: call(f"{CHARGES}/0-0", headers=shop.key),
    ("refund_charge", 404): lambda shop: call(f"{CHARGES}/ch_0/refund", headers=shop.key),
    ("refund_charge", 409): _declined_charge,
    ("refund_charge", 422): lambda shop: call(f"{CHARGES}/0-0/refund", headers=shop.key),
}


def _with_headers(made: Call, **headers: str) -> Call:
    return made._replace(options={**made.options, "headers": headers})


def _with_body(made: Call, body: bytes, content_type: str) -> Call:
    headers = {**made.options["headers"], "Content-Type": content_type}
    kept = {key: value for key, value in made.options.items() if key not in ("json", "files", "data")}
    return made._replace(options={**kept, "headers": headers, "content": body})


def _content_type(made: Call) -> str:
    return "application/x-www-form-urlencoded" if "data" in made.options else "application/json"


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
        else _with_body(made, b" " * (1024 * 1024 + 1), _content_type(made))
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

    async def write_sqlite(self, *_: Any, **__: Any) -> Any:
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
    shown = {**catalogue, "TEA-1": goods}
    order = _place(client, customer, catalogue["COF-2"])
    key = {"Authorization": f"Bearer {app.state.settings.payment_key}"}
    charge = client.post(CHARGES, **_charge(key, "key-1").options).json()["data"]["id"]
    return Shop(app, client, admin, customer, shown, added["url"], _account(client, "carol"), order, charge)


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
    if not documented - SOMETIMES_SENT <= sent <= documented:
        yield f"the headers {sorted(sent)} are sent, {sorted(documented)} are documented"


def _body_deviations(response: dict[str, Any], answer: Any) -> Iterator[str]:
    content = response.get("content", {})
    content_type = answer.headers.get("content-type", "").partition(";")[0]
    if content_type not in (content or {"": {}}):
        yield f"{content_type or 'nothing'} is sent, {sorted(content)} are documented"
    elif content_type == "application/json":
        body = answer.json()
        schema = content[content_type]["schema"]["$ref"].rpartition("/")[2]
        if list(body) != ["code", "message", "data", *BESIDE_DATA.get(schema, ())]:
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
            assert status in (429, 500, 503), f"Say in FAILURES which request gets {status} of {operation.name}."


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
    (success,) = {int(status) for status in operation.responses if status.startswith("2")} - {202, 206}
    if needs_others(operation):
        made = CALLS[operation.name](shop)
        with away(shop.app):
            expect({503}, made)
    with monkeypatch.context() as patch:
        _break(shop.app, operation, patch)
        expect({500}, CALLS[operation.name](shop))
    if "304" in operation.responses:
        made = CALLS[operation.name](shop)
        expect({304}, _with_headers(made, **made.options.get("headers", {}), **{"If-None-Match": "*"}))
    if "202" in operation.responses:
        expect({202}, ACCEPTED[operation.name](shop))
    if "206" in operation.responses:
        expect({206}, _with_headers(CALLS[operation.name](shop), Range="bytes=0-3"))
    expect({success}, CALLS[operation.name](shop))
    assert wrong == []


def needs_others(operation: Operation) -> bool:
    """Whether an operation says that it needs a database or a broker."""
    content = operation.responses.get("503", {"content": {}})["content"]
    examples = content.get("application/json", {"examples": {}})["examples"]
    return bool({example["value"]["code"] for example in examples.values()} - {Overloaded.code})


REFUSED = [operation for operation in OPERATIONS if operation.path not in ALWAYS_ANSWERED]


def refuse(app: ASGIApp, status: int) -> list[str]:
    """Where the answers differ from what is documented when each operation that may be refused is."""
    wrong: list[str] = []
    with TestClient(app) as client:
        for operation in REFUSED:
            answer = client.request(operation.method, re.sub("{.*?}", "1", operation.path))
            wrong += [f"{operation.name}: {answer.status_code}"] * (answer.status_code != status)
            wrong += deviations(operation, answer)
    return wrong


@only_sqlite
def test_a_used_up_quota_is_answered_as_documented(settings: Settings) -> None:
    wrong = refuse(create_app(settings.model_copy(update={"rate_per_address": 1})), 429)
    assert wrong == [f"{REFUSED[0].name}: 200"]


@only_sqlite
def test_overload_is_answered_as_documented(app: FastAPI) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        """Every request has waited for an hour."""
        await app({**scope, "state": {**scope.get("state", {}), RECEIVED: monotonic() - 3600}}, receive, send)

    assert refuse(late, 503) == []


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
    made = CALLS[operation.name](shop)
    with away(shop.app):
        answer = shop.ask(operation, made)
    assert (answer.status_code == 503) == needs_others(operation)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method == "GET"], ids=lambda o: o.name)
@only_sqlite
def test_head_is_get_without_the_body(operation: Operation, shop: Shop) -> None:
    made = CALLS[operation.name](shop)
    made = _with_headers(made, **made.options.get("headers", {}), **{"X-Request-ID": "the-same"})
    got = shop.ask(operation, made)
    head = shop.ask(operation._replace(method="HEAD"), made)
    if operation.name in NEVER_THE_SAME:
        del head.headers["content-length"], got.headers["content-length"]
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
    checked = [each for each in spec.get("parameters", ()) if each["name"] not in UNCHECKED]
    assert ("422" in statuses) == bool(checked or spec.get("requestBody"))
    assert ({"400", "413", "415"} <= statuses) == ("requestBody" in spec)
    assert bool(statuses & {"413", "415"}) == ("requestBody" in spec)
    assert ("400" in statuses) == ("requestBody" in spec or "206" in statuses)
    writes = operation.method != "GET" and operation.name not in OPEN_WRITES
    is_private = writes or operation.name in PRIVATE_READS
    assert ({} not in spec.get("security", [{}])) == is_private, "Say in OPEN_WRITES or PRIVATE_READS who may do it."
    assert "401" in statuses or "security" not in spec
    assert "403" in statuses or not writes or operation.name in ROLELESS_WRITES
    assert is_private or "403" not in statuses


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
            names = "|".join(["Envelope_\\w+", *BESIDE_DATA])
            assert re.fullmatch(rf"#/components/schemas/({names})", json["schema"]["$ref"])
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
    document = deepcopy(DOCUMENT)
    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    # It may be relative by OpenAPI 3.1, 4.6; the schema of it is stricter. There is no refreshUrl: RFC 6749 has a form
    # there, and ours takes JSON.
    assert flow == {"tokenUrl": "accounts/token", "scopes": {}}
    flow["tokenUrl"] = f"http://testserver/{flow['tokenUrl']}"
    errors = jsonschema_rs.Draft202012Validator(OPENAPI_31, validate_formats=True).iter_errors(document)
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
        ("CartLine", "thumbnail_url"),
    ):
        assert "from the root of the service" in schemas[schema]["properties"][field]["description"]
    for operation in OPERATIONS:
        if location := operation.responses.get("201", {}).get("headers", {}).get("Location"):
            assert "from the root of the service" in location["description"]
