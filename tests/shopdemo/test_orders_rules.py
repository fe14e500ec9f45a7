"""The rules of orders by themselves, for all orders there may be."""

import asyncio
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.shopdemo.orders.errors import GoodsNotForSale, IdempotencyKeyReused, IllegalTransition, StockTooLow
from api.shopdemo.orders.schemas import MAX_LINES, MAX_QUANTITY, OrderItem, Status
from api.shopdemo.orders.service import TRANSITIONS, Fulfilment, Orders, Viewer, check_transition
from tests.support.fake_orders import FakeOrders

BOB = Viewer("bob", is_admin=False)
MAX_CENTS = 99_999_999_99
GOODS = range(1, 9)

STATUSES = st.sampled_from(get_args(Status))
QUANTITIES = st.integers(1, MAX_QUANTITY)
BASKETS = st.dictionaries(st.sampled_from(GOODS), QUANTITIES, min_size=1)


def items(basket: dict[int, int]) -> list[OrderItem]:
    return [OrderItem(goods_id=goods_id, quantity=quantity) for goods_id, quantity in basket.items()]


def plenty() -> FakeOrders:
    return FakeOrders(dict.fromkeys(GOODS, 10 * MAX_QUANTITY), dict.fromkeys(GOODS, 100))


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(get_args(Status))
    ways = {(old, new) for old, following in TRANSITIONS.items() for new in following}
    assert ways == {("pending", "paid"), ("pending", "cancelled"), ("paid", "shipped"), ("shipped", "done")}


@given(STATUSES, STATUSES)
def test_what_is_no_transition_says_so(old: Status, new: Status) -> None:
    if new in TRANSITIONS[old]:
        check_transition(old, new)
        return
    with pytest.raises(IllegalTransition) as refused:
        check_transition(old, new)
    assert refused.value.data == {"status": old}
    assert refused.value.message.startswith(f"The order is {old}")


@given(BASKETS, st.lists(STATUSES, max_size=8))
def test_stock_comes_back_once_and_sales_count_once(basket: dict[int, int], wishes: list[Status]) -> None:
    async def live() -> None:
        store = plenty()
        before = store.stock.copy()
        order = await Orders(store, 30).place("bob", items(basket), None)
        assert before - store.stock == Counter(basket)
        passed = {order.status}
        fulfilment = Fulfilment(store)
        for wish in wishes:
            found = await fulfilment.find(order.id, BOB)
            if wish in TRANSITIONS[found.status]:
                assert (await fulfilment.move(found, wish)).status == wish
                passed.add(wish)
            else:
                with pytest.raises(IllegalTransition):
                    await fulfilment.move(found, wish)
        assert before - store.stock == Counter({} if "cancelled" in passed else basket)
        assert store.sales == Counter(basket if "paid" in passed else {})

    asyncio.run(live())


@given(
    st.lists(st.tuples(st.integers(0, MAX_CENTS), QUANTITIES), min_size=1, max_size=MAX_LINES),
)
def test_totals_are_exact(lines: list[tuple[int, int]]) -> None:
    prices = {goods_id: cents for goods_id, (cents, _) in enumerate(lines, 1)}
    basket = {goods_id: quantity for goods_id, (_, quantity) in enumerate(lines, 1)}
    order = asyncio.run(Orders(FakeOrders(basket, prices), 30).place("bob", items(basket), None))
    assert order.total.as_tuple().exponent == -2
    assert int(order.total.scaleb(2)) == sum(cents * quantity for cents, quantity in lines)
    assert [int(line.subtotal.scaleb(2)) for line in order.items] == [cents * quantity for cents, quantity in lines]


@given(BASKETS, st.data())
def test_the_order_of_the_items_does_not_matter(basket: dict[int, int], data: st.DataObject) -> None:
    async def order_again() -> None:
        store = plenty()
        orders = Orders(store, 30)
        first = await orders.place("bob", items(basket), "k")
        shuffled = data.draw(st.permutations(items(basket)))
        assert await orders.place("bob", shuffled, "k") == first
        assert len(store.orders) == 1

    asyncio.run(order_again())


@given(BASKETS, BASKETS)
def test_another_basket_is_another_request(first: dict[int, int], second: dict[int, int]) -> None:
    async def order_both() -> None:
        orders = Orders(plenty(), 30)
        placed = await orders.place("bob", items(first), "k")
        if first == second:
            assert await orders.place("bob", items(second), "k") == placed
        else:
            with pytest.raises(IdempotencyKeyReused):
                await orders.place("bob", items(second), "k")

    asyncio.run(order_both())


@given(
    st.dictionaries(st.sampled_from(GOODS), st.integers(0, 5)),
    st.dictionaries(st.sampled_from(GOODS), st.integers(1, 6), min_size=1),
)
def test_all_is_ordered_or_the_refusal_says_what_is_not_there(stock: dict[int, int], basket: dict[int, int]) -> None:
    store = FakeOrders(stock, dict.fromkeys(stock, 100))
    wanted = items(basket)
    unknown = [number for number, item in enumerate(wanted) if item.goods_id not in stock]
    short = {id_: stock[id_] for id_ in sorted(basket) if id_ in stock and stock[id_] < basket[id_]}
    placing = Orders(store, 30).place("bob", wanted, None)
    if unknown:
        with pytest.raises(GoodsNotForSale) as not_for_sale:
            asyncio.run(placing)
        assert [error["loc"][2] for error in (not_for_sale.value.data or {})["errors"]] == unknown
    elif short:
        with pytest.raises(StockTooLow) as too_low:
            asyncio.run(placing)
        assert {one["goods_id"]: one["stock"] for one in (too_low.value.data or {})["items"]} == short
    else:
        asyncio.run(placing)
        assert Counter(stock) - Counter(basket) == +store.stock
        return
    assert store.stock == Counter(stock)
