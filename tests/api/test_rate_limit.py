"""The quota of a user and of an address, as clients see it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from api import create_app
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from tests.support.redis_servers import redis_space
from utils.custom_exc import RateLimited

pytestmark = only_sqlite

ROOMS = "/websocketdemo/rooms"
LIMITS = {"rate_per_user": 3, "rate_per_address": 2, "cors_origins": ("https://shop.example.com",)}
limited = pytest.mark.parametrize("settings", [LIMITS], indirect=True)


def ask(client: TestClient, times: int, path: str = ROOMS, **options: Any) -> list[tuple[int, str | None, str | None]]:
    """Status, RateLimit and Retry-After of each answer."""
    answers = [client.get(path, **options) for _ in range(times)]
    return [(a.status_code, a.headers.get("RateLimit"), a.headers.get("Retry-After")) for a in answers]


@limited
def test_an_address_has_a_quota(client: TestClient) -> None:
    assert ask(client, 3) == [
        (200, '"address";r=1;t=30', None),
        (200, '"address";r=0;t=60', None),
        (429, '"address";r=0;t=60', "30"),
    ]
    refused = client.get(ROOMS)
    assert refused.json() == failure(RateLimited)
    assert refused.headers["RateLimit-Policy"] == '"address";q=2;w=60'
    assert "X-Request-ID" in refused.headers


@limited
def test_a_user_has_another(client: TestClient, customer: dict[str, str], tokens: Tokens) -> None:
    assert [status for status, _, _ in ask(client, 3)] == [200, 200, 429]
    assert ask(client, 4, headers=customer) == [
        (200, '"user";r=2;t=20', None),
        (200, '"user";r=1;t=40', None),
        (200, '"user";r=0;t=60', None),
        (429, '"user";r=0;t=60', "20"),
    ]
    again = {"Authorization": f"bearer  {tokens.sign('bob', frozenset(), 5)}"}
    assert [status for status, _, _ in ask(client, 1, headers=again)] == [429]
    other = {"Authorization": f"Bearer {tokens.sign('小林', frozenset(), 5)}"}
    assert ask(client, 1, headers=other) == [(200, '"user";r=2;t=20', None)]


@limited
def test_a_token_that_is_not_valid_counts_for_the_address(client: TestClient) -> None:
    forged = {"Authorization": "Bearer forged"}
    orders = "/shopdemo/orders"
    assert [status for status, _, _ in ask(client, 3, orders, headers=forged)] == [401, 401, 429]


@limited
def test_errors_count_and_tell_too(client: TestClient) -> None:
    assert ask(client, 3, "/nowhere") == [
        (404, '"address";r=1;t=30', None),
        (404, '"address";r=0;t=60', None),
        (429, '"address";r=0;t=60', "30"),
    ]


@limited
def test_a_socket_counts_when_it_is_opened(client: TestClient) -> None:
    for left in ('"address";r=1;t=30', '"address";r=0;t=60'):
        with client.websocket_connect("/websocketdemo/ws/User1") as socket:
            socket.send_json({"message": "hi"})
        assert (b"ratelimit", left.encode()) in socket.extra_headers  # type: ignore[operator]
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/websocketdemo/ws/User1"):
        raise AssertionError("it was opened")
    assert refused.value.status_code == 429
    assert refused.value.json() == failure(RateLimited)
    assert refused.value.headers["Retry-After"] == "30"
    assert "X-Request-ID" in refused.value.headers


@limited
def test_who_watches_is_not_counted(client: TestClient) -> None:
    assert ask(client, 5, "/healthz") == [(200, None, None)] * 5
    assert {status for status, _, _ in ask(client, 5, "/readyz")} == {200}
    assert {status for status, _, _ in ask(client, 5, "/metrics")} == {200}


@limited
def test_pages_of_other_origins_can_read_it(client: TestClient) -> None:
    origin = {"Origin": "https://shop.example.com"}
    for status in (200, 200, 429):
        answer = client.get(ROOMS, headers=origin)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(
            answer.headers["Access-Control-Expose-Headers"].split(", ")
        )
    preflight = client.options(ROOMS, headers={**origin, "Access-Control-Request-Method": "GET"})
    assert preflight.status_code == 200


@limited
def test_what_a_request_needs_of_this_process_counts_once(client: TestClient, customer: dict[str, str]) -> None:
    """Paying asks the gateway in the same process, and the gateway tells the shop."""
    answer = client.post("/shopdemo/orders/1/pay", headers=customer)
    assert (answer.status_code, answer.headers["RateLimit"]) == (404, '"user";r=2;t=20')


@pytest.mark.parametrize("settings", [{"rate_per_user": 3}], indirect=True)
def test_one_quota_may_do_without_the_other(client: TestClient, customer: dict[str, str]) -> None:
    assert ask(client, 5) == [(200, None, None)] * 5
    assert ask(client, 1, headers=customer) == [(200, '"user";r=2;t=20', None)]


def test_there_is_no_quota_by_default(client: TestClient) -> None:
    assert ask(client, 5) == [(200, None, None)] * 5


@pytest.fixture
def two_workers(settings: TestingSettings, tmp_path: Path) -> Iterator[list[TestClient]]:
    with redis_space() as url:
        shared = settings.model_copy(update={"broker_url": url, "rate_per_address": 5})
        with TestClient(create_app(shared)) as one, TestClient(create_app(shared)) as other:
            yield [one, other]


@pytest.mark.redis
def test_all_workers_count_together(two_workers: list[TestClient]) -> None:
    statuses = [client.get(ROOMS).status_code for _ in range(4) for client in two_workers]
    assert statuses == [200] * 5 + [429] * 3
