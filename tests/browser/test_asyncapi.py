"""The page of the socket protocol: everything of the document is there, on a phone and by keyboard too."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import VIEWS, Visitor
from tests.browser.test_pages import overflow

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PATH = "/asyncapi"
READY = "#protocol:not([hidden])"


def open_contents(page: Page) -> None:
    """The table of contents is always open on a desktop."""
    page.wait_for_selector(READY)
    if page.locator(".contents summary").is_visible():
        page.locator(".contents summary").press("Enter")


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_shows_the_whole_document(visitor: Visitor, view: str) -> None:
    document = httpx.get(f"{visitor.address}/asyncapi.json").json()
    with visitor.visit(PATH, view) as page:
        page.wait_for_selector(READY)
        expect(page).to_have_title(re.compile("Socket protocol · myFastAPI"))
        assert overflow(page) <= 0
        addresses = [f"{visitor.address.replace('http', 'ws', 1)}{c['address']}" for c in document["channels"].values()]
        expect(page.locator(".channel .shell")).to_have_text(addresses)
        messages = document["components"]["messages"]
        assert page.locator(".message h3").all_text_contents() == list(messages)
        for name, message in messages.items():
            card = page.locator(".message", has=page.locator(f"#message-{name}"))
            fields = document["components"]["schemas"][name]["properties"]
            assert card.locator(".name").all_text_contents() == list(fields)
            expect(card.locator("pre").first).to_be_visible()
            expect(card).to_contain_text(message["title"].replace("`", ""))
        rows = page.locator("#error-codes tbody tr")
        for row, example in zip(rows.all(), messages["Error"]["examples"], strict=True):
            expect(row).to_contain_text(str(example["payload"]["code"]))
            expect(row).to_contain_text(example["payload"]["message"])
        expect(page.locator("#close-codes tbody tr")).to_have_count(len(document["x-close-codes"]))
        expect(page.locator("#limit-values tbody tr")).to_have_count(len(document["x-limits"]))


@pytest.mark.parametrize("view", VIEWS)
def test_the_contents_lead_everywhere_by_keyboard(visitor: Visitor, view: str) -> None:
    with visitor.visit(PATH, view) as page:
        open_contents(page)
        links = page.locator("#contents a")
        targets = [link.get_attribute("href") or "" for link in links.all()]
        assert {"#connect", "#channel-room", "#message-Send", "#message-Error", "#closes"} <= set(targets)
        assert page.locator(", ".join(targets)).count() == len(targets)
        page.locator("#contents a", has_text="Recovered").press("Enter")
        expect(page.locator("#message-Recovered")).to_be_in_viewport()
        expect(page.locator("#message-Recovered")).to_be_focused()
        expect(page.locator("#contents [aria-current=location]")).to_have_text("Recovered")
        expect(page.locator("#contents")).to_be_visible(visible=view == "desktop")


def test_the_protocol_is_one_key_away(visitor: Visitor) -> None:
    with visitor.visit(PATH) as page:
        page.wait_for_selector(READY)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the protocol")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator("#channels button").first).to_be_focused()


def test_an_example_is_copied_as_one_line_of_json(visitor: Visitor) -> None:
    with visitor.visit(PATH) as page:
        page.wait_for_selector(READY)
        figure = page.locator("#sent figure").first
        figure.get_by_role("button", name="Copy").click()
        expect(figure.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == '{"message":"hi"}'


def test_a_link_to_an_error_code_finds_it(visitor: Visitor) -> None:
    with visitor.visit(f"{PATH}#code-42211") as page:
        expect(page.locator("tr:target")).to_contain_text("FrameInvalid")
        expect(page.locator("tr:target")).to_be_in_viewport()


def test_the_table_of_fields_is_one_for_screen_readers_on_a_phone(visitor: Visitor) -> None:
    with visitor.visit(PATH, "phone") as page:
        page.wait_for_selector(READY)
        fields = page.get_by_role("table", name="Fields of Send")
        assert fields.get_by_role("columnheader").all_text_contents() == ["Name", "Type", "Required", "Description"]
        expect(fields.get_by_role("row").nth(1).get_by_role("cell").first).to_have_text("message")


def test_a_document_that_does_not_come_is_told(visitor: Visitor) -> None:
    with visitor.visit("/docs") as page:
        page.route("**/asyncapi.json", lambda route: route.fulfill(status=200, body="{}"))
        page.goto(PATH)
        expect(page.get_by_role("alert")).to_contain_text("The protocol could not be shown")
