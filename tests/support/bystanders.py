"""People who want one thing of each kind of a service, all at once, while something that it needs is away."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from api.shopdemo.schemas import Goods
from api.websocketdemo.errors import NotStored
from extensions.security import Tokens
from tests.support.chat_clients import Member
from tests.support.envelopes import failure, success
from tests.support.processes import LOOK_SECONDS, PATIENCE, Process, environment_of
from tests.support.shopping import ORDERS, Headers, items
from utils.custom_exc import NotReady, ServiceError

LONGEST_SECONDS = 20.0  # for any answer, whatever is away: docs/faults.md promises less
AGAIN_SECONDS = "2"  # what Retry-After says
READS = frozenset({"goods", "rooms"})
WRITES = frozenset({"order", "cart", "push"})
CHECKED = ["database", "broker", "pictures", "schema"]
READY = success({"status": "ready", "checks": CHECKED, "problems": []})


class Answer(NamedTuple):
    """What somebody got."""

    status: int
    retry_after: str | None
    body: Any


class Bystanders:
    """Each look asks for everything once; orders have a key each, and are remembered."""

    def __init__(self, service: Process, tokens: Tokens, goods: Goods) -> None:
        self._service = service
        self._goods = goods
        self._headers: Headers = {"Authorization": f"Bearer {tokens.sign('alice', frozenset({'admin'}), 3600)}"}
        self.ordered: dict[str, int | None] = {}  # the id of what was answered with 201, by key
        self.told: list[str] = []  # what was said in the room and answered with 200

    async def look(self, without: Collection[str] = ()) -> dict[str, Answer]:
        """What each of them gets, but those who are left out because they would wait for long; a hang is a failure."""
        key = f"key-{len(self.ordered)}"
        self.ordered[key] = None
        news = f"news {key}"
        goods = self._goods.id
        quantity = {"quantity": 1 + len(self.ordered) % 2}
        async with self._client() as client:
            kinds = {
                "alive": client.get("/healthz"),
                "page": client.get("/websocketdemo/"),
                "ready": client.get("/readyz"),
                "goods": client.get(f"/shopdemo/goods/{goods}"),
                "rooms": client.get("/websocketdemo/rooms"),
                "order": self._order(client, key),
                "cart": client.put(f"/shopdemo/cart/items/{goods}", json=quantity),
                "push": client.post("/websocketdemo/push", json={"room": "lobby", "message": news}),
            }
            for kind in without:
                kinds.pop(kind).close()
            got = dict(zip(kinds, map(_answer, await asyncio.gather(*kinds.values())), strict=True))
        if got["order"].status == 201:
            self.ordered[key] = got["order"].body["data"]["id"]
        if got["push"].status == 200:
            self.told.append(news)
        return got

    async def order_again(self) -> None:
        """Send all orders anew, with their keys: those that were answered are answered the same."""
        async with self._client() as client:
            for key, id_ in self.ordered.items():
                answer = _answer(await self._order(client, key))
                assert answer.status == 201, answer
                assert id_ in (None, answer.body["data"]["id"])
                self.ordered[key] = answer.body["data"]["id"]

    async def until_ready(self) -> None:
        """Wait until the service says that it has all it needs again."""
        async with asyncio.timeout(PATIENCE), self._client() as client:
            while (await client.get("/readyz")).json() != READY:  # noqa: ASYNC110  (it tells nobody)
                await asyncio.sleep(LOOK_SECONDS)

    async def upload(self, file: bytes) -> Answer:
        async with self._client() as client:
            path = f"/shopdemo/goods/{self._goods.id}/pictures"
            return _answer(await client.post(path, files={"file": ("picture", file)}))

    def _client(self) -> httpx2.AsyncClient:
        address = f"http://{self._service.address}"
        return httpx2.AsyncClient(base_url=address, headers=self._headers, timeout=LONGEST_SECONDS, trust_env=False)

    async def _order(self, client: httpx2.AsyncClient, key: str) -> httpx2.Response:
        return await client.post(ORDERS, json=items((self._goods, 1)), headers={"Idempotency-Key": key})


def _answer(response: httpx2.Response) -> Answer:
    is_json = response.headers["content-type"] == "application/json"
    return Answer(response.status_code, response.headers.get("retry-after"), response.json() if is_json else None)


def fault_environment(database_url: str, broker_url: str, folder: Path) -> dict[str, str]:
    """Shop and chat, which write to their log what happens to them."""
    return environment_of(
        "shopdemo,websocketdemo",
        database_url,
        broker_url,
        APP_PICTURES_DIR=str(folder / "pictures"),
        APP_LOG_LEVEL="INFO",
        APP_ACCESS_LOG="false",
    )


async def until_said(chatter: Member) -> None:
    """Try until something is acknowledged."""
    async with asyncio.timeout(PATIENCE):
        while not await chatter.say():  # noqa: ASYNC110  (it is tried again)
            await asyncio.sleep(LOOK_SECONDS)


def all_is_well(got: dict[str, Answer]) -> None:
    assert {kind: answer for kind, answer in got.items() if answer.status not in (200, 201)} == {}
    assert got["ready"].body == READY


def are_refused(got: dict[str, Answer], kinds: Collection[str], problem: str | None) -> None:
    """These kinds, and no others, get a clear 503 that says when to come again; readiness names the problem."""
    refused = {kind: answer for kind, answer in got.items() if answer.status not in (200, 201)}
    errors: dict[str, type[ServiceError]] = {"push": NotStored}
    expected = {kind: Answer(503, AGAIN_SECONDS, failure(errors.get(kind, NotReady))) for kind in kinds}
    if problem:
        body = failure(NotReady, f"Not ready: {problem}.", {"problems": [problem]})
        expected["ready"] = Answer(503, AGAIN_SECONDS, body)
    assert refused == expected
