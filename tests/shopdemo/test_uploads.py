"""What is true of every upload: how large it may be, who is refused before it is read, and a disk that is full."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from api.shopdemo.goods.goods import MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from api.shopdemo.schemas import Goods
from tests.shopdemo.test_transfer import HEAD
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, success
from tests.support.pictures import picture
from utils.custom_exc import ContentTooLarge, Forbidden, NotAuthenticated, NotReady
from utils.exception_handlers import NOT_KEPT

pytestmark = only_sqlite

Headers = dict[str, str]

IMPORT = "/shopdemo/goods/import"
LONG_NAME = f"{'图' * 80}.png"  # as long as file systems let a name be
PIECE = 65_536
HEAD_OF_A_FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.fixture(params=["pictures", "import"])
def address(request: pytest.FixtureRequest, catalogue: dict[str, Goods]) -> str:
    return IMPORT if request.param == "import" else f"/shopdemo/goods/{catalogue['TEA-1'].id}/pictures"


def upload(client: TestClient, admin: Headers, address: str, data: bytes) -> httpx.Response:
    answer: Any = client.post(address, files={"file": (LONG_NAME, data)}, headers=admin)
    return answer  # type: ignore[no-any-return]


def as_large_as_allowed(address: str) -> bytes:
    """A file that can be used, of the size that the documentation names."""
    if address != IMPORT:
        return picture().ljust(MAX_FILE_BYTES, b"\0")  # what is behind the end of a PNG is nobody's
    row = "N-%04d,New,%s,green-tea,1.00,1,,\n"
    rest = MAX_FILE_BYTES - len(f"{HEAD}\n")
    size = rest // 1100
    rows = [row % (number, "d" * (size - len(row % (number, "")))) for number in range(1099)]
    last = row % (9999, "d" * (rest - 1099 * size - len(row % (9999, ""))))
    return "".join([f"{HEAD}\n", *rows, last]).encode()


@pytest.mark.slow
def test_a_file_may_be_as_large_as_is_said(client: TestClient, admin: Headers, address: str) -> None:
    file = as_large_as_allowed(address)
    assert len(file) == 10 * 1024 * 1024
    answer = upload(client, admin, address, file)
    expected = (200, success({"created": 1100, "updated": 0})) if address == IMPORT else (201, answer.json())
    assert (answer.status_code, answer.json()) == expected
    larger = upload(client, admin, address, file.ljust(MAX_UPLOAD_BYTES))
    assert (larger.status_code, larger.json()) == (413, failure(ContentTooLarge))


@pytest.mark.anyio
@pytest.mark.parametrize("who", ["nobody", "customer"])
async def test_who_may_not_is_refused_before_the_file_is_read(
    async_client: httpx.AsyncClient, customer: Headers, address: str, who: str
) -> None:
    read = 0

    async def form() -> AsyncIterator[bytes]:
        nonlocal read
        for piece in (HEAD_OF_A_FORM, *[bytes(PIECE)] * 100, b"\r\n--b--\r\n"):
            read += 1
            yield piece

    headers = {"Content-Type": "multipart/form-data; boundary=b", **(customer if who == "customer" else {})}
    answer = await async_client.post(address, content=form(), headers=headers)
    refusal = (
        (401, failure(NotAuthenticated))
        if who == "nobody"
        else (403, failure(Forbidden, "This needs the role “admin”."))
    )
    assert ((answer.status_code, answer.json()), read) == (refusal, 0)


def test_a_disk_that_takes_no_upload_is_not_the_clients_fault(
    client: TestClient, admin: Headers, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = bytes(2 * 1024 * 1024)  # smaller ones stay in memory
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        answer = upload(client, admin, address, large)
    assert (answer.status_code, answer.json()) == (503, failure(NotReady, NOT_KEPT))
    assert upload(client, admin, address, large).status_code in (415, 422)
