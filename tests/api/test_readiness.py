"""Readiness is told to the metrics too, whether or not anybody asks for it."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import create_app, health
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.metrics import Metrics
from tests.support.processes import PATIENCE, wait_until
from utils.custom_exc import NotReady

STATUSES = ("ready", "degraded", "unready")


class Lamp:
    """Something that the service looks at."""

    def __init__(self, *, essential: bool) -> None:
        self.essential = essential
        self.is_out = False

    async def check(self) -> None:
        if self.is_out:
            raise NotReady


def workers(metrics: Metrics) -> dict[str, float]:
    """How many there are of each status."""
    return {status: metrics.value("service_readiness", status=status) for status in STATUSES}


@only_sqlite
@pytest.mark.anyio
@pytest.mark.parametrize(("essential", "status"), [(True, "unready"), (False, "degraded")])
async def test_a_worker_counts_where_it_is(
    async_client: httpx.AsyncClient, app: FastAPI, essential: bool, status: str
) -> None:
    async def more() -> dict[str, float]:
        now = workers(Metrics((await async_client.get("/metrics")).text))
        return {name: number - before[name] for name, number in now.items() if number != before[name]}

    before = workers(Metrics((await async_client.get("/metrics")).text))
    lamp = app.state.resources["lamp"] = Lamp(essential=essential)
    watch = health.Watch(app.state)
    for is_out, expected in ((False, "ready"), (True, status), (True, status), (False, "ready")):
        lamp.is_out = is_out
        await watch.look()
        assert await more() == {expected: 1}
    watch.tell(None)
    assert await more() == {}


@only_sqlite
def test_it_is_looked_at_even_if_nobody_asks(settings: TestingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.05)
    app = create_app(settings)
    with TestClient(app) as client:
        before = workers(Metrics.of(client.get))["unready"]
        app.state.resources["lamp"] = lamp = Lamp(essential=True)
        for is_out in (True, False, True):
            lamp.is_out = is_out
            wait_until(
                lambda: workers(Metrics.of(client.get))["unready"] == before + lamp.is_out, PATIENCE, "nobody looks"
            )
    with TestClient(app) as client:
        assert workers(Metrics.of(client.get))["unready"] == before, "it has ended"
