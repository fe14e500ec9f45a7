"""Shop and gateway as two servers with a database each, over real sockets."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from api import create_app
from api.shopdemo.payments.errors import GatewayAway
from api.shopdemo.schemas import Goods
from settings.testing_config import TestingSettings
from tests.support.databases import SqliteTemplate
from tests.support.envelopes import failure, success
from tests.support.processes import Process, environment_of, services, wait_until
from tests.support.shopping import ORDERS, Headers, items, order_answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE = 20.0

Open = Callable[[str], Any]


@pytest.fixture
def gateway(sqlite_template: SqliteTemplate, tmp_path: Path) -> Iterator[Process]:
    """The gateway alone."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    with sqlite_template.copy(folder) as url:
        environment = environment_of("paymentdemo", url, APP_PAYMENT_SECRET=SECRET)
        environment["APP_LOG_LEVEL"] = "ERROR"  # a webhook that does not arrive is a warning
        with services(1, environment, folder) as (process,):
            yield process


@contextmanager
def shop_of(settings: TestingSettings, gateway: Process) -> Iterator[httpx2.Client]:
    """The shop alone, in a thread of this process, with a port that the gateway reaches."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        elsewhere = {
            "projects": ("shopdemo",),
            "payment_url": f"http://{gateway.address}/paymentdemo",
            "payment_callback_url": f"{address}/shopdemo/payments/webhook",
            "payment_secret": SECRET,
        }
        app = create_app(TestingSettings(**{**settings.model_dump(), **elsewhere}))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx2.Client(base_url=address, trust_env=False, timeout=PATIENCE) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.slow
def test_shop_and_gateway_apart(
    settings: TestingSettings, gateway: Process, customer: Headers, catalogue: dict[str, Goods]
) -> None:
    tea = catalogue["TEA-1"]
    with shop_of(settings, gateway) as shop:

        def order() -> str:
            placed = shop.post(ORDERS, json=items((tea, 1)), headers=customer)
            return f"{ORDERS}/{placed.json()['data']['id']}"

        def pay(order: str, method: str) -> Any:
            return shop.post(f"{order}/pay", json={"method": method}, headers=customer)

        paid = pay(order(), "test-card")
        assert (paid.status_code, paid.json()) == (200, success(order_answer(1, "bob", (tea, 1), status="paid")))
        assert pay(order(), "test-card-declined").status_code == 402
        slow = order()
        assert pay(slow, "test-card-slow").status_code == 202
        expected = success(order_answer(3, "bob", (tea, 1), status="paid"))
        wait_until(lambda: shop.get(slow, headers=customer).json() == expected, PATIENCE, "the webhook has not arrived")
        left = order()
        gateway.kill()
        away = pay(left, "test-card")
        assert (away.status_code, away.json(), away.headers["Retry-After"]) == (503, failure(GatewayAway), "2")
