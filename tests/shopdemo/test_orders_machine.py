"""Buyers who do whatever comes to their mind, against the running service and against a model of what must be."""

from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select
from starlette.testclient import TestClient

from api.shopdemo.cart.dependencies import COOKIE
from api.shopdemo.database import GoodsRow, OrderRow
from api.shopdemo.goods.store import GoodsWriter
from api.shopdemo.orders.dependencies import expire_orders
from api.shopdemo.orders.errors import IllegalTransition, StockTooLow
from api.shopdemo.orders.schemas import MAX_QUANTITY, Status
from api.shopdemo.orders.service import TRANSITIONS
from api.shopdemo.schemas import Goods, GoodsCreate
from extensions.database import Database
from extensions.security import Tokens
from tests.support.catalogue import goods_body
from tests.support.envelopes import A_TIME, success
from tests.support.shopping import CART, ORDERS, Headers, buyer, inside, items, let_expire
from tests.support.stocktaking import take_stock

pytestmark = [
    pytest.mark.parametrize("settings", [{"projects": ("shopdemo", "paymentdemo")}], indirect=True),
    pytest.mark.slow,
    pytest.mark.usefixtures("catalogue"),
]

STOCK = 6  # so few that it does run out
KINDS = 3
STEPS = 30
EXAMPLES = {"sqlite": 15, "postgres": 4}

ACTIONS: dict[str, Status] = {"pay": "paid", "cancel": "cancelled", "ship": "shipped", "complete": "done"}

SALES = select(GoodsRow.id, GoodsRow.sales)
STATUSES = select(OrderRow.id, OrderRow.status)

who = st.sampled_from(("bob", "卡罗 Carol"))
kind = st.integers(0, KINDS - 1)
quantity = st.integers(1, 4)
basket = st.dictionaries(kind, quantity, min_size=1)
some_order = st.integers(0, 1000)  # modulo how many there are

numbers = count(1)


@dataclass
class Ordered:
    """An order as the model knows it."""

    id: int
    owner: str
    basket: dict[int, int]
    key: str
    answer: dict[str, Any]
    status: Status = "pending"


