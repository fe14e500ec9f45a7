"""The cache of answers: never older than the last commit, by whomever, and never larger than allowed."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from starlette.testclient import TestClient

from api.shopdemo.schemas import Goods
from extensions.cache import ReadCache
from extensions.database import Database, connect
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite, run

Headers = dict[str, str]
Catalogue = dict[str, Goods]

GOODS = "/shopdemo/goods"


class Versions:
    """A database of which only the version is asked."""

    def __init__(self) -> None:
        self.now: int | None = 1

    def version(self) -> int | None:
        return self.now


@pytest.fixture
def versions() -> Versions:
    return Versions()


def cache_of(versions: Versions, max_bytes: int = 8000) -> ReadCache:
    return ReadCache(cast(Database, versions), max_bytes)


def test_kept_while_the_data_stays(versions: Versions) -> None:
    cache = cache_of(versions)
    cache.put("a", "A", 10, cache.version())
    assert (cache.get("a"), cache.get("b")) == ("A", None)
    versions.now = 2
    assert cache.get("a") is None


def test_what_was_read_before_a_change_is_not_kept(versions: Versions) -> None:
    cache = cache_of(versions)
    before = cache.version()
    versions.now = 2
    cache.put("a", "A", 10, before)
    assert cache.get("a") is None


def test_nothing_is_kept_while_the_version_is_unknown(versions: Versions) -> None:
    cache = cache_of(versions)
    cache.put("a", "A", 10, cache.version())
    versions.now = None
    assert cache.get("a") is None
    cache.put("a", "A", 10, cache.version())
    versions.now = 1
    assert cache.get("a") is None


def test_bounded_in_bytes_and_the_oldest_goes_first(versions: Versions) -> None:
    cache = cache_of(versions)
    for number in range(8):
        cache.put(number, str(number), 1000, cache.version())
    assert cache.get(0) == "0"
    cache.put(8, "8", 1000, cache.version())
    assert [number for number in range(9) if cache.get(number)] == [0, 2, 3, 4, 5, 6, 7, 8]
    cache.put("too large", "x", 1001, cache.version())
    assert cache.get("too large") is None
    for _ in range(20):
        cache.put(8, "again", 500, cache.version())
    assert len([number for number in range(9) if cache.get(number)]) == 8


def test_off(versions: Versions) -> None:
    cache = cache_of(versions, 0)
    cache.put("a", "A", 0, cache.version())
    assert (cache.version(), cache.get("a")) == (None, None)


# -- over a real database ---------------------------------------------------------------------------------------------


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process causes, not longer than ten seconds."""
    patience = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < patience, "it did not happen"
        time.sleep(0.005)


async def change(settings: TestingSettings, sql: str) -> None:
    """Somebody else, with connections of their own, changes the data."""
    database = await connect(settings)
    async with database.transaction() as connection:
        await connection.execute(text(sql))
    await database.close()


def listening(app: FastAPI) -> bool:
    return app.state.cache.version() is not None


def sql_runs(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every read that reaches the database from now on."""
    runs: list[str] = []
    reader = app.state.database._reader
    fetch = reader.fetch

    async def counted(sql: str, arguments: Any) -> Any:
        runs.append(sql)
        return await fetch(sql, arguments)

    monkeypatch.setattr(reader, "fetch", counted)
    return runs


PAGES = ("/shopdemo/home", "/shopdemo/categories")
PATHS = (*PAGES, GOODS, f"{GOODS}?q=龙井&sort=price", f"{GOODS}?cursor=", f"{GOODS}/1")


def test_a_repeated_read_asks_no_database(
    app: FastAPI, catalogue: Catalogue, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: listening(app))
    first = [client.get(path) for path in PATHS]
    runs = sql_runs(app, monkeypatch)
    again = [client.get(path) for path in PATHS]
    assert runs == []
    assert [answer.content for answer in again] == [answer.content for answer in first]
    ids = {answer.headers["X-Request-ID"] for answer in (*first, *again)}
    assert len(ids) == 2 * len(PATHS)


@pytest.mark.parametrize("settings", [{"cache_bytes": 0}], indirect=True)
def test_without_a_cache_every_read_asks(
    app: FastAPI, client: TestClient, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get(f"{GOODS}/1")
    runs = sql_runs(app, monkeypatch)
    again = client.get(f"{GOODS}/1")
    assert len(runs) == 1
    assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])
    assert client.get(f"{GOODS}/1", headers={"If-None-Match": again.headers["ETag"]}).status_code == 304


def test_who_writes_reads_what_was_written(
    app: FastAPI, client: TestClient, admin: Headers, catalogue: Catalogue
) -> None:
    until(lambda: listening(app))
    for stock in range(30):
        client.patch(f"{GOODS}/1", json={"stock": stock}, headers={**admin, "If-Match": "*"})
        assert client.get(f"{GOODS}/1").json()["data"]["stock"] == stock
        assert client.get(f"{GOODS}?sort=created_at").json()["data"]["items"][0]["stock"] == stock


def test_changes_by_others_are_seen(
    app: FastAPI, client: TestClient, settings: TestingSettings, catalogue: Catalogue
) -> None:
    """At once on SQLite; on PostgreSQL as soon as it has told us, which takes about a millisecond."""
    until(lambda: listening(app))

    def counts() -> list[Any]:
        return [client.get(GOODS).json()["data"]["total"], client.get("/shopdemo/categories").json()["data"][1]["name"]]

    assert counts() == [7, "服装 Clothing"]
    for sql, expected in (
        ("UPDATE shopdemo_goods SET on_sale = false WHERE id = 1", [6, "服装 Clothing"]),
        ("UPDATE shopdemo_categories SET name = '衣服' WHERE slug = 'clothing'", [6, "衣服"]),
        ("DELETE FROM shopdemo_goods WHERE id = 2", [5, "衣服"]),
    ):
        run(change(settings, sql))
        if app.state.database.dialect == "sqlite":
            assert counts() == expected
        until(lambda expected=expected: counts() == expected)  # type: ignore[misc]


@pytest.mark.anyio
async def test_many_who_ask_the_same_get_the_same(
    app: FastAPI, async_client: httpx.AsyncClient, catalogue: Catalogue
) -> None:
    answers = await asyncio.gather(*(async_client.get(GOODS) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


@only_sqlite
def test_failures_are_not_kept(client: TestClient, admin: Headers, catalogue: Catalogue) -> None:
    assert client.get(f"{GOODS}/9").status_code == 404
    assert client.get(f"{GOODS}?category=none").status_code == 422
    assert client.get(f"{GOODS}/9").status_code == 404
