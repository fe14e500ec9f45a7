"""Administrators: there always is one, and whoever is none any more changes nothing."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from api.accounts.errors import OwnAccessKept, PasswordWrong
from extensions.security import Tokens
from tests.support.accounts import OTHER_PASSWORD, PASSWORD, bearer, log_in, register, try_login, user_answer
from tests.support.envelopes import failure, success
from utils.custom_exc import Forbidden

Headers = dict[str, str]

USERS = "/accounts/users"


def no_administrator() -> dict[str, Any]:
    return failure(Forbidden, "You are no administrator any more; log in again to see what you may do.")


def test_there_always_is_an_administrator(client: TestClient, admin: Headers) -> None:
    ids = {name: register(client, name) for name in ("anna", "bert")}
    for user_id in ids.values():
        client.patch(f"{USERS}/{user_id}", headers=admin, json={"roles": ["admin"]})
    headers = {name: bearer(log_in(client, name)["access_token"]) for name in ids}
    changes: list[dict[str, Any]] = [{"roles": []}, {"is_active": False}, {"roles": ["push"], "is_active": True}]
    for change in changes:
        answer = client.patch(f"{USERS}/{ids['anna']}", headers=headers["anna"], json=change)
        assert (answer.status_code, answer.json()) == (409, failure(OwnAccessKept))
    same = client.patch(f"{USERS}/{ids['anna']}", headers=headers["anna"], json={"roles": ["admin", "push"]})
    assert same.status_code == 200
    assert client.patch(f"{USERS}/{ids['bert']}", headers=headers["anna"], json={"roles": []}).status_code == 200
    answer = client.patch(f"{USERS}/{ids['anna']}", headers=headers["bert"], json={"roles": []})
    assert (answer.status_code, answer.json()) == (403, no_administrator())


@pytest.mark.anyio
async def test_two_administrators_cannot_take_the_role_from_each_other(
    async_client: httpx.AsyncClient, admin: Headers, tokens: Tokens
) -> None:
    headers, ids = [], []
    for name in ("anna", "bert"):
        answer = await async_client.post(USERS, json={"username": name, "password": PASSWORD})
        ids.append(answer.json()["data"]["id"])
        await async_client.patch(f"{USERS}/{ids[-1]}", headers=admin, json={"roles": ["admin"]})
        headers.append(bearer(tokens.sign(name, frozenset({"admin"}), 5)))
    answers = await asyncio.gather(
        *(
            async_client.patch(f"{USERS}/{other}", headers=own, json={"roles": []})
            for own, other in zip(headers, reversed(ids), strict=True)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 403]


@pytest.mark.parametrize(
    ("taken", "roles", "is_active"),
    [
        ({"roles": []}, (), True),
        ({"is_active": False}, ("admin",), False),
        ({"roles": ["push"], "is_active": False}, ("push",), False),
    ],
)
def test_who_is_no_administrator_any_more_makes_nobody_one(
    client: TestClient, admin: Headers, taken: dict[str, Any], roles: tuple[str, ...], is_active: bool
) -> None:
    ids = {name: register(client, name) for name in ("anna", "puppet")}
    client.patch(f"{USERS}/{ids['anna']}", headers=admin, json={"roles": ["admin"]})
    anna = bearer(log_in(client, "anna")["access_token"])
    client.patch(f"{USERS}/{ids['anna']}", headers=admin, json=taken)
    for name in ("anna", "puppet", "nobody"):
        for change in ({"roles": ["admin"], "is_active": True}, {"roles": ["admin"]}, {"is_active": True}, {}):
            answer = client.patch(f"{USERS}/{ids.get(name, 10**9)}", headers=anna, json=change)
            assert (answer.status_code, answer.json()) == (403, no_administrator())
    for name, shown in (
        ("anna", user_answer(ids["anna"], "anna", roles, is_active=is_active)),
        ("puppet", user_answer(ids["puppet"], "puppet")),
    ):
        assert client.get(f"{USERS}/{ids[name]}", headers=admin).json() == success(shown)


def test_a_token_of_the_command_line_is_no_way_around_an_account(client: TestClient, tokens: Tokens) -> None:
    user_id = register(client, "anna")
    of_anna = bearer(tokens.sign("ANNA", frozenset({"admin"}), 5))
    answer = client.patch(f"{USERS}/{user_id}", headers=of_anna, json={"roles": ["admin"]})
    assert (answer.status_code, answer.json()) == (403, no_administrator())


def test_who_is_blocked_gets_no_other_password(client: TestClient, admin: Headers) -> None:
    user_id = register(client, "anna")
    anna = bearer(log_in(client, "anna")["access_token"])
    client.patch(f"{USERS}/{user_id}", headers=admin, json={"is_active": False})
    change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    answer = client.put(f"{USERS}/me/password", headers=anna, json=change)
    assert (answer.status_code, answer.json()) == (403, failure(PasswordWrong))
    client.patch(f"{USERS}/{user_id}", headers=admin, json={"is_active": True})
    assert try_login(client, "anna").status_code == 200
