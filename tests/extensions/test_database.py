"""The database: types that mean the same on both, transactions, and what happens while it is away."""

import asyncio
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest
from fastapi import FastAPI
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    column,
    event,
    func,
    insert,
    literal,
    select,
    table,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError, StatementError
from starlette.testclient import TestClient

from api import create_app
from api.shopdemo.database import CategoryRow, GoodsRow
from api.shopdemo.schemas import Goods
from extensions.database import Database, connect
from extensions.database_types import MoneyCents, UtcDateTime
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.catalogue import goods_body
from tests.support.databases import execute as execute_on_postgres
from tests.support.databases import fetch as fetch_on_postgres
from tests.support.databases import only_postgres, only_sqlite, postgres_server, run
from tests.support.envelopes import failure, success
from utils.custom_exc import InternalError, NotReady

GOODS = "/shopdemo/goods"
REPLACED = "The database file was replaced by another one; restart the service"
NOT_READY = {"problems": ["database cannot be reached"]}

Headers = dict[str, str]
TYPES = Table(
    "types",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("money", MoneyCents),
    Column("time", UtcDateTime),
)


def file_of(settings: TestingSettings) -> Path:
    return Path(make_url(settings.database_url).database or "")


async def with_database(settings: TestingSettings, work: Any) -> Any:
    database = await connect(settings)
    try:
        return await work(database)
    finally:
        await database.close()


# -- types ------------------------------------------------------------------------------------------------------------


