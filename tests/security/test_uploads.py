"""Files that are one thing to us and another to a browser: what is served is our own picture, whatever was sent."""

import zipfile
from io import BytesIO
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.shopdemo.goods.errors import NotAPicture
from api.shopdemo.schemas import Goods
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from tests.support.pictures import opened, picture

pytestmark = only_sqlite

Headers = dict[str, str]

SCRIPT = b"<script>alert(document.domain)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>'
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"


def archive() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../bomb", bytes(1_000_000))
    return buffer.getvalue()


NO_PICTURES = {
    "SVG": SVG,
    "HTML": b"<!doctype html>" + SCRIPT,
    "HTML that begins as a picture": b"\xff\xd8\xff\xe0" + SCRIPT,
    "a script that begins as a GIF": b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)//",
    "PostScript": POSTSCRIPT,
    "PDF": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj",
    "an archive": archive(),
    "TIFF": picture("TIFF"),
    "BMP": picture("BMP"),
    "an icon": picture("ICO"),
}

POLYGLOTS = {
    "PNG and HTML": picture("PNG") + SCRIPT,
    "JPEG with a script in it": picture("JPEG", comment=SCRIPT),
    "GIF and script": picture("GIF", comment=SCRIPT),
    "PNG and archive": picture("PNG") + archive(),
    "WebP with metadata": picture("WEBP", xmp=SCRIPT),
}


@pytest.fixture
def address(catalogue: dict[str, Goods]) -> str:
    return f"/shopdemo/goods/{catalogue['TEA-1'].id}/pictures"


def upload(client: TestClient, admin: Headers, address: str, data: bytes, name: str, type_: str) -> Any:
    return client.post(address, files={"file": (name, data, type_)}, headers=admin)


@pytest.mark.parametrize("data", NO_PICTURES.values(), ids=NO_PICTURES)
def test_neither_name_nor_type_makes_a_picture(
    client: TestClient, admin: Headers, address: str, settings: TestingSettings, data: bytes
) -> None:
    answer = upload(client, admin, address, data, "photo.jpg", "image/jpeg")
    assert (answer.status_code, answer.json()) == (NotAPicture.status_code, failure(NotAPicture))
    assert [path for path in settings.pictures_dir.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("data", POLYGLOTS.values(), ids=POLYGLOTS)
def test_only_pixels_are_served(client: TestClient, admin: Headers, address: str, data: bytes) -> None:
    added = upload(client, admin, address, data, "page.html", "text/html").json()["data"]
    for url in (added["url"], added["thumbnail_url"]):
        served = client.get(url)
        assert served.headers["Content-Type"] == "image/webp"
        assert served.headers["X-Content-Type-Options"] == "nosniff"
        assert served.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert b"script" not in served.content
        assert b"PK" not in served.content
        assert opened(served.content).size == (60, 40)
