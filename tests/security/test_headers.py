"""What every kind of answer says: what may be loaded, who may read it, whether it may be kept; and no host."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from api import ALWAYS_ANSWERED, SECURITY_HEADERS
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from utils.custom_exc import BadRequest
from utils.hosts import ANOTHER_HOST

pytestmark = only_sqlite

Headers = dict[str, str]

HTML = {"Accept": "text/html"}
SHOP = "https://shop.example"
EVIL = "evil.example"
PAGES = ["/", "/docs", "/redoc", "/asyncapi", "/websocketdemo/"]
PAGE_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "connect-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
}

ANSWERS = [
    ("GET", "/healthz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/asyncapi.json", 200),
    ("GET", "/favicon.ico", 200),
    ("GET", "/static/home.css", 200),
    ("GET", "/static/nothing.css", 404),
    ("GET", "/static", 307),
    ("GET", "/shopdemo/goods", 200),
    ("GET", "/shopdemo/goods/", 307),
    ("GET", "/shopdemo/goods/99", 404),
    ("GET", "/shopdemo/goods/export", 200),
    ("GET", "/shopdemo/cart", 200),
    ("GET", "/shopdemo/orders", 401),
    ("GET", "/shopdemo/goods?size=0", 422),
    ("GET", "/nothing", 404),
    ("POST", "/healthz", 405),
    ("POST", "/shopdemo/goods", 401),
]


def test_every_answer_forbids_what_it_does_not_need(client: TestClient) -> None:
    sent = {name.decode(): value.decode() for name, value in SECURITY_HEADERS if name != b"cache-control"}
    for method, path, status in ANSWERS:
        answer = client.request(method, path, follow_redirects=False)
        assert answer.status_code == status, path
        assert {name: answer.headers.get(name) for name in sent} == sent, path


def test_pages_load_scripts_from_here_only(client: TestClient) -> None:
    for page in PAGES:
        answer = client.get(page, headers=HTML)
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))
        assert answer.status_code == 200
        assert {name: policy[name] for name in PAGE_POLICY} == PAGE_POLICY, page
        assert not re.search(r"unsafe|https?:|\*", answer.headers["Content-Security-Policy"])


# -- what may be kept -------------------------------------------------------------------------------------------------


def test_only_what_everybody_may_see_may_be_kept(client: TestClient, customer: Headers, catalogue: object) -> None:
    private = ["/shopdemo/cart", "/shopdemo/orders", "/accounts/users/me", "/healthz", "/nothing", "/asyncapi.json"]
    kept = {path: client.get(path, headers=customer).headers["Cache-Control"] for path in private}
    assert kept == dict.fromkeys(private, "no-store")
    shared = ["/shopdemo/goods", "/shopdemo/goods/1", "/shopdemo/home", "/shopdemo/categories"]
    asked_again = {path: client.get(path).headers["Cache-Control"] for path in shared}
    assert asked_again == dict.fromkeys(shared, "no-cache")


def test_what_is_kept_for_one_is_nobodys_own(client: TestClient, customer: Headers, catalogue: object) -> None:
    """A kept answer is found by its address alone: no header may have had a part in it."""
    hostile = {
        **customer, "Host": EVIL, "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "gopher", "X-Original-URL": "/admin",
        "X-Forwarded-Prefix": "/evil", "Forwarded": f"host={EVIL}", "Cookie": "a=b", "Accept-Language": EVIL,
    }  # fmt: skip
    for path in ("/shopdemo/goods", "/shopdemo/goods/1", "/shopdemo/home"):
        poisoned = client.get(path, headers=hostile)
        asked = client.get(path)
        assert poisoned.content == asked.content
        assert EVIL not in poisoned.text + str(poisoned.headers)


# -- Host -------------------------------------------------------------------------------------------------------------


SLASHES = {
    "/shopdemo/goods/?q=%E8%8C%B6&page=1": "/shopdemo/goods?q=%E8%8C%B6&page=1",
    "/websocketdemo": "/websocketdemo/",
    "/websocketdemo/rooms/a%0Ab%5C/messages/": "/websocketdemo/rooms/a%0Ab%5C/messages",
}


def test_a_slash_too_many_leads_to_no_other_host(client: TestClient) -> None:
    for path, location in SLASHES.items():
        answer = client.get(path, headers={"Host": EVIL, "X-Forwarded-Host": EVIL}, follow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (307, location)


def test_what_is_nowhere_leads_nowhere(client: TestClient) -> None:
    for path in (f"//{EVIL}/shopdemo/goods/", f"/{EVIL}//", f"/%2f{EVIL}/", f"/%5c{EVIL}/"):
        answer = client.get(f"http://testserver{path}", follow_redirects=False)
        assert (answer.status_code, "Location" in answer.headers) == (404, False), path


NOT_OURS = (
    EVIL, "shop.example.evil.example", "shop.test", "ashop.test", ".shop.test.evil.example",
    "shop.example@evil.example", "evil.example/.shop.test",
    "evil.example:.shop.test", "evil@a.shop.test", "a b", "127.0.0.1", "[::2]", "",
)  # fmt: skip


@pytest.mark.parametrize("settings", [{"allowed_hosts": ("shop.example", "*.shop.test", "[::1]")}], indirect=True)
def test_other_hosts_are_refused_where_the_settings_name_ours(client: TestClient) -> None:
    for host in ("shop.example", "SHOP.example:8010", "a.shop.test", "[::1]:8010"):
        assert client.get("/shopdemo/home", headers={"Host": host}).status_code == 200
    for host in NOT_OURS:
        answer = client.get("/shopdemo/home", headers={"Host": host, "X-Forwarded-Host": "shop.example"})
        assert (answer.status_code, answer.json()) == (400, failure(BadRequest, ANOTHER_HOST))


@pytest.mark.parametrize("settings", [{"allowed_hosts": ("shop.example",)}], indirect=True)
def test_whoever_watches_may_come_by_address(client: TestClient) -> None:
    for path in ALWAYS_ANSWERED:
        for host in ("shop.example", "10.1.2.3:8010", EVIL):
            answer = client.get(path, headers={"Host": host})
            assert (answer.status_code, host in answer.text) == (200, False)


@pytest.mark.parametrize("settings", [{"allowed_hosts": ("shop.example",), "guests": True}], indirect=True)
def test_a_page_whose_name_was_bound_to_our_address_opens_no_socket(client: TestClient) -> None:
    """DNS rebinding: Origin and Host agree, and both are the attacker's."""
    lobby = "/websocketdemo/ws/User1"
    with client.websocket_connect(lobby, headers={"Host": "shop.example", "Origin": "https://shop.example"}):
        pass
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(lobby, headers={"Host": EVIL, "Origin": f"http://{EVIL}"}),
    ):
        pass


