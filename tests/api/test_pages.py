"""The pages without a browser: who gets what, how it may be cached, and that nothing in them leads elsewhere."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI, Security
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.testclient import TestClient

from api.pages import STATIC, Operation, list_operations, mount_pages, prefers_html
from utils.routing import EnvelopeRoute

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
PAGES = ("/", "/docs", "/redoc")
VENDORED = sorted(path for path in STATIC.glob("vendor/*") if path.is_dir())

router = APIRouter(prefix="/shop", tags=["goods <b>"], route_class=EnvelopeRoute)


@router.get("/window", response_class=HTMLResponse)
async def show_window() -> HTMLResponse:
    return HTMLResponse("<p>Goods</p>")


@router.get("/goods")
async def list_goods() -> list[str]:
    return ["tea"]


@router.delete("/goods/{sku}")
async def delete_goods(sku: str, token: Annotated[HTTPAuthorizationCredentials, Security(HTTPBearer())]) -> None: ...


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI(title="Shop & Co", version="1.2.3", docs_url=None, redoc_url=None)
    mount_pages(app, {"shop": "Sells <i>tea</i>."})
    app.include_router(router)
    with TestClient(app, base_url="http://shop.test") as client:
        yield client


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("application/*, text/html;q=0.9", False),
        ("text/html", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("text/*, application/json;q=0.5", True),
        (BROWSER["Accept"], True),
        ("text/html;q=0, */*", False),
        ("text/html;q=nonsense", False),
        (";;,,q=1", False),
        ("a/b," * 19 + "text/html", True),
        ("a/b," * 20 + "text/html", False),
        ("a/b" + ";" * 1_000 + ",text/html", False),
    ],
)
def test_html_is_sent_to_who_prefers_it(accept: str, expected: bool) -> None:
    assert prefers_html(accept) is expected


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
def test_programs_get_the_envelope(client: TestClient, accept: str) -> None:
    answer = client.get("/", headers={"Accept": accept})
    data = {"name": "Shop & Co", "version": "1.2.3", "projects": ["shop"]}
    assert answer.json() == {"code": 200, "message": "Success", "data": data}
    assert answer.headers["vary"] == "Accept"


def test_browsers_get_a_page_with_everything_escaped(client: TestClient) -> None:
    answer = client.get("/", headers=BROWSER)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    assert "<title>Shop &amp; Co</title>" in answer.text
    assert "Sells &lt;i&gt;tea&lt;/i&gt;." in answer.text
    assert "goods &lt;b&gt;" in answer.text
    assert "curl http://shop.test/shop/goods</code>" in answer.text
    assert 'href="/docs#/goods%20%3Cb%3E/delete_goods' in answer.text


def test_a_hostile_host_header_stays_text(client: TestClient) -> None:
    answer = client.get("/", headers={**BROWSER, "Host": 'evil"><script>;reboot'})
    assert "<script>;" not in answer.text
    assert not re.search(r"curl http[^<\s]*;", answer.text)


def test_a_prefix_of_a_proxy_is_in_every_link(client: TestClient) -> None:
    behind_proxy = TestClient(client.app, root_path="/prefix/")
    for page in PAGES:
        text = behind_proxy.get(page, headers=BROWSER).text
        links = re.findall(r'(?:href|src|data-[a-z-]*url)="([^"#][^"]*)"', text)
        assert links
        assert [link for link in links if not link.startswith("/prefix/")] == []


@pytest.mark.parametrize("path", [*PAGES, "/favicon.ico", "/static/home.css"])
def test_head_answers_like_get_without_the_body(client: TestClient, path: str) -> None:
    identity = {**BROWSER, "Accept-Encoding": "identity"}
    got, head = (client.request(method, path, headers=identity) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "vary": ""} == {**got.headers, "vary": ""}


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_nothing_inline_and_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=BROWSER)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<style|<script(?![^>]* src=)|\son[a-z]+=|\sstyle=|javascript:", answer.text)
    assert not re.search(r'(?:href|src|data-[a-z-]*url)="(?:[a-z]+:|//)', answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_everything_a_page_names_is_there(client: TestClient, path: str) -> None:
    text = client.get(path, headers=BROWSER).text
    for link in re.findall(r'(?:href|src|data-(?:bundle|logo|openapi)-url)="(/(?:static/|openapi)[^"]*)"', text):
        assert client.get(link).status_code == 200, link


def test_pages_are_not_in_the_description_but_the_page_at_the_root_is_declared(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/", "/shop/window", "/shop/goods", "/shop/goods/{sku}"}
    assert set(paths["/"]) == {"get"}
    assert paths["/"]["get"]["responses"]["200"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Envelope_ServiceInfo_"}},
        "text/html": {"schema": {"type": "string"}},
    }


def test_the_description_is_sent_again_only_when_it_has_changed(client: TestClient) -> None:
    first = client.get("/openapi.json")
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    known = {"If-None-Match": first.headers["etag"]}
    again = client.get("/openapi.json", headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    head = client.head("/openapi.json")
    assert (head.headers, head.content) == (first.headers, b"")
    behind_proxy = TestClient(client.app, root_path="/prefix").get("/openapi.json", headers=known)
    assert behind_proxy.json() == {**first.json(), "servers": [{"url": "/prefix"}]}


def test_the_map_knows_pages_and_locks(client: TestClient) -> None:
    operations = [o for o in list_operations(client.get("/openapi.json").json()) if o.path != "/"]
    anchors = [f"#/goods%20%3Cb%3E/{o.anchor.rpartition('/')[2]}" for o in operations]
    assert operations == [
        Operation("GET", "/shop/window", "Show Window", "goods <b>", False, True, anchors[0]),
        Operation("GET", "/shop/goods", "List Goods", "goods <b>", False, False, anchors[1]),
        Operation("DELETE", "/shop/goods/{sku}", "Delete Goods", "goods <b>", True, False, anchors[2]),
    ]


@pytest.mark.parametrize(
    ("path", "media_type", "cache"),
    [
        ("/favicon.ico", "image/vnd.microsoft.icon", "no-cache"),
        ("/static/favicon.svg", "image/svg+xml", "no-cache"),
        ("/static/home.css", "text/css; charset=utf-8", "no-cache"),
        ("/static/home.js", "text/javascript; charset=utf-8", "no-cache"),
        *(
            (
                f"/static/vendor/{folder.name}/{file.name}",
                "text/javascript; charset=utf-8",
                "public, max-age=31536000, immutable",
            )
            for folder in VENDORED
            for file in sorted(folder.glob("*.js"))
        ),
    ],
)
def test_files_are_typed_cached_and_asked_for_again_cheaply(
    client: TestClient, path: str, media_type: str, cache: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"], answer.headers["cache-control"]) == (
        200,
        media_type,
        cache,
    )
    again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", cache)


def test_large_files_travel_compressed(client: TestClient) -> None:
    (bundle,) = STATIC.glob("vendor/swagger-ui-dist-*/swagger-ui-bundle.js")
    path = f"/static/{bundle.relative_to(STATIC).as_posix()}"
    answer = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert answer.content == bundle.read_bytes()
    assert "content-encoding" not in client.get(path, headers={"Accept-Encoding": "identity"}).headers


@pytest.mark.parametrize(
    "path",
    [
        "../pages.py",
        "%2e%2e/pages.py",
        "..%2fpages.py",
        "%2e%2e%5cpages.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "vendor",
        "a%00b",
    ],
)
def test_nothing_outside_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.name)
def test_vendored_files_are_the_ones_that_were_sealed(folder: Path) -> None:
    notes, sums = [], {}
    for line in (folder / "VERSION").read_text("utf-8").splitlines():
        if line.startswith("#"):
            notes.append(line)
        else:
            digest, _, name = line.partition("  ")
            sums[name] = digest
    package, _, version = folder.name.rpartition("-")
    assert notes[0].startswith(f"# {package} {version} from npm; tarball sha256 ")
    files = [file for file in folder.iterdir() if file.name != "VERSION"]
    assert sums == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert "LICENSE" in sums


def test_scripts_load_nothing_from_elsewhere() -> None:
    for file in STATIC.glob("*.*"):
        if file.suffix in (".js", ".css"):
            assert "://" not in file.read_text("utf-8"), file.name