def test_money_and_times_come_back_exactly(settings: TestingSettings) -> None:
    beijing = datetime(2026, 5, 1, 8, 0, 0, 123456, timezone(timedelta(hours=8)))
    rows: list[dict[str, Any]] = [
        {"id": 1, "money": Decimal("0.01"), "time": beijing},
        {"id": 2, "money": Decimal("99999999.99"), "time": datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)},
        {"id": 3, "money": None, "time": None},
    ]

    async def work(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.run_sync(TYPES.metadata.create_all)
            await connection.execute(insert(TYPES), rows)
            assert [dict(row) for row in (await connection.execute(select(TYPES))).mappings()] == rows
        found = await database.fetch_all(select(TYPES).order_by(TYPES.c.id))
        assert found == rows
        assert found[0]["time"].utcoffset() == timedelta(0)
        later = select(TYPES.c.id).where(TYPES.c.time > bindparam("moment"))
        assert await database.fetch_all(later, {"moment": beijing - timedelta(microseconds=1)}) == [{"id": 1}]
        assert await database.fetch_all(later, {"moment": beijing}) == []

    run(with_database(settings, work))


def test_a_time_without_a_zone_is_refused(settings: TestingSettings) -> None:
    async def work(database: Database) -> None:
        naive = datetime(2026, 1, 1)  # noqa: DTZ001
        with pytest.raises((StatementError, ValueError), match="without a zone"):
            await database.fetch_all(select(TYPES.c.id).where(TYPES.c.time > bindparam("moment")), {"moment": naive})

    run(with_database(settings, work))


# -- reads and transactions -------------------------------------------------------------------------------------------


def test_a_block_that_raises_changes_nothing(settings: TestingSettings) -> None:
    count = select(func.count(CategoryRow.id).label("found"))
    row = {"slug": "a", "name": "A"}

    async def work(database: Database) -> None:
        with suppress(ZeroDivisionError):
            async with database.transaction() as connection:
                await connection.execute(insert(CategoryRow), row)
                raise ZeroDivisionError
        assert await database.fetch_one(count) == {"found": 0}
        async with database.transaction() as connection:
            await connection.execute(insert(CategoryRow), row)
        assert await database.fetch_one(count) == {"found": 1}
        assert await database.fetch_one(select(CategoryRow.id).where(CategoryRow.slug == "b")) is None

    run(with_database(settings, work))


def test_foreign_keys_and_constraints_hold(settings: TestingSettings, catalogue: dict[str, Goods]) -> None:
    async def work(database: Database) -> None:
        for statement in (
            "UPDATE shopdemo_goods SET category_id = 99",
            "UPDATE shopdemo_goods SET stock = -1",
            "UPDATE shopdemo_goods SET price = -1",
            "DELETE FROM shopdemo_categories",
        ):
            with pytest.raises(IntegrityError):
                async with database.transaction() as connection:
                    await connection.execute(text(statement))

    run(with_database(settings, work))


def test_writers_take_turns(settings: TestingSettings, catalogue: dict[str, Goods]) -> None:
    """A read and a later write in one transaction: none is lost, none fails."""

    async def add_one(database: Database) -> None:
        async with database.transaction() as connection:
            found = select(GoodsRow.stock).where(GoodsRow.id == 1).with_for_update()
            stock = (await connection.execute(found)).scalar_one()
            await connection.execute(
                text("UPDATE shopdemo_goods SET stock = :stock WHERE id = 1"), {"stock": stock + 1}
            )

    async def work(database: Database) -> None:
        await asyncio.gather(*(add_one(database) for _ in range(20)))
        assert await database.fetch_one(select(GoodsRow.stock).where(GoodsRow.id == 1)) == {"stock": 140}

    run(with_database(settings, work))


@only_sqlite
def test_sqlite_is_set_up_for_many_readers(settings: TestingSettings) -> None:
    async def work(database: Database) -> list[Any]:
        async with database.transaction() as connection:
            pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [(await connection.execute(text(f"PRAGMA {name}"))).scalar_one() for name in pragmas]

    assert run(with_database(settings, work)) == ["wal", 1, 1, 5_000]


def test_the_folder_of_a_new_database_is_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b c%" / "new.db"
    settings = TestingSettings(database_url=f"sqlite+aiosqlite:///{file.as_posix()}")

    async def work(database: Database) -> Any:
        return await database.fetch_one(select(literal(1).label("one")))

    assert run(with_database(settings, work)) == {"one": 1}
    assert file.exists()


# -- a commit that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "error"), [(ValueError("no"), InternalError), (ConnectionError("away"), NotReady)])
def test_a_failed_commit_is_never_a_success(
    app: FastAPI, client: TestClient, admin: Headers, catalogue: dict[str, Goods], reason: Exception, error: Any
) -> None:
    engine = app.state.database.engine.sync_engine

    def fail(_: Any) -> None:
        raise reason

    event.listen(engine, "commit", fail)
    created = client.post(GOODS, json=goods_body(), headers=admin)
    deleted = client.delete(f"{GOODS}/1", headers=admin)
    event.remove(engine, "commit", fail)
    for answer in (created, deleted):
        assert (answer.status_code, answer.json()) == (error.status_code, failure(error))
    assert client.get(GOODS).json()["data"]["total"] == 7
    assert client.post(GOODS, json=goods_body(), headers=admin).status_code == 201


def test_an_error_of_the_block_stays_what_it_is(settings: TestingSettings) -> None:
    async def work(database: Database) -> None:
        for reason in (PermissionError("a folder of pictures"), TimeoutError("of somebody else")):
            with pytest.raises(type(reason)) as caught:
                async with database.transaction():
                    raise reason
            assert caught.value is reason

    run(with_database(settings, work))


@only_postgres
def test_a_connection_lost_in_the_block_is_of_the_database(settings: TestingSettings) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(NotReady):
            async with database.transaction() as connection:
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    run(with_database(settings, work))


# -- while it is away -------------------------------------------------------------------------------------------------


def assert_away(client: TestClient, admin: Headers) -> None:
    for answer in (
        client.get(GOODS),
        client.get(f"{GOODS}/1"),
        client.get("/shopdemo/home"),
        client.get("/shopdemo/categories"),
        client.post(GOODS, json=goods_body(), headers=admin),
        client.delete(f"{GOODS}/1", headers=admin),
    ):
        assert (answer.status_code, answer.json()) == (503, failure(NotReady))
        assert answer.headers["Retry-After"] == "2"
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        503,
        failure(NotReady, "Not ready: database cannot be reached.", NOT_READY),
    )
    assert ready.headers["Retry-After"] == "2"
    assert client.get("/healthz").status_code == 200


