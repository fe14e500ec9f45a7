"""Backups that are made while a server takes orders, messages and pictures: of one moment, with all from before it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import text

from api.shopdemo.schemas import Goods
from extensions.database import connect
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.chat_clients import Member, history_of, together, within
from tests.support.databases import only_sqlite, sqlite_url
from tests.support.pictures import picture
from tests.support.processes import PATIENCE, ROOT, Process, environment_of, services, wait_until
from tests.support.shopping import GOODS, ORDERS, Headers, buyer, items, set_stock
from tests.support.stocktaking import Stock, orders_by_key, take_stock

Environment = dict[str, str]
Catalogue = dict[str, Goods]

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.anyio]

PROJECTS = "paymentdemo,shopdemo,websocketdemo"
ROOM = "market"
ORDERS_BETWEEN = 30
BACKUPS = 2
OTHER_OWNERS = 120


class Acknowledged(NamedTuple):
    """What the server had said yes to at one time: ids of orders by key, and of messages by text."""

    orders: dict[str, int]
    messages: dict[str, int]


class Market:
    """People who order, talk and change pictures, as quickly as they are answered."""

    def __init__(self, server: Process, tokens: Tokens, catalogue: Catalogue) -> None:
        self.server = server
        self.orders: dict[str, int] = {}
        self.talker = Member("talker", ROOM, [server], comes_back=False)
        self._tea, self._coffee = catalogue["TEA-1"], catalogue["COF-1"]
        self._buyer, self._admin = buyer(tokens, "buyer"), buyer(tokens, "alice", "admin")
        self._keys = count()

    def acknowledged(self) -> Acknowledged:
        return Acknowledged(dict(self.orders), dict(self.talker.acks))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Business goes on until the block ends, or the server."""
        async with together([self.talker]), httpx.AsyncClient(base_url=f"http://{self.server.address}") as http:
            people = [self._order(http), self._order(http), self._show(http, self._tea), self._show(http, self._coffee)]
            tasks = [asyncio.create_task(work) for work in (*people, self._talk())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in results if isinstance(one, AssertionError)] == []

    async def sells(self, number: int) -> None:
        """So many more orders, and at least one more message."""
        orders, messages = len(self.orders) + number, len(self.talker.acks) + 1

        def are_sold() -> bool:
            return len(self.orders) >= orders and len(self.talker.acks) >= messages

        await asyncio.to_thread(wait_until, are_sold, PATIENCE, "business does not go on")

    def wanted(self) -> list[tuple[Goods, int]]:
        """What every order is of."""
        return [(self._tea, 2), (self._coffee, 1)]

    async def _order(self, http: httpx.AsyncClient) -> None:
        for number in self._keys:
            headers = {**self._buyer, "Idempotency-Key": f"key-{number}"}
            answer = await http.post(ORDERS, json=items(*self.wanted()), headers=headers)
            assert answer.status_code == 201, answer.text
            self.orders[f"key-{number}"] = answer.json()["data"]["id"]

    async def _talk(self) -> None:
        while not self.talker.has_ended:
            await self.talker.say()

    async def _show(self, http: httpx.AsyncClient, goods: Goods) -> None:
        """Put up a new picture, and take down the one before at once: files come and go all the time."""
        before = None
        for shade in count():
            size = (40 + shade % 200, 40 + shade // 200)  # colours may look the same once they are compressed
            files = {"file": ("a.png", picture(size=size), "image/png")}
            answer = await http.post(f"{GOODS}/{goods.id}/pictures", files=files, headers=self._admin)
            assert answer.status_code == 201, answer.text
            if before:
                assert (await http.delete(before, headers=self._admin)).status_code == 204
            before = answer.headers["Location"]


class Place(NamedTuple):
    """Where a backup was restored to."""

    settings: TestingSettings
    environment: Environment


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> Environment:
    return environment_of(PROJECTS, database_url, APP_PICTURES_DIR=str(tmp_path / "pictures"))


@pytest.fixture
def many_pictures(tmp_path: Path) -> None:
    """So many that reading them takes longer than pictures of the market last."""
    for owner in range(100_000, 100_000 + OTHER_OWNERS):
        folder = tmp_path / "pictures" / str(owner)
        folder.mkdir(parents=True)
        for number in range(10):
            (folder / f"{number}.webp").write_bytes(os.urandom(4000))


@pytest.fixture
async def stock(settings: TestingSettings, catalogue: Catalogue) -> dict[int, int]:
    """A shop that does not run out; pieces by goods."""
    database = await connect(settings)
    for sku in ("TEA-1", "COF-1"):
        await set_stock(database, catalogue[sku], 100_000)
    pieces = {goods: found.on_shelf for goods, found in (await take_stock(database)).items()}
    await database.close()
    return pieces


def main(environment: Environment, *arguments: str | Path, status: int = 0) -> str:
    command = [sys.executable, "main.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def restored(backup: Path, environment: Environment) -> Place:
    """In a place of its own, where nothing was before."""
    home = backup.with_suffix(".place")
    settings = TestingSettings(database_url=sqlite_url(home / "shop.db"), pictures_dir=home / "pictures")
    changed = {"APP_DATABASE_URL": settings.database_url, "APP_PICTURES_DIR": str(settings.pictures_dir)}
    main({**environment, **changed}, "restore", backup)
    return Place(settings, {**environment, **changed})


@only_sqlite
@pytest.mark.usefixtures("many_pictures")
async def test_backups_under_load_and_after_kill_9(
    environment: Environment, tmp_path: Path, tokens: Tokens, catalogue: Catalogue, stock: dict[int, int]
) -> None:
    taken: list[tuple[Path, Acknowledged]] = []
    (tmp_path / "again").mkdir()
    with services(1, environment, tmp_path) as (server,):
        market = Market(server, tokens, catalogue)
        async with market.open():
            for number in range(BACKUPS):
                await market.sells(ORDERS_BETWEEN)
                taken.append((tmp_path / f"{number}.tar.gz", market.acknowledged()))
                await asyncio.to_thread(main, environment, "backup", taken[-1][0])
            refused = await asyncio.to_thread(main, environment, "restore", "--force", taken[0][0], status=1)
            assert refused == f"Error: {tmp_path}/test.db is in use: stop the server first.\n"
            await market.sells(ORDERS_BETWEEN)
            server.kill()
    for backup, acknowledged in taken:
        place = restored(backup, environment)
        await nothing_is_missing_or_half(place, acknowledged, market, stock)
    with services(1, place.environment, tmp_path / "again") as (again,):
        await it_serves(again, place, acknowledged, buyer(tokens, "buyer"))


async def nothing_is_missing_or_half(
    place: Place, acknowledged: Acknowledged, market: Market, stock: dict[int, int]
) -> None:
    """Every order has its lines and its reservation, and every picture that is named is there and whole."""
    database = await connect(place.settings)
    try:
        placed = await orders_by_key(database)
        pieces = await take_stock(database)
        async with database.transaction() as connection:
            shown = (await connection.execute(text("SELECT pictures FROM shopdemo_goods"))).scalars().all()
    finally:
        await database.close()
    assert {key: orders[0][0] for key, orders in placed.items() if key in acknowledged.orders} == acknowledged.orders
    assert len(placed) < len(market.orders)  # some came later
    whole = {goods.id: quantity for goods, quantity in market.wanted()}
    assert [orders for orders in placed.values() if len(orders) != 1 or orders[0][1] != whole] == []
    assert {goods: sum(found) for goods, found in pieces.items()} == stock
    assert pieces[market.wanted()[0][0].id] == Stock(stock[market.wanted()[0][0].id] - 2 * len(placed), 2 * len(placed))
    named = [url for row in shown for one in json.loads(row) for url in (one["url"], one["thumbnail_url"])]
    assert len(named) >= 4
    assert [url for url in named if not picture_file(place, url).is_file()] == []


def picture_file(place: Place, url: str) -> Path:
    found = re.fullmatch(rf"{GOODS}/(\d+)/pictures/(.+)", url)
    assert found
    return place.settings.pictures_dir / found[1] / found[2]


async def it_serves(server: Process, place: Place, acknowledged: Acknowledged, headers: Headers) -> None:
    """What was acknowledged is shown, and it goes on from there."""
    history = await history_of(server, ROOM)
    assert [frame["id"] for frame in history] == list(range(1, len(history) + 1))
    ids = {frame["message"]: frame["id"] for frame in history}
    assert {message: ids.get(message) for message in acknowledged.messages} == acknowledged.messages
    async with httpx.AsyncClient(base_url=f"http://{server.address}", headers=headers) as http:
        for order_id in list(acknowledged.orders.values())[-3:]:
            answer = await http.get(f"{ORDERS}/{order_id}")
            assert (answer.status_code, answer.json()["data"]["status"]) == (200, "pending")
        goods: list[dict[str, Any]] = (await http.get(f"{GOODS}?size=100")).json()["data"]["items"]
        for url in (one["url"] for item in goods for one in item["pictures"]):
            assert (await http.get(url)).content == picture_file(place, url).read_bytes()
    next_one = Member("talker", ROOM, [server], comes_back=False)
    async with together([next_one]):
        await within(PATIENCE, next_one.say())
    assert list(next_one.acks.values()) == [len(history) + 1]
