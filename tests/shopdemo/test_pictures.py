"""Pictures of goods: upload, look at, delete; whatever the file claims to be."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from api.shopdemo.goods.errors import (
    GoodsNotFound,
    NotAPicture,
    PictureNotFound,
    PictureTooLarge,
    TooManyPictures,
)
from api.shopdemo.schemas import Goods
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, success
from tests.support.pictures import RED, claimed_png, encode, lying_photograph, opened, picture
from utils.custom_exc import BadRequest, NotReady, RangeNotSatisfiable

Headers = dict[str, str]
Catalogue = dict[str, Goods]

GOODS = "/shopdemo/goods"


@pytest.fixture
def address(catalogue: Catalogue) -> str:
    return f"{GOODS}/{catalogue['TEA-1'].id}"


def upload(client: TestClient, admin: Headers, address: str, data: bytes, name: str = "a.jpg") -> httpx.Response:
    answer: Any = client.post(f"{address}/pictures", files={"file": (name, data, "image/jpeg")}, headers=admin)
    return answer  # type: ignore[no-any-return]


def pictures(client: TestClient, address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(address).json()["data"]["pictures"]
    return found


def stored(settings: TestingSettings) -> list[Path]:
    return [path for path in settings.pictures_dir.rglob("*") if path.is_file()]


def test_upload_look_and_delete(client: TestClient, admin: Headers, address: str, settings: TestingSettings) -> None:
    etag = client.get(address).headers["ETag"]
    answer = upload(client, admin, address, lying_photograph())
    url = answer.headers["Location"]
    shown: dict[str, Any] = {
        "url": url,
        "thumbnail_url": url.replace(".webp", "_small.webp"),
        "width": 40,
        "height": 60,
    }
    assert (answer.status_code, answer.json()) == (201, success(shown))
    assert url.startswith(f"{address}/pictures/")
    assert pictures(client, address) == [shown]
    assert client.get(address).headers["ETag"] != etag

    for path in (url, shown["thumbnail_url"]):
        served = client.get(path)
        assert served.status_code == 200
        assert served.headers["Content-Type"] == "image/webp"
        assert served.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert served.headers["X-Content-Type-Options"] == "nosniff"
        assert opened(served.content).size == (40, 60)
        again = client.get(path, headers={"If-None-Match": served.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        part = client.get(path, headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"RIFF")
        size = len(served.content)
        behind = client.get(path, headers={"Range": f"bytes={size}-"})
        assert (behind.status_code, behind.json()) == (416, failure(RangeNotSatisfiable))
        assert behind.headers["Content-Range"] == f"bytes */{size}"
        unreadable = client.get(path, headers={"Range": "lines=1-2"})
        assert (unreadable.status_code, unreadable.json()) == (400, failure(BadRequest))

    assert client.delete(url).status_code == 401
    assert client.delete(shown["thumbnail_url"], headers=admin).status_code == 404
    gone = client.delete(url, headers=admin)
    assert (gone.status_code, gone.content) == (204, b"")
    again = client.delete(url, headers=admin)
    assert (again.status_code, again.json()) == (404, failure(PictureNotFound))
    assert (client.get(url).status_code, client.get(url).json()) == (404, failure(PictureNotFound))
    assert pictures(client, address) == []
    assert stored(settings) == []


@only_sqlite
def test_a_picture_sent_in_several_pieces_is_not_sent_again(client: TestClient, admin: Headers, address: str) -> None:
    noise = encode(Image.effect_noise((900, 900), 200), "PNG")
    url = upload(client, admin, address, noise).json()["data"]["url"]
    served = client.get(url)
    assert len(served.content) > 64 * 1024  # what is sent at once
    again = client.get(url, headers={"If-None-Match": served.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"just text", NotAPicture),
        (b"", NotAPicture),
        (picture("PNG", (300, 300))[:-30], NotAPicture),
        (claimed_png(30_000, 30_000), PictureTooLarge),
        (claimed_png(2**31 - 1, 2**31 - 1), PictureTooLarge),
    ],
    ids=["text", "nothing", "truncated", "bomb", "large bomb"],
)
@only_sqlite
def test_what_is_no_picture(
    client: TestClient, admin: Headers, address: str, settings: TestingSettings, data: bytes, error: Any
) -> None:
    answer = upload(client, admin, address, data)
    assert (answer.status_code, answer.json()) == (error.status_code, failure(error))
    assert (pictures(client, address), stored(settings)) == ([], [])


@only_sqlite
def test_an_upload_needs_an_administrator_and_a_file(
    client: TestClient, admin: Headers, customer: Headers, address: str
) -> None:
    assert upload(client, {}, address, picture()).status_code == 401
    assert upload(client, customer, address, picture()).status_code == 403
    assert client.post(f"{address}/pictures", headers=admin).status_code in (415, 422)
    assert client.post(f"{address}/pictures", files={"other": b"x"}, headers=admin).status_code == 422
    two = [("file", ("a", picture())), ("file", ("b", picture()))]
    assert client.post(f"{address}/pictures", files=two, headers=admin).status_code in (400, 422)
    assert pictures(client, address) == []


@pytest.mark.parametrize("name", ["../../x.jpg", "/etc/passwd", "a\\..\\b", "x" * 300, "图.jpg", 'a;b="c".png'])
@only_sqlite
def test_the_name_of_the_file_means_nothing(
    client: TestClient, admin: Headers, address: str, settings: TestingSettings, name: str
) -> None:
    assert upload(client, admin, address, picture(), name).status_code == 201
    assert {path.parent for path in stored(settings)} == {settings.pictures_dir / address.rpartition("/")[2]}


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2ftest.db", "%2e%2e%2fx.webp", ".webp", "x.webp", f"{'a' * 24}.png", f"{'A' * 24}.webp",
        f"{'a' * 24}.webp%0a", f"{'a' * 24}_small_small.webp", "..%5c..%5cx", "%00.webp",
    ],
)  # fmt: skip
@only_sqlite
def test_tricks_with_the_path(client: TestClient, admin: Headers, address: str, name: str) -> None:
    upload(client, admin, address, picture())
    assert client.get(f"{address}/pictures/{name}").status_code in (404, 422)
    assert client.delete(f"{address}/pictures/{name}", headers=admin).status_code in (404, 405, 422)


@only_sqlite
def test_a_picture_of_unknown_goods(
    client: TestClient, admin: Headers, catalogue: Catalogue, settings: TestingSettings
) -> None:
    answer = upload(client, admin, f"{GOODS}/99", picture())
    assert (answer.status_code, answer.json()) == (404, failure(GoodsNotFound))
    assert stored(settings) == []
    missing = client.get(f"{GOODS}/99/pictures/{'a' * 24}.webp")
    assert (missing.status_code, missing.json()) == (404, failure(PictureNotFound))


def test_ten_pictures_are_enough(client: TestClient, admin: Headers, address: str, settings: TestingSettings) -> None:
    for width in range(10):
        assert upload(client, admin, address, picture(size=(width + 1, 1))).status_code == 201
    answer = upload(client, admin, address, picture(size=(20, 1)))
    message = "Goods may have 10 pictures; delete one first."
    assert (answer.status_code, answer.json()) == (409, failure(TooManyPictures, message))
    assert [one["width"] for one in pictures(client, address)] == list(range(1, 11))
    assert len(stored(settings)) == 20
    known = upload(client, admin, address, picture(size=(1, 1)))
    assert known.status_code == 201
    assert len(stored(settings)) == 20


def test_the_same_picture_twice_is_one(client: TestClient, admin: Headers, address: str) -> None:
    first = upload(client, admin, address, picture())
    etag = client.get(address).headers["ETag"]
    assert upload(client, admin, address, picture()).json() == first.json()
    assert len(pictures(client, address)) == 1
    assert client.get(address).headers["ETag"] == etag


@only_sqlite
def test_the_same_picture_again_while_the_database_is_busy(
    app: FastAPI, client: TestClient, admin: Headers, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = upload(client, admin, address, picture()).headers["Location"]

    def transaction() -> Any:
        raise NotReady

    with monkeypatch.context() as patch:
        patch.setattr(app.state.database, "transaction", transaction)
        answer = upload(client, admin, address, picture())
    assert (answer.status_code, answer.json()) == (503, failure(NotReady))
    assert [one["url"] for one in pictures(client, address)] == [url]
    assert client.get(url).status_code == 200


def test_pictures_go_with_their_goods(
    client: TestClient, admin: Headers, address: str, settings: TestingSettings
) -> None:
    url = upload(client, admin, address, picture()).headers["Location"]
    assert client.delete(address, headers=admin).status_code == 204
    assert client.get(url).status_code == 404
    assert stored(settings) == []


def test_pictures_stay_when_goods_change(client: TestClient, admin: Headers, address: str) -> None:
    upload(client, admin, address, picture())
    before = pictures(client, address)
    client.patch(address, json={"stock": 1}, headers={**admin, "If-Match": "*"})
    assert pictures(client, address) == before


@pytest.mark.anyio
async def test_uploads_at_the_same_time_lose_nothing(
    async_client: httpx.AsyncClient, admin: Headers, address: str, settings: TestingSettings
) -> None:
    work = [
        async_client.post(f"{address}/pictures", files={"file": picture(size=(width, 1))}, headers=admin)
        for width in range(1, 13)
    ]
    answers = await asyncio.gather(*work)
    assert sorted(answer.status_code for answer in answers) == [*[201] * 10, 409, 409]
    shown = (await async_client.get(address)).json()["data"]["pictures"]
    accepted = [answer.json()["data"] for answer in answers if answer.status_code == 201]
    assert sorted(shown, key=lambda one: one["width"]) == accepted
    assert len(stored(settings)) == 20


@pytest.mark.anyio
async def test_the_same_upload_at_the_same_time_keeps_its_files(
    async_client: httpx.AsyncClient, admin: Headers, address: str
) -> None:
    work = [async_client.post(f"{address}/pictures", files={"file": picture()}, headers=admin) for _ in range(4)]
    answers = await asyncio.gather(*work)
    assert {answer.status_code for answer in answers} == {201}
    (shown,) = (await async_client.get(address)).json()["data"]["pictures"]
    assert (await async_client.get(shown["url"])).status_code == 200


@pytest.mark.parametrize("settings", [{"max_picture_pixels": 100}], indirect=True)
@only_sqlite
def test_the_limit_is_a_setting(app: FastAPI, client: TestClient, admin: Headers, address: str) -> None:
    assert upload(client, admin, address, picture(size=(10, 10), colour=RED)).status_code == 201
    assert upload(client, admin, address, picture(size=(11, 10), colour=RED)).status_code == 413