def test_ready(client: TestClient) -> None:
    assert client.get("/readyz").json() == success(
        {"status": "ready", "checks": ["database", "broker", "pictures", "schema"], "problems": []}
    )


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as taken:  # bound and not listening: connections are refused, and nobody else gets it
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_server_that_is_down_at_the_start(nobody: int, tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://user:the-password@127.0.0.1:{nobody}/shop"
    settings = TestingSettings(database_url=url, pictures_dir=tmp_path, access_log=False)
    with TestClient(create_app(settings)) as client:
        tokens = Tokens(settings.secret_key.get_secret_value())
        token = tokens.sign("alice", frozenset({"admin"}), 60)
        assert_away(client, {"Authorization": f"Bearer {token}"})


@only_postgres
def test_a_database_that_goes_away(settings: TestingSettings, client: TestClient, admin: Headers) -> None:
    assert client.get(GOODS).status_code == 200
    name = make_url(settings.database_url).database
    run(execute_on_postgres(postgres_server(), f"DROP DATABASE {name} WITH (FORCE)"))
    assert client.get("/readyz").status_code == 503  # who asks first may be told that the connection is gone
    assert_away(client, admin)


@only_postgres
def test_a_database_that_comes_back(settings: TestingSettings, client: TestClient, catalogue: dict[str, Goods]) -> None:
    assert client.get(GOODS).status_code == 200
    name = make_url(settings.database_url).database
    server = postgres_server()
    run(execute_on_postgres(server, f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    run(execute_on_postgres(server, kill))
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").status_code == 503
    run(execute_on_postgres(server, f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    client.get("/readyz")  # may still meet a connection of before
    assert client.get("/readyz").status_code == 200
    assert client.get(f"{GOODS}?size=1").status_code == 200


class Proxy:
    """Stands between the service and PostgreSQL; while it is frozen it takes everything and passes nothing on."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._moving = asyncio.Event()
        self._moving.set()
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def before(cls, server: URL) -> AsyncIterator[tuple[Self, str]]:
        """The proxy, and the URL of the server through it."""
        proxy = cls(server)
        listener = await asyncio.start_server(proxy._connect, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        try:
            yield proxy, server.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        finally:
            listener.close()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)
            for writer in proxy._writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in proxy._writers), return_exceptions=True)

    def freeze(self) -> None:
        self._moving.clear()

    def thaw(self) -> None:
        self._moving.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._tasks.add(asyncio.create_task(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._moving.wait()
        there, to = await asyncio.open_connection(self._server.host, self._server.port or 5432)
        self._writers.append(to)
        await asyncio.gather(self._pass_on(reader, to), self._pass_on(there, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._moving.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the service does by itself, not longer than ten seconds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  (the service has no event for it)
            await asyncio.sleep(0.005)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service gives up after a moment."""
    for name in ("HEARTBEAT", "HEARTBEAT_TIMEOUT", "CHECK_TIMEOUT", "RELISTEN"):
        monkeypatch.setattr(f"extensions.database_readers.{name}_SECONDS", 0.2)
    for module in ("database", "postgres_pool"):
        monkeypatch.setattr(f"extensions.{module}.CLOSE_TIMEOUT_SECONDS", 0.2)


@only_postgres
@pytest.mark.usefixtures("impatient")
@pytest.mark.anyio
async def test_nobody_believes_a_listener_that_is_silently_dead(settings: TestingSettings) -> None:
    async with Proxy.before(make_url(settings.database_url)) as (proxy, url):
        database = await connect(settings.model_copy(update={"database_url": url}))
        await until(lambda: database.version() is not None)
        before = database.version()
        proxy.freeze()
        await until(lambda: database.version() is None)
        proxy.thaw()
        await until(lambda: database.version() is not None)
        assert database.version() != before
        await database.close()


@only_postgres
@pytest.mark.usefixtures("impatient")
@pytest.mark.anyio
async def test_frozen_connections_hold_up_neither_readiness_nor_the_end(settings: TestingSettings) -> None:
    async with Proxy.before(make_url(settings.database_url)) as (proxy, url):
        database = await connect(settings.model_copy(update={"database_url": url}))
        assert await database.fetch_one(select(literal(1).label("one"))) == {"one": 1}
        async with database.transaction() as connection:
            await connection.execute(text("SELECT 1"))
        proxy.freeze()
        async with asyncio.timeout(5):
            with pytest.raises(NotReady):
                await database.check()
            await database.close()


@only_postgres
@pytest.mark.usefixtures("impatient")
@pytest.mark.anyio
async def test_a_connection_in_use_does_not_hold_up_the_end(settings: TestingSettings) -> None:
    database: Any = await connect(settings)
    async with database._reader._pool._pool.acquire(), asyncio.timeout(5):
        await database.close()


@only_postgres
def test_a_transaction_is_given_up_as_a_whole(settings: TestingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of its statements takes too long by itself."""
    monkeypatch.setattr("extensions.database.TRANSACTION_SECONDS", 0.5)

    async def write_for_long(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(CategoryRow), {"slug": "a", "name": "A"})
            for _ in range(1_000):
                await connection.execute(text("SELECT pg_sleep(0.05)"))

    async def work(database: Database) -> None:
        with pytest.raises(NotReady):
            await write_for_long(database)
        assert await database.fetch_all(select(CategoryRow.id)) == []
        async with database.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    run(with_database(settings, work))


@only_postgres
@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "53100", "53200", "55P03", "57014", "58030", "25006"])
def test_what_may_succeed_when_repeated_is_not_an_error_of_ours(settings: TestingSettings, sqlstate: str) -> None:
    """Deadlocks, disks that are full or fail, locks that are not to be had, statements that took too long."""

    async def work(database: Database) -> None:
        with pytest.raises(NotReady):
            async with database.transaction() as connection:
                await connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{sqlstate}'; END $$"))

    run(with_database(settings, work))


@only_postgres
@pytest.mark.parametrize("option", ["ssl", "sslmode"])
def test_the_url_says_whether_connections_are_encrypted(settings: TestingSettings, option: str) -> None:
    encrypted: Any = select(column("ssl")).select_from(table("pg_stat_ssl")).where(text("pid = pg_backend_pid()"))

    async def work(database: Database) -> list[Any]:
        async with database.transaction() as connection:
            written = (await connection.execute(encrypted)).scalar_one()
        read = await database.fetch_one(encrypted)
        assert read
        await until(lambda: database.version() is not None)
        return [written, read["ssl"]]

    def change(mode: str) -> TestingSettings:
        return settings.model_copy(update={"database_url": f"{settings.database_url}?{option}={mode}"})

    assert run(with_database(change("disable"), work)) == [False, False]
    with_tls = run(fetch_on_postgres(postgres_server(), "SHOW ssl")) == "on"
    assert run(with_database(change("prefer"), work)) == [with_tls, with_tls]


@only_sqlite
@pytest.mark.parametrize("damage", ["removed", "a folder", "no database"])
def test_a_file_that_goes_away_and_comes_back(
    settings: TestingSettings, client: TestClient, admin: Headers, catalogue: dict[str, Goods], damage: str
) -> None:
    file, aside = file_of(settings), file_of(settings).with_suffix(".aside")
    file.rename(aside)
    for companion in file.parent.glob(f"{file.name}-*"):
        companion.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage == "no database":
        file.write_bytes(b"no database" * 1000)
    ready = client.get("/readyz")
    reason = "database cannot be reached" if damage == "removed" else f"database: {REPLACED}"
    expected = failure(NotReady, f"Not ready: {reason}.", {"problems": [reason]})
    assert (ready.status_code, ready.json()) == (503, expected)
    if damage == "a folder":
        file.rmdir()
    aside.replace(file)
    assert client.get(GOODS).status_code == 200
    assert client.get("/readyz").status_code == 200


@only_sqlite
def test_nothing_is_written_to_a_file_that_took_the_place_of_ours(
    settings: TestingSettings, client: TestClient, admin: Headers, catalogue: dict[str, Goods]
) -> None:
    assert client.post(GOODS, json=goods_body(), headers=admin).status_code == 201
    file = file_of(settings)
    other = file.with_suffix(".other")
    shutil.copyfile(file, other)
    other.replace(file)
    answer = client.delete(f"{GOODS}/1", headers=admin)
    assert (answer.status_code, answer.json()) == (503, failure(NotReady, f"{REPLACED}."))
    problem = f"database: {REPLACED}"
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        503,
        failure(NotReady, f"Not ready: {problem}.", {"problems": [problem]}),
    )


@only_sqlite
def test_a_writer_that_never_ends(
    settings: TestingSettings, admin: Headers, catalogue: dict[str, Goods], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extensions.database.SQLITE_BUSY_SECONDS", 0.01)
    with TestClient(create_app(settings)) as client, closing(sqlite3.connect(file_of(settings))) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = client.post(GOODS, json=goods_body(), headers=admin)
        assert (answer.status_code, answer.json()) == (503, failure(NotReady))
        assert client.get(GOODS).json()["data"]["total"] == 7
        other.rollback()
        assert client.post(GOODS, json=goods_body(), headers=admin).status_code == 201
