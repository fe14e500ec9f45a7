"""Export and import: the same columns both ways, all of a file or nothing of it."""

import asyncio
import csv
import io
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from starlette.testclient import TestClient

from api.shopdemo.goods.errors import ImportRejected
from api.shopdemo.goods.transfer import OnConflict, write_export
from api.shopdemo.schemas import Goods
from tests.support.catalogue import goods_body
from tests.support.databases import only_postgres, only_sqlite
from tests.support.envelopes import failure, success

Headers = dict[str, str]
Catalogue = dict[str, Goods]

GOODS = "/shopdemo/goods"
HEAD = "sku,name,description,category,price,stock,attributes,on_sale"
GOOD_LINE = "N-1,New 新,,green-tea,1.00,1,,"


def send(client: TestClient, admin: Headers, data: str | bytes, **query: str) -> httpx.Response:
    content = data.encode() if isinstance(data, str) else data
    answer: Any = client.post(f"{GOODS}/import", files={"file": ("goods.csv", content)}, params=query, headers=admin)
    return answer  # type: ignore[no-any-return]


def lines(*rows: str, head: str = HEAD) -> str:
    return "\n".join([head, *rows]) + "\n"


def rejected(*errors: tuple[int, str | None, str]) -> dict[str, Any]:
    found = [{"line": line, "column": column, "message": message} for line, column, message in errors]
    return failure(ImportRejected, data={"errors": found, "error_count": len(found)})


def number_of_goods(client: TestClient) -> int:
    total: int = (
        client.get(GOODS).json()["data"]["total"] + client.get(f"{GOODS}?on_sale=false").json()["data"]["total"]
    )
    return total


# -- export -----------------------------------------------------------------------------------------------------------


def test_export_as_csv(client: TestClient, catalogue: Catalogue) -> None:
    answer = client.get(f"{GOODS}/export")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="goods.csv"'
    head, *rows = answer.text.split("\r\n")
    assert head == HEAD
    assert rows[0] == (
        'TEA-1,西湖龙井绿茶 250g Longjing Green Tea,说明 TEA-1,green-tea,199.00,120,"{""series"": ""系列 TEA""}",true'
    )
    assert [row[:5] for row in rows] == [*catalogue, ""]
    assert rows[-2].endswith(",false")