class Shopping(RuleBasedStateMachine):
    """Two buyers, a guest and an administrator; each run has goods of its own."""

    app: FastAPI
    client: TestClient
    tokens: Tokens

    def __init__(self) -> None:
        super().__init__()
        self.run = next(numbers)
        self.goods: list[Goods] = inside(self.app, self.client, self._add_goods)
        self.sales: Counter[int] = Counter()
        self.carts: dict[str, Counter[int]] = {"guest": Counter()}
        self.orders: list[Ordered] = []

    async def _add_goods(self, database: Database) -> list[Goods]:
        async with database.transaction() as connection:
            writer = GoodsWriter(connection)
            return [
                await writer.create(GoodsCreate(**goods_body(sku=f"RUN-{self.run}-{number}", stock=STOCK)))
                for number in range(KINDS)
            ]

    def _headers(self, name: str) -> Headers:
        return buyer(self.tokens, f"{name} {self.run}", *(("admin",) if name == "alice" else ()))

    def _stock(self, number: int) -> int:
        return STOCK - sum(order.basket.get(number, 0) for order in self.orders if order.status != "cancelled")

    def _wanted(self, basket: dict[int, int]) -> dict[str, Any]:
        return items(*((self.goods[number], quantity) for number, quantity in basket.items()))

    def _shows(self, name: str, answer: Any) -> None:
        """The answer is the cart of the model."""
        assert answer.status_code == 200
        shown = {line["goods_id"]: line["quantity"] for line in answer.json()["data"]["items"]}
        assert shown == {self.goods[number].id: quantity for number, quantity in self.carts.get(name, {}).items()}

    def _login(self, name: str) -> None:
        """The first request with both token and cookie takes over the guest's cart."""
        own = self.carts.setdefault(name, Counter())
        for number, quantity in self.carts["guest"].items():
            own[number] = min(own[number] + quantity, MAX_QUANTITY)
        self.carts["guest"].clear()

    # -- carts --------------------------------------------------------------------------------------------------------

    @rule(number=kind, quantity=quantity)
    def guest_puts(self, number: int, quantity: int) -> None:
        self.carts["guest"][number] = quantity
        path = f"{CART}/items/{self.goods[number].id}"
        self._shows("guest", self.client.put(path, json={"quantity": quantity}))

    @rule(name=who, number=kind, quantity=quantity)
    def user_puts(self, name: str, number: int, quantity: int) -> None:
        self._login(name)
        self.carts[name][number] = quantity
        path = f"{CART}/items/{self.goods[number].id}"
        self._shows(name, self.client.put(path, json={"quantity": quantity}, headers=self._headers(name)))

    @rule(name=who)
    def user_looks(self, name: str) -> None:
        self._login(name)
        self._shows(name, self.client.get(CART, headers=self._headers(name)))

    @rule(name=who, number=kind)
    def user_removes(self, name: str, number: int) -> None:
        self._login(name)
        del self.carts[name][number]
        gone = self.client.delete(f"{CART}/items/{self.goods[number].id}", headers=self._headers(name))
        assert gone.status_code == 204

    # -- orders -------------------------------------------------------------------------------------------------------

    @rule(name=who, basket=basket)
    def order(self, name: str, basket: dict[int, int]) -> None:
        key = f"{self.run}-{next(numbers)}"
        headers = {**self._headers(name), "Idempotency-Key": key}
        answer = self.client.post(ORDERS, json=self._wanted(basket), headers=headers)
        short = [number for number in sorted(basket) if basket[number] > self._stock(number)]
        if short:
            assert (answer.status_code, answer.json()["code"]) == (409, StockTooLow.code)
            assert [one["goods_id"] for one in answer.json()["data"]["items"]] == [self.goods[n].id for n in short]
            return
        assert answer.status_code == 201
        data = {**answer.json()["data"], "expires_at": A_TIME}  # which only these tests ever change
        self.orders.append(Ordered(data["id"], name, basket, key, success(data)))
        for number in basket:
            self.carts.setdefault(name, Counter()).pop(number, None)

    @precondition(lambda self: self.orders)
    @rule(which=some_order)
    def order_again(self, which: int) -> None:
        order = self.orders[which % len(self.orders)]
        headers = {**self._headers(order.owner), "Idempotency-Key": order.key}
        answer = self.client.post(ORDERS, json=self._wanted(order.basket), headers=headers)
        assert (answer.status_code, answer.json()) == (201, order.answer)

    @precondition(lambda self: self.orders)
    @rule(which=some_order, action=st.sampled_from(tuple(ACTIONS)))
    def move(self, which: int, action: str) -> None:
        order, new = self.orders[which % len(self.orders)], ACTIONS[action]
        headers = self._headers("alice" if action == "ship" else order.owner)
        answer = self.client.post(f"{ORDERS}/{order.id}/{action}", headers=headers, json={})
        if new not in TRANSITIONS[order.status]:
            assert (answer.status_code, answer.json()["code"]) == (409, IllegalTransition.code)
            assert answer.json()["data"] == {"status": order.status}
            return
        assert (answer.status_code, answer.json()["data"]["status"]) == (200, new)
        order.status = new
        self.sales.update(order.basket if action == "pay" else {})

    @precondition(lambda self: self.orders)
    @rule(which=some_order)
    def time_is_over(self, which: int) -> None:
        order = self.orders[which % len(self.orders)]
        if order.status == "pending":
            order.status = "cancelled"
        inside(self.app, self.client, lambda database: let_expire(database, order.id))
        inside(self.app, self.client, expire_orders)

    # -- what is true after each step ---------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_and_nothing_is_there_twice(self) -> None:
        stock, sales, statuses = inside(self.app, self.client, self._look)
        for number, goods in enumerate(self.goods):
            assert stock[goods.id] == (self._stock(number), STOCK - self._stock(number))
            assert sales[goods.id] == self.sales[number]
        assert {order.id: statuses[order.id] for order in self.orders} == {o.id: o.status for o in self.orders}

    async def _look(self, database: Database) -> tuple[dict[int, Any], dict[int, int], dict[int, str]]:
        sales = {record["id"]: record["sales"] for record in await database.fetch_all(SALES)}
        statuses = {record["id"]: record["status"] for record in await database.fetch_all(STATUSES)}
        return await take_stock(database), sales, statuses

    def teardown(self) -> None:
        """Everybody sees their own orders, and the next run begins with an empty cart."""
        for name in ("bob", "卡罗 Carol"):
            page = self.client.get(ORDERS, headers=self._headers(name), params={"size": 100}).json()["data"]
            own = [(order.id, order.status) for order in reversed(self.orders) if order.owner == name]
            assert [(order["id"], order["status"]) for order in page["items"]] == own
            assert page["total"] == len(own)
        self.client.cookies.delete(COOKIE)


def test_whatever_buyers_do(app: FastAPI, client: TestClient, tokens: Tokens, backend: str) -> None:
    machine = type("Shopping", (Shopping,), {"app": app, "client": client, "tokens": tokens})
    run_state_machine_as_test(
        machine, settings=hypothesis_settings(max_examples=EXAMPLES[backend], stateful_step_count=STEPS)
    )
