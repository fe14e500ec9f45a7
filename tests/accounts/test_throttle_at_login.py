"""The throttle where people log in, change passwords and register; all workers count together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import create_app
from api.accounts.errors import LoginFailed, PasswordWrong, TooManyAttempts, TooManyRegistrations
from api.accounts.throttle.dependencies import open_throttle_store
from api.accounts.throttle.service import OF_A_NAME_AND_ADDRESS, Throttle
from settings.testing_config import TestingSettings
from tests.support.accounts import OTHER_PASSWORD, PASSWORD, bearer, log_in, register, try_login
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from utils.fields import utc_now

AT_ONCE = 40


def client_at(app: FastAPI, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with app.router.lifespan_context(app), client_at(app, "192.0.2.1") as client:
        yield client


@pytest.mark.parametrize("name", ["alice", "nobody", "no name!"])
def test_too_many_wrong_passwords_lock_the_right_one_out_too(client: TestClient, name: str) -> None:
    register(client, "alice")
    for _ in range(OF_A_NAME_AND_ADDRESS.burst):
        answer = try_login(client, name, OTHER_PASSWORD)
        assert (answer.status_code, answer.json()) == (401, failure(LoginFailed))
    answer = try_login(client, name)
    assert (answer.status_code, answer.json()) == (429, failure(TooManyAttempts))
    assert 55 <= int(answer.headers["Retry-After"]) <= 60
    assert try_login(client, "alice").status_code == (429 if name == "alice" else 200)


@only_sqlite
def test_right_passwords_do_not_count(client: TestClient) -> None:
    register(client, "alice")
    for _ in range(OF_A_NAME_AND_ADDRESS.burst + 5):
        log_in(client, "alice")


def test_wrong_current_passwords_count_as_wrong_logins(client: TestClient) -> None:
    register(client, "alice")
    me = bearer(log_in(client, "alice")["access_token"])
    change = {"current_password": OTHER_PASSWORD, "new_password": "yet another teapot under the tree"}
    for _ in range(OF_A_NAME_AND_ADDRESS.burst):
        answer = client.put("/accounts/users/me/password", headers=me, json=change)
        assert (answer.status_code, answer.json()) == (403, failure(PasswordWrong))
    right = {**change, "current_password": PASSWORD}
    assert client.put("/accounts/users/me/password", headers=me, json=right).status_code == 429
    assert try_login(client, "alice").status_code == 429


@pytest.mark.anyio
@only_sqlite
async def test_who_registers_too_often_is_told_when_to_come_back(app: FastAPI, async_client: httpx.AsyncClient) -> None:
    in_an_hour = utc_now() + timedelta(hours=1)
    throttle = Throttle(partial(open_throttle_store, app.state.database), lambda: in_an_hour)
    await throttle.count_registration("127.0.0.1")
    answer = await async_client.post("/accounts/users", json={"username": "alice", "password": PASSWORD})
    assert (answer.status_code, answer.json()) == (429, failure(TooManyRegistrations))
    assert 40 * 60 <= int(answer.headers["Retry-After"]) <= 45 * 60 + 6


@pytest.mark.anyio
async def test_the_owner_logs_in_while_somebody_elsewhere_tries_again_and_again(settings: TestingSettings) -> None:
    app = create_app(settings)
    known = {"username": "alice", "password": PASSWORD}
    async with running(app) as other, client_at(app, "198.51.100.1") as owner:
        await owner.post("/accounts/users", json=known)

        async def poll() -> list[int]:
            wrong = {**known, "password": OTHER_PASSWORD}
            return [(await other.post("/accounts/token", data=wrong)).status_code for _ in range(5)]

        assert await poll() + await poll() + await poll() == [401] * 10 + [429] * 5
        for _ in range(3):
            assert await poll() == [429] * 5
            assert (await owner.post("/accounts/token", data=known)).status_code == 200


@pytest.mark.anyio
async def test_two_workers_count_together_and_parallel_guesses_too(settings: TestingSettings) -> None:
    known = {"username": "alice", "password": PASSWORD}
    async with running(create_app(settings)) as first, running(create_app(settings)) as second:
        await first.post("/accounts/users", json=known)
        guesses = [
            client.post("/accounts/token", data={**known, "password": f"guess {number}"})
            for number in range(AT_ONCE // 2)
            for client in (first, second)
        ]
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
        assert sorted(statuses) == [401] * OF_A_NAME_AND_ADDRESS.burst + [429] * (AT_ONCE - OF_A_NAME_AND_ADDRESS.burst)
        for client in (first, second):
            assert (await client.post("/accounts/token", data=known)).status_code == 429