def test_export_as_json_lines(client: TestClient, catalogue: Catalogue) -> None:
    answer = client.get(f"{GOODS}/export", params={"format": "jsonl"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/jsonl"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="goods.jsonl"'
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert rows[0] == {
        "sku": "TEA-1",
        "name": "西湖龙井绿茶 250g Longjing Green Tea",
        "description": "说明 TEA-1",
        "category": "green-tea",
        "price": "199.00",
        "stock": 120,
        "attributes": {"series": "系列 TEA"},
        "on_sale": True,
    }
    assert [row["sku"] for row in rows] == list(catalogue)


@only_sqlite
def test_export_of_an_empty_shop_and_in_an_unknown_format(client: TestClient) -> None:
    assert client.get(f"{GOODS}/export").text == HEAD + "\r\n"
    assert client.get(f"{GOODS}/export?format=jsonl").text == ""
    assert client.get(f"{GOODS}/export?format=xml").status_code == 422


@pytest.mark.parametrize("size", [1, 3])
def test_export_goes_batch_by_batch(
    client: TestClient, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    whole = client.get(f"{GOODS}/export").text
    import sys

    store = sys.modules["api.shopdemo.goods.store"]
    monkeypatch.setattr(store, "GOODS_AFTER_ID", store.GOODS_AFTER_ID.limit(size))
    assert client.get(f"{GOODS}/export").text == whole


@pytest.mark.anyio
async def test_export_holds_one_batch_at_a_time() -> None:
    """50 batches of 200 kB pass through less than a megabyte."""
    now = datetime.now(UTC)
    one = Goods(
        id=1, sku="S", name="n", description="x" * 2000, category="c", price=Decimal("1.00"), stock=1, sales=0,
        pictures=[], attributes={}, on_sale=True, created_at=now, updated_at=now, version=1,
    )  # fmt: skip

    async def batches() -> AsyncIterator[Sequence[Goods]]:
        for _ in range(50):
            yield [one] * 100

    size = 0
    tracemalloc.start()
    async for piece in write_export(batches(), "jsonl"):
        size += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 10_000_000
    assert peak < 2_000_000


def test_what_was_exported_can_be_imported(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    strange = goods_body(
        name='a,b"c";\'=1+1', description='Zeile 1\nZeile 2\r\n"Q", 龙井\t', attributes={"颜色": '"白", x'}
    )
    client.post(GOODS, json=strange, headers=admin)
    for format_ in ("csv", "jsonl"):
        assert client.get(f"{GOODS}/export?format={format_}").text
    exported = client.get(f"{GOODS}/export").content
    before = client.get(f"{GOODS}/export?format=jsonl").text
    again = send(client, admin, exported, on_conflict="update")
    assert (again.status_code, again.json()) == (200, success({"created": 0, "updated": 9}))
    assert client.get(f"{GOODS}/export?format=jsonl").text == before
    for goods in [*client.get(GOODS).json()["data"]["items"], {"id": catalogue["SHI-3"].id}]:
        assert client.delete(f"{GOODS}/{goods['id']}", headers=admin).status_code == 204
    assert number_of_goods(client) == 0
    empty = send(client, admin, exported)
    assert (empty.status_code, empty.json()) == (200, success({"created": 9, "updated": 0}))
    assert client.get(f"{GOODS}/export?format=jsonl").text == before
    assert [one["sku"] for one in client.get(GOODS, params={"q": "龙井"}).json()["data"]["items"]] == [
        "NEW-1", "TEA-3", "TEA-1",
    ]  # fmt: skip


# -- import -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_import(client: TestClient, admin: Headers, catalogue: Catalogue, bom: bytes, end: str) -> None:
    text = lines('N-1,"新 ""New"", a",,green-tea,1.5,1,"{""a"": ""b""}",false', GOOD_LINE.replace("N-1", "N-2"))
    answer = send(client, admin, bom + text.replace("\n", end).encode())
    assert (answer.status_code, answer.json()) == (200, success({"created": 2, "updated": 0}))
    found = [json.loads(line) for line in client.get(f"{GOODS}/export?format=jsonl").text.splitlines()][-2:]
    first = goods_body(
        sku="N-1", name='新 "New", a', description="", price="1.50", stock=1, attributes={"a": "b"}, on_sale=False
    )
    second = goods_body(sku="N-2", name="New 新", description="", price="1.00", stock=1, attributes={})
    assert found == [first, second]
    assert client.get(GOODS, params={"q": "new"}).json()["data"]["total"] == 1


def test_columns_in_another_order_and_without_the_optional_ones(
    client: TestClient, admin: Headers, catalogue: Catalogue
) -> None:
    text = lines("1,2.00,green-tea,words,Name,N-1", head="stock,price,category,description,name,sku")
    assert send(client, admin, text).json() == success({"created": 1, "updated": 0})


def test_all_wrong_lines_are_told_and_nothing_is_imported(
    client: TestClient, admin: Headers, catalogue: Catalogue
) -> None:
    text = lines(
        GOOD_LINE,
        "TEA-1,Taken,,green-tea,1.00,1,,",
        "N-2,No such category,,nothing,1.00,1,,",
        "N-3,Wrong,,green-tea,1.005,many,{,perhaps",
        "N-1,Twice,,green-tea,1.00,1,,",
        "N-4,Short,green-tea",
        'N-5,"Two\nlines",,green-tea,-1,1,,',
        "N-6,Null\0,,green-tea,1.00,1,,",
        "N-7,Long,,green-tea,1.00,1,,,,",
        ",,,,,,,",
    )
    answer = send(client, admin, text)
    money = 'must be a string such as "199.00": up to 8 digits, and up to 2 after the point'
    assert answer.status_code == 422
    assert answer.json() == rejected(
        (3, "sku", "is taken; send on_conflict=update to change these goods"),
        (4, "category", "there is no category with this slug"),
        (5, "stock", "cannot be read as a whole number"),
        (5, "attributes", 'cannot be read as JSON such as {"weight": "250 g"}'),
        (5, "on_sale", "cannot be read as true or false"),
        (5, "price", money),
        (6, "sku", "is the same as in line 2"),
        (7, None, "has not as many fields as the first line"),
        (9, "price", money),
        (10, "name", "must not contain the NUL character"),
        (11, None, "has not as many fields as the first line"),
        (12, "sku", "String should have at least 1 character"),
        (12, "name", "String should have at least 1 character"),
        (12, "category", "String should have at least 1 character"),
        (12, "price", money),
        (12, "stock", "Field required"),
    )
    assert number_of_goods(client) == 8


def test_update_on_conflict(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    etag = client.get(f"{GOODS}/{catalogue['TEA-1'].id}").headers["ETag"]
    text = lines(GOOD_LINE, "TEA-1,普洱,,coffee,1.00,1,,")
    answer = send(client, admin, text, on_conflict="update")
    assert (answer.status_code, answer.json()) == (200, success({"created": 1, "updated": 1}))
    read = client.get(f"{GOODS}/{catalogue['TEA-1'].id}")
    assert (read.json()["data"]["name"], read.json()["data"]["category"]) == ("普洱", "coffee")
    assert read.json()["data"]["sales"] == 30
    assert read.headers["ETag"] != etag
    assert client.get(GOODS, params={"q": "普洱"}).json()["data"]["total"] == 1
    assert client.get(GOODS, params={"q": "西湖"}).json()["data"]["total"] == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "“sku” is missing"),
        (lines("x", head="sku,colour"), "“stock” is missing, some are not known; use sku, name,"),
        (lines(GOOD_LINE, head=f"{HEAD},sku"), "“sku” is there twice"),
        (lines(GOOD_LINE).encode("utf-16"), "UTF-8"),
        (lines("N-1,茶,,green-tea,1.00,1,,").encode("gbk"), "UTF-8"),
        (lines('"N-1'), "not CSV"),
        (lines('"N"-1,a,,green-tea,1.00,1,,'), "not CSV"),
        (lines("N-1," + "x" * 200_000 + ",,green-tea,1.00,1,,"), "CSV"),
    ],
    ids=range(8),
)
@only_sqlite
def test_wrong_files(client: TestClient, admin: Headers, catalogue: Catalogue, data: str | bytes, message: str) -> None:
    answer = send(client, admin, data)
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (422, ImportRejected.code, None)
    assert answer.json()["message"].startswith("Nothing was imported")
    assert message in answer.json()["message"]
    assert "colour" not in answer.text
    assert number_of_goods(client) == 8


@only_sqlite
def test_a_file_with_nothing_but_columns(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    assert send(client, admin, lines()).json() == success({"created": 0, "updated": 0})


@only_sqlite
def test_only_so_many_errors_are_told(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    answer = send(client, admin, lines(*["N-1,a,,green-tea,x,1,,"] * 150))
    assert (len(answer.json()["data"]["errors"]), answer.json()["data"]["error_count"]) == (100, 150)


def test_as_many_lines_as_allowed_and_one_more(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    rows = [f"N-{number},Name,,green-tea,1.00,1,," for number in range(10_000)]
    message = "Nothing was imported: the file has more than 10000 lines; split it."
    too_many = send(client, admin, lines(*rows, GOOD_LINE))
    assert (too_many.status_code, too_many.json()) == (422, failure(ImportRejected, message))
    assert send(client, admin, lines(*rows)).json() == success({"created": 10_000, "updated": 0})
    assert number_of_goods(client) == 10_000 + 1  # the total stops counting there


@only_sqlite
def test_an_import_has_few_statements(app: FastAPI, client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    """Lines are written in batches: SQLite has one writer, and everybody else waits for it."""
    text = lines(*[f"N-{number},Name,,green-tea,1.00,1,," for number in range(1_000)])
    statements: list[str] = []
    event.listen(
        app.state.database.engine.sync_engine,
        "before_cursor_execute",
        lambda *arguments: statements.append(arguments[2]),
    )
    assert send(client, admin, text).json() == success({"created": 1_000, "updated": 0})
    assert send(client, admin, text, on_conflict="update").json() == success({"created": 0, "updated": 1_000})
    assert sum(statement.startswith("INSERT") for statement in statements) == 2
    assert sum(statement.startswith("UPDATE") for statement in statements) == 2


@only_sqlite
def test_import_needs_an_administrator(client: TestClient, customer: Headers) -> None:
    assert send(client, {}, lines(GOOD_LINE)).status_code == 401
    assert send(client, customer, lines(GOOD_LINE)).status_code == 403


def test_export_of_a_line_that_spreadsheets_would_run(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    """Text is exported as it is: a round trip must not change it."""
    client.post(GOODS, json=goods_body(name="=1+1"), headers=admin)
    rows = list(csv.DictReader(io.StringIO(client.get(f"{GOODS}/export").text, newline="")))
    assert rows[-1]["name"] == "=1+1"


# -- at the same time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_conflict", ["reject", "update"])
@pytest.mark.anyio
@only_postgres
async def test_imports_of_the_same_goods_in_another_order(
    async_client: httpx.AsyncClient, admin: Headers, catalogue: Catalogue, on_conflict: OnConflict
) -> None:
    rows = [f"N-{number:03},Name,,green-tea,1.00,1,," for number in range(400)]

    async def twice() -> list[Any]:
        work = [
            async_client.post(
                f"{GOODS}/import",
                files={"file": ("goods.csv", lines(*ordered).encode())},
                params={"on_conflict": on_conflict},
                headers=admin,
            )
            for ordered in (rows, rows[::-1])
        ]
        answers = await asyncio.gather(*work)
        return sorted(answer.json()["code"] for answer in answers)

    second = 200 if on_conflict == "update" else ImportRejected.code
    assert await twice() == [200, second]
    assert await twice() == [second, second]
