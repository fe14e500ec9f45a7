"""The pages as a person meets them: nothing from elsewhere, nothing blocked, no complaint, and they work."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import VIEWS, Visitor
from tests.support.accounts import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

READY = {
    "/": "#health[data-state=good]",
    "/docs": ".opblock-summary-path",
    "/redoc": 'text="/healthz"',  # of what is further down it shows nothing before somebody comes near
}


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("path", READY)
def test_page_shows_itself_without_a_complaint(visitor: Visitor, path: str, view: str) -> None:
    with visitor.visit(path, view) as page:
        page.wait_for_selector(READY[path], state="attached")
        assert overflow(page) <= 0
        expect(page).to_have_title(re.compile("myFastAPI"))


def test_home_tells_health_and_sends_the_first_request(visitor: Visitor) -> None:
    with visitor.visit("/") as page:
        expect(page.locator("#health")).to_have_text("ready")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#answer figcaption")).to_contain_text("HTTP 200")
        expect(page.locator("#answer pre")).to_contain_text('"message": "Success"')


def test_home_copies_the_first_request(visitor: Visitor) -> None:
    with visitor.visit("/") as page:
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()").startswith(f"curl {visitor.address}/")


def test_home_filters_the_map_and_leads_to_the_operation(visitor: Visitor) -> None:
    with visitor.visit("/") as page:
        filter_box = page.get_by_role("searchbox")
        filter_box.fill("no such thing")
        expect(page.get_by_text("No operation matches.")).to_be_visible()
        filter_box.fill("GET PROBE TOKEN")
        expect(page.locator(".group li:visible")).to_have_count(1)
        page.locator(".group li:visible a").click()
        expect(page.locator(".opblock.is-open")).to_contain_text("/probe/token")
        page.reload()
        expect(page.locator(".opblock.is-open")).to_be_in_viewport()


def test_home_is_usable_by_keyboard(visitor: Visitor) -> None:
    with visitor.visit("/") as page:
        page.wait_for_selector(READY["/"])
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the API map")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("searchbox")).to_be_focused()


@pytest.mark.parametrize("view", VIEWS)
def test_swagger_asks_first_for_what_people_log_in_by(visitor: Visitor, view: str) -> None:
    with visitor.visit("/docs", view) as page:
        page.get_by_role("button", name="Authorize").click()
        token, password = (page.locator(".auth-container", has_text=name) for name in ("HTTPBearer", "OAuth2Password"))
        expect(token.get_by_role("textbox")).to_be_focused()
        expect(token.get_by_role("heading")).to_be_in_viewport()
        expect(password.get_by_label("username")).to_be_in_viewport()


def test_swagger_authorizes_and_tries_it_out(visitor: Visitor) -> None:
    with visitor.visit("/docs") as page:
        page.get_by_role("button", name="Authorize").click()
        form = page.locator(".auth-container", has_text="probe")
        form.get_by_role("textbox").fill("token-of-a-reader")
        form.get_by_role("button", name="Apply credentials").click()
        form.get_by_role("button", name="Close").click()

        operation = page.locator(".opblock", has_text="/probe/token")
        operation.locator(".opblock-summary-control").click()
        with page.expect_request("**/probe/token") as sent:
            operation.get_by_role("button", name="Execute").click()

        assert sent.value.headers["authorization"] == "Bearer token-of-a-reader"
        answer = operation.locator(".live-responses-table .response")
        expect(answer.locator(".response-col_status")).to_contain_text("200")
        expect(answer).to_contain_text('"data": "token-of-a-reader"')


def test_swagger_logs_in_with_name_and_password(visitor: Visitor) -> None:
    with visitor.visit("/docs") as page:
        known = {"username": "爱丽丝", "password": PASSWORD}
        assert page.request.post("/accounts/users", data=known).status == 201
        page.get_by_role("button", name="Authorize").click()
        form = page.locator(".auth-container", has_text="OAuth2PasswordBearer")
        form.get_by_label("username").fill(known["username"])
        form.get_by_label("password").fill(known["password"])
        form.get_by_role("button", name="Apply given OAuth2 credentials").click()
        expect(form.get_by_role("button", name="Remove authorization")).to_be_visible()
        form.get_by_role("button", name="Close").click()

        operation = page.locator("#operations-users-get_me")
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table .response")
        expect(answer.locator(".response-col_status")).to_contain_text("200")
        expect(answer).to_contain_text('"username": "爱丽丝"')


def test_swagger_keeps_the_token_over_a_reload(visitor: Visitor) -> None:
    with visitor.visit("/docs#/probe/read_probe_token") as page:
        page.locator(".opblock.is-open .authorization__btn").click()
        form = page.locator(".auth-container", has_text="probe")
        form.get_by_role("textbox").fill("token-of-a-reader")
        form.get_by_role("button", name="Apply credentials").click()
        page.reload()
        with page.expect_request("**/probe/token") as sent:
            page.locator(".opblock.is-open").get_by_role("button", name="Execute").click()
        assert sent.value.headers["authorization"] == "Bearer token-of-a-reader"


def test_swagger_shows_a_picture(visitor: Visitor) -> None:
    with visitor.visit("/docs#/probe/show_probe_picture") as page:
        page.locator(".opblock.is-open").get_by_role("button", name="Execute").click()
        picture = page.locator(".live-responses-table img")
        expect(picture).to_be_visible()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("picture => picture.naturalWidth") > 0


def test_swagger_follows_the_colour_scheme(visitor: Visitor) -> None:
    with visitor.visit("/docs") as page:
        expect(page.locator("html")).not_to_have_class("dark-mode")
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html")).to_have_class("dark-mode")


def test_redoc_shows_and_finds_operations(visitor: Visitor) -> None:
    with visitor.visit("/redoc") as page:
        page.get_by_text("probe", exact=True).click()
        page.get_by_role("link", name="/probe/token").click()
        expect(page.get_by_role("heading", name="Read Probe Token")).to_be_visible()

        page.get_by_text("Search Ctrl+K").click()
        page.get_by_placeholder("Search docs...").fill("which token came")
        page.get_by_test_id("search-dialog").get_by_text("Read Probe Token").click()
        expect(page).to_have_url(re.compile("read.?probe.?token", re.IGNORECASE))


def test_redoc_offers_nothing_that_leads_elsewhere(visitor: Visitor) -> None:
    with visitor.visit("/redoc") as page:
        page.wait_for_selector(READY["/redoc"])
        links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
        elsewhere = {link for link in links if not link.startswith(f"{visitor.address}/")}
        assert elsewhere == {"https://redocly.com/redoc/"}, "only the attribution, which ReDoc always shows"
        assert page.get_by_text(re.compile("ChatGPT|Claude")).count() == 0
