"""A frontend on another origin: its pages have a guest's cart if they are of the same site, and none otherwise."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from api import create_app
from settings.testing_config import TestingSettings
from tests.browser.conftest import serve
from tests.support.databases import sqlite_url

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SAME_SITE = "http://127.0.0.1:5173"  # nobody listens there: the browser is given the page
OTHER_SITE = "https://shop.example"

ADD_AND_SHOW = """async cart => {
  const added = await fetch(`${cart}/items/1`, {
    method: "PUT", credentials: "include", headers: {"Content-Type": "application/json"}, body: '{"quantity": 2}',
  });
  const shown = await fetch(cart, {credentials: "include"});
  return [added.status, (await shown.json()).data.items.map(item => item.quantity)];
}"""


@pytest.fixture
def cart(tmp_path: Path) -> Iterator[str]:
    """Where carts are for pages of both sites."""
    settings = TestingSettings(
        database_url=sqlite_url(tmp_path / "shop.db"),
        pictures_dir=tmp_path / "pictures",
        projects=("shopdemo",),
        cors_origins=(SAME_SITE, OTHER_SITE),
        cors_credentials=True,
    )
    with serve(create_app(settings), settings) as port:
        yield f"http://127.0.0.1:{port}/shopdemo/cart"


@pytest.mark.slow
def test_the_cart_of_a_guest_needs_the_same_site(chromium: Browser, cart: str) -> None:
    found = {}
    for origin in (SAME_SITE, OTHER_SITE):
        context = chromium.new_context(permissions=["local-network-access"])  # or only pages from here may ask here
        page = context.new_page()
        page.route(f"{origin}/", lambda route: route.fulfill(body="<title>Shop</title>", content_type="text/html"))
        page.goto(f"{origin}/")
        found[origin] = page.evaluate(ADD_AND_SHOW, cart)
        context.close()
    assert found == {SAME_SITE: [200, [2]], OTHER_SITE: [200, []]}