# -- CORS -------------------------------------------------------------------------------------------------------------

TRICKS = [
    "null", "", "http://shop.example", "https://SHOP.example", "https://shop.example:444", "https://shop.example/",
    "https://shop.example.evil.example", "https://evilshop.example", "https://shop.example%60.evil.example",
    "https://user@shop.example", "https://evil.example#https://shop.example",
]  # fmt: skip
WITH_CREDENTIALS = {"cors_origins": (SHOP,), "cors_credentials": True}


@pytest.mark.parametrize("settings", [WITH_CREDENTIALS], indirect=True)
def test_no_origin_but_ours_may_read(client: TestClient) -> None:
    for origin in TRICKS:
        asked = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
        for answer in (client.get("/healthz", headers={"Origin": origin}), client.options("/healthz", headers=asked)):
            assert "Access-Control-Allow-Origin" not in answer.headers, origin
            assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("settings", [WITH_CREDENTIALS], indirect=True)
def test_our_origin_may_read_with_cookies(client: TestClient) -> None:
    for path, status in (("/healthz", 200), ("/nothing", 404), ("/shopdemo/orders", 401)):
        answer = client.get(path, headers={"Origin": SHOP})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"


# -- what nobody is told ----------------------------------------------------------------------------------------------


def test_no_answer_says_what_serves_it(client: TestClient, app: FastAPI, catalogue: object) -> None:
    said = [client.get(path, headers=HTML) for path in (*PAGES, "/healthz", "/nothing", "/openapi.json", "/metrics")]
    for answer in said:
        assert {"server", "x-powered-by"}.isdisjoint(answer.headers)
    secrets: dict[str, Any] = app.state.settings.model_dump()
    hidden = [secrets["secret_key"].get_secret_value(), app.state.settings.payment_key, secrets["database_url"]]
    assert [text for text in hidden if any(text in answer.text for answer in said)] == []
