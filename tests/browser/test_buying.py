"""Somebody buys something with nothing but /docs: a guest's cart, a login, an order, a payment."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.support.accounts import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NAME = "小林"


def register_and_log_in(page: Page, name: str) -> None:
    """By the API, then in the Authorize dialog."""
    assert page.request.post("/accounts/users", data={"username": name, "password": PASSWORD}).status == 201
    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container", has_text="OAuth2PasswordBearer")
    form.get_by_label("username").fill(name)
    form.get_by_label("password").fill(PASSWORD)
    form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(form.get_by_role("button", name="Remove authorization")).to_be_visible()
    form.get_by_role("button", name="Close").click()


def execute(page: Page, operation: str, body: Any = None, **parameters: object) -> tuple[int, Any]:
    """Try an operation out; answers the status and the data that the page then shows."""
    shown = page.locator(f"#operations-{operation}")
    shown.locator(".opblock-summary-control").click()
    for name, value in parameters.items():
        shown.locator(f'tr[data-param-name="{name.replace("_key", "-key")}"] input').fill(str(value))
    if body is not None:
        shown.locator("textarea.body-param__text").fill(json.dumps(body))
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch") as answered:
        shown.get_by_role("button", name="Execute").click()
    status, answer = answered.value.status, answered.value.json()
    response = shown.locator(".live-responses-table .response")
    expect(response.locator(".response-col_status")).to_contain_text(str(status))
    expect(response).to_contain_text(f'"code": {answer["code"]}')
    return status, answer["data"]


@pytest.mark.slow
def test_a_customer_buys_through_the_docs(visitor: Visitor) -> None:
    with visitor.visit("/docs") as page:
        tea = page.request.get("/shopdemo/goods?q=TEA-1").json()["data"]["items"][0]
        status, cart = execute(page, "cart-replace_cart_item", {"quantity": 2}, goods_id=tea["id"])
        assert (status, cart["items"][0]["quantity"]) == (200, 2)

        register_and_log_in(page, NAME)
        status, cart = execute(page, "cart-show_cart")
        assert (status, [line["goods_id"] for line in cart["items"]]) == (200, [tea["id"]])
        wanted = {"items": [{"goods_id": tea["id"], "quantity": 2}]}
        status, order = execute(page, "orders-place_order", wanted, idempotency_key="my-first-order")
        assert (status, order["owner"], order["status"]) == (201, NAME, "pending")
        status, paid = execute(page, "payments-pay_order", {"method": "test-card"}, order_id=order["id"])
        assert (status, paid["status"]) == (200, "paid")
        status, orders = execute(page, "orders-list_orders")
        assert (status, orders["items"]) == (200, [paid])

        somebody = page.request.post("/accounts/users", data={"username": "小王", "password": PASSWORD})
        assert somebody.status == 201
        login = page.request.post("/accounts/token", form={"username": "小王", "password": PASSWORD})
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        others = page.request.get(f"/shopdemo/orders/{order['id']}", headers=headers)
        assert (others.status, others.json()["code"]) == (404, 40403)
