"""Logging in, going on, logging out: what a token is good for, and how often."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Literal

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from api.accounts.database import SessionRow, UserRow
from api.accounts.errors import LoginFailed, RefreshTokenInvalid
from api.accounts.passwords import Passwords
from api.accounts.tokens.dependencies import open_session_store
from api.accounts.tokens.sessions import NewSession
from api.accounts.tokens.store import MAX_SESSIONS
from api.accounts.users.store import UserStore
from extensions.database import connect
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.accounts import OTHER_PASSWORD, PASSWORD, bearer, log_in, refresh, register, try_login
from tests.support.databases import only_sqlite, run
from tests.support.envelopes import failure, success
from utils.fields import utc_now

Headers = dict[str, str]

DAY = 24 * 3600
AT_ONCE = 20


def revoke(client: TestClient, pair: dict[str, Any]) -> Any:
    return client.post("/accounts/token/revoke", json={"refresh_token": pair["refresh_token"]})


async def count_sessions(settings: TestingSettings) -> int:
    database = await connect(settings)
    try:
        record = await database.fetch_one(select(func.count().label("number")).select_from(SessionRow))
        return int(record["number"]) if record else 0
    finally:
        await database.close()


async def change_row(settings: TestingSettings, table: type[Any], **values: Any) -> None:
    database = await connect(settings)
    try:
        async with database.transaction() as connection:
            await connection.execute(update(table).values(values))
    finally:
        await database.close()


# -- logging in -------------------------------------------------------------------------------------------------------


def test_a_login_answers_for_clients_of_ours_and_of_oauth(client: TestClient, tokens: Tokens) -> None:
    register(client, "爱丽丝")
    answer = try_login(client, "爱丽丝")
    pair = answer.json()["data"]
    assert answer.status_code == 200
    assert answer.json() == {
        **success(
            {
                "access_token": pair["access_token"],
                "token_type": "bearer",
                "expires_in": 15 * 60,
                "refresh_token": pair["refresh_token"],
                "refresh_expires_in": 30 * DAY,
            }
        ),
        "access_token": pair["access_token"],
        "token_type": "bearer",
    }
    assert list(answer.json()) == ["code", "message", "data", "access_token", "token_type"]
    assert answer.headers["Cache-Control"] == "no-store"
    user = tokens.verify(pair["access_token"])
    assert (user.name, user.roles) == ("爱丽丝", frozenset())


@pytest.mark.parametrize("name", ["alice", "ALICE", "ａlice"])
def test_names_log_in_whatever_their_case_and_tokens_have_the_registered_one(
    client: TestClient, tokens: Tokens, name: str
) -> None:
    register(client, "Alice")
    assert tokens.verify(log_in(client, name)["access_token"]).name == "Alice"


@only_sqlite
def test_a_password_is_the_same_from_every_keyboard(client: TestClient) -> None:
    register(client, "alice", "quatre théières sous un prunier")
    log_in(client, "alice", "quatre the\u0301ie\u0300res sous un prunier")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", OTHER_PASSWORD),
        ("alice", PASSWORD.upper()),
        ("alice", f"{PASSWORD} "),
        ("alice", f"{PASSWORD}\0"),
        ("alice", "x" * 10_000),
        ("nobody", PASSWORD),
        ("ali\0ce", PASSWORD),
        ("\ud800lice", PASSWORD),
        ("a" * 10_000, PASSWORD),
        ("%", PASSWORD),
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(client: TestClient, name: str, password: str) -> None:
    register(client, "alice")
    form = f"username={_quoted(name)}&password={_quoted(password)}"
    answer = client.post("/accounts/token", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.json()) == (401, failure(LoginFailed))
    assert answer.headers["WWW-Authenticate"] == "Bearer"


class CountingHasher(PasswordHasher):
    """Notes what is compared."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.compared: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - its name there
        self.compared.append(str(hash).rpartition("$")[0].rpartition("$")[0])
        return super().verify(hash, password)


