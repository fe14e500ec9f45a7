"""Accounts, shop and chat as three services with a database each behind one proxy: they share only the token."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from websockets.sync.client import connect

from commands.tables import upgrade
from settings.testing_config import TestingSettings
from tests.support.accounts import PASSWORD
from tests.support.catalogue import fill
from tests.support.databases import run, sqlite_url
from tests.support.envelopes import success
from tests.support.processes import PATIENCE, Process, environment_of, free_port, services, wait_until
from tests.support.proxies import nginx
from tests.support.shopping import CART, GOODS, ORDERS, items

PROJECTS = ("paymentdemo", "accounts", "shopdemo", "websocketdemo")  # the shop has to know where its gateway is

pytestmark = pytest.mark.slow


class Town(NamedTuple):
    """The services by name, and the address at which all of them are."""

    services: dict[str, Process]
    address: str


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Each sub-project alone, with its tables only."""
    port = free_port()
    settings = {
        "APP_SECRET_KEY": "the-key-of-all-services-of-this-test",
        "APP_PAYMENT_CALLBACK_URL": f"http://127.0.0.1:{port}/shopdemo/payments/webhook",
    }
    found: dict[str, Process] = {}
    with ExitStack() as stack:
        for project in PROJECTS:
            home = tmp_path / project
            home.mkdir()
            url = sqlite_url(home / "own.db")
            own = TestingSettings(database_url=url, projects=(project,))
            run(upgrade(own))
            if project == "shopdemo":
                run(fill(own))
                settings["APP_PAYMENT_URL"] = f"http://{found['paymentdemo'].address}/paymentdemo"
            environment = environment_of(project, url, APP_PICTURES_DIR=str(home / "pictures"), **settings)
            (found[project],) = stack.enter_context(services(1, environment, home))
        public = {f"/{name}/": service for name, service in found.items() if name != "paymentdemo"}
        stack.enter_context(nginx(port, public, tmp_path / "nginx"))
        yield Town(found, f"127.0.0.1:{port}")


@pytest.fixture
def client(town: Town) -> Iterator[httpx2.Client]:
    """A browser at the proxy."""
    with httpx2.Client(base_url=f"http://{town.address}", trust_env=False, timeout=PATIENCE) as client:
        yield client


def log_in(client: httpx2.Client, name: str) -> dict[str, str]:
    """Register and log in; answers the headers of the new user."""
    made = client.post("/accounts/users", json={"username": name, "password": PASSWORD})
    assert made.status_code == 201, made.text
    pair = client.post("/accounts/token", data={"username": name, "password": PASSWORD}).json()["data"]
    return {"Authorization": f"Bearer {pair['access_token']}"}


def test_one_token_buys_in_the_shop_and_speaks_in_the_chat(town: Town, client: httpx2.Client) -> None:
    tea = client.get(GOODS, params={"q": "Longjing", "sort": "price"}).json()["data"]["items"][0]
    assert client.put(f"{CART}/items/{tea['id']}", json={"quantity": 2}).status_code == 200
    lin, bob = log_in(client, "林小雨"), log_in(client, "bob")
    in_cart = client.get(CART, headers=lin).json()["data"]["items"]
    assert [(line["goods_id"], line["quantity"]) for line in in_cart] == [(tea["id"], 2)]

    placed = client.post(ORDERS, json=items((tea["id"], 2)), headers={**lin, "Idempotency-Key": "1"})
    assert placed.status_code == 201
    order = placed.headers["Location"]
    paid = client.post(f"{order}/pay", headers=lin)
    assert (paid.status_code, paid.json()["data"]["status"]) == (200, "paid")
    after = client.get(f"{GOODS}/{tea['id']}").json()["data"]
    assert (after["stock"], after["sales"]) == (tea["stock"] - 2, tea["sales"] + 2)
    assert client.get(order, headers=bob).status_code == 404

    later = client.post(ORDERS, json=items((tea["id"], 1)), headers=lin).headers["Location"]
    assert client.post(f"{later}/pay", json={"method": "test-card-slow"}, headers=lin).status_code == 202
    wait_until(lambda: status_of(client, later, lin) == "paid", PATIENCE, "the webhook has not arrived")

    token = lin["Authorization"].split()[1]
    with connect(f"ws://{town.address}/websocketdemo/ws/lobby/somebody?token={token}", proxy=None) as socket:
        assert hear(socket)["user"] == "林小雨"
        socket.send('{"message": "买到了！"}')
        said = hear(socket)
    assert (said["type"], said["user"], said["message"]) == ("message", "林小雨", "买到了！")

    town.services["accounts"].kill()
    assert client.get(order, headers=lin).json() == success(paid.json()["data"])


def status_of(client: httpx2.Client, order: str, user: dict[str, str]) -> str:
    status: str = client.get(order, headers=user).json()["data"]["status"]
    return status


def hear(socket: Any) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE))
    return frame