def test_whatever_is_wrong_the_work_is_the_same(client: TestClient, app: FastAPI, admin: Headers) -> None:
    hasher = CountingHasher()
    with ThreadPoolExecutor(1) as threads:
        app.state.passwords = Passwords(hasher, 15, threads, threads)
        register(client, "known")
        blocked = register(client, "blocked")
        assert client.patch(f"/accounts/users/{blocked}", headers=admin, json={"is_active": False}).status_code == 200
        for name, password in (
            ("known", OTHER_PASSWORD),
            ("blocked", PASSWORD),
            ("unknown", PASSWORD),
            ("no\0name", PASSWORD),
            ("x" * 1000, PASSWORD),
        ):
            answer = try_login(client, name, password)
            assert (answer.status_code, answer.json()) == (401, failure(LoginFailed))
    assert hasher.compared == ["$argon2id$v=19$m=8,t=1,p=1"] * 5


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("settings", [{"token_minutes": 3, "session_days": 2}], indirect=True)
@only_sqlite
def test_lifetimes_are_settings(client: TestClient) -> None:
    register(client, "alice")
    pair = log_in(client, "alice")
    assert (pair["expires_in"], pair["refresh_expires_in"]) == (180, 2 * DAY)


def test_an_outdated_hash_is_made_anew_at_login(client: TestClient, settings: TestingSettings) -> None:
    register(client, "alice")
    hasher = client.app.state.passwords._hasher  # type: ignore[attr-defined]
    old = type(hasher)(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    run(change_row(settings, UserRow, password_hash=old))
    log_in(client, "alice")
    known = run(_password_hash(settings))
    assert known != old
    assert not hasher.check_needs_rehash(known)
    log_in(client, "alice")
    assert run(_password_hash(settings)) == known


async def _password_hash(settings: TestingSettings) -> str:
    database = await connect(settings)
    try:
        record = await database.fetch_one(select(UserRow.password_hash))
        return str(record["password_hash"]) if record else ""
    finally:
        await database.close()


def test_the_oldest_of_too_many_logins_goes(client: TestClient, settings: TestingSettings) -> None:
    register(client, "alice")
    first, second = log_in(client, "alice"), log_in(client, "alice")
    for _ in range(MAX_SESSIONS - 1):
        log_in(client, "alice")
    assert run(count_sessions(settings)) == MAX_SESSIONS
    assert refresh(client, first).status_code == 401
    assert refresh(client, second).status_code == 200


@pytest.mark.anyio
async def test_a_password_that_was_changed_meanwhile_begins_no_login(
    async_client: httpx.AsyncClient, app: FastAPI, settings: TestingSettings
) -> None:
    await async_client.post("/accounts/users", json={"username": "alice", "password": PASSWORD})
    known = (await UserStore(app.state.database).credentials("alice")) or pytest.fail("she has just registered")
    now = utc_now()
    session = NewSession("id", "hash", now, now + timedelta(days=1))
    for changes in ({"password_hash": "another"}, {"password_hash": known.password_hash, "is_active": False}):
        await change_row(settings, UserRow, **changes)
        async with open_session_store(app.state.database) as store:
            assert await store.start(known.user_id, known.password_hash, session) is None
    assert await count_sessions(settings) == 0


# -- going on ---------------------------------------------------------------------------------------------------------


def test_a_login_goes_on_with_another_token_each_time(client: TestClient, tokens: Tokens) -> None:
    register(client, "alice")
    pair = log_in(client, "alice")
    seen = {pair["refresh_token"]}
    for _ in range(3):
        answer = refresh(client, pair)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json()["access_token"] == answer.json()["data"]["access_token"]
        assert answer.json()["data"]["refresh_expires_in"] <= pair["refresh_expires_in"]
        pair = answer.json()["data"]
        assert tokens.verify(pair["access_token"]).name == "alice"
        seen.add(pair["refresh_token"])
    assert len(seen) == 4


@pytest.mark.parametrize("use", [refresh, revoke])
def test_a_token_that_was_used_ends_the_login(client: TestClient, use: Any) -> None:
    register(client, "alice")
    other = log_in(client, "alice")
    stolen = log_in(client, "alice")
    thiefs = refresh(client, stolen).json()["data"]
    answer = use(client, stolen)
    assert (answer.status_code, answer.json()) == (401, failure(RefreshTokenInvalid))
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert refresh(client, thiefs).status_code == 401
    assert refresh(client, other).status_code == 200, "another login is another family"


@pytest.mark.parametrize("token", ["", ".", "unknown", "a.b", "..", "x" * 200, "无.无"])
def test_what_is_no_refresh_token(client: TestClient, token: str) -> None:
    for use in (refresh, revoke):
        answer = use(client, {"refresh_token": token})
        assert (answer.status_code, answer.json()) == (401, failure(RefreshTokenInvalid))


@only_sqlite
def test_neither_token_is_the_other(client: TestClient) -> None:
    register(client, "alice")
    pair = log_in(client, "alice")
    assert client.get("/accounts/users/me", headers=bearer(pair["refresh_token"])).status_code == 401
    assert refresh(client, {"refresh_token": pair["access_token"][:200]}).status_code == 401
    assert client.post("/accounts/token/refresh", json={"refresh_token": "x" * 201}).status_code == 422
    assert client.post("/accounts/token/refresh", json={"refresh_token": "a\0"}).status_code == 422


def test_a_login_ends_however_often_it_is_refreshed(client: TestClient, settings: TestingSettings) -> None:
    register(client, "alice")
    pair = log_in(client, "alice")
    later = utc_now() + timedelta(seconds=100)
    run(change_row(settings, SessionRow, expires_at=later))
    pair = refresh(client, pair).json()["data"]
    assert 0 < pair["refresh_expires_in"] < 100
    run(change_row(settings, SessionRow, expires_at=utc_now()))
    assert refresh(client, pair).status_code == 401


@pytest.mark.anyio
async def test_of_many_who_refresh_at_once_one_gets_the_pair(
    async_client: httpx.AsyncClient, settings: TestingSettings
) -> None:
    known = {"username": "alice", "password": PASSWORD}
    await async_client.post("/accounts/users", json=known)
    token = (await async_client.post("/accounts/token", data=known)).json()["data"]["refresh_token"]

    async def go_on() -> int:
        answer = await async_client.post("/accounts/token/refresh", json={"refresh_token": token})
        return answer.status_code

    statuses = await asyncio.gather(*(go_on() for _ in range(AT_ONCE)))
    assert sorted(statuses) == [200, *[401] * (AT_ONCE - 1)]
    assert await count_sessions(settings) == 0, "the others had a used token"


# -- logging out ------------------------------------------------------------------------------------------------------


def test_a_login_is_over_when_it_is_revoked(client: TestClient) -> None:
    register(client, "alice")
    pair, other = log_in(client, "alice"), log_in(client, "alice")
    answer = revoke(client, pair)
    assert (answer.status_code, answer.content) == (204, b"")
    for use in (refresh, revoke):
        again = use(client, pair)
        assert (again.status_code, again.json()) == (401, failure(RefreshTokenInvalid))
    assert refresh(client, other).status_code == 200


def test_what_is_over_is_forgotten(client: TestClient, app: FastAPI, settings: TestingSettings) -> None:
    register(client, "alice")
    log_in(client, "alice")
    client.portal.call(app.state.accounts.prune)  # type: ignore[union-attr]
    assert run(count_sessions(settings)) == 1
    run(change_row(settings, SessionRow, expires_at=utc_now()))
    client.portal.call(app.state.accounts.prune)  # type: ignore[union-attr]
    assert run(count_sessions(settings)) == 0
