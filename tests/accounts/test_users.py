"""Users: registering, seeing oneself and others, administrators, and names."""

import asyncio
from typing import Any
from unicodedata import normalize

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.accounts.errors import (
    AccountMissing,
    PasswordWrong,
    RefreshTokenInvalid,
    UsernameInvalid,
    UsernameTaken,
    UserNotFound,
)
from api.accounts.names import canonical_name, is_name, name_key
from api.websocketdemo.identity import is_name as is_name_in_chat
from extensions.security import Tokens
from tests.support.accounts import (
    OTHER_PASSWORD,
    PASSWORD,
    bearer,
    log_in,
    refresh,
    register,
    try_login,
    user_answer,
)
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, invalid, success
from utils.custom_exc import Forbidden, NotAuthenticated

Headers = dict[str, str]

USERS = "/accounts/users"
NOBODY = 10**9


@pytest.fixture
def admin(tokens: Tokens) -> Headers:
    """Whoever has a token of the command line, and no account."""
    return bearer(tokens.sign("operator", frozenset({"admin"}), 5))


def name_refused() -> dict[str, Any]:
    wrong = {"loc": ["body", "username"], "message": UsernameInvalid.message, "type": "username"}
    return failure(UsernameInvalid, data={"errors": [wrong]})


# -- registering and oneself ------------------------------------------------------------------------------------------


def test_somebody_registers_and_sees_themselves(client: TestClient) -> None:
    answer = client.post(USERS, json={"username": "爱丽丝", "password": PASSWORD})
    assert (answer.status_code, answer.json()) == (201, success(user_answer(1, "爱丽丝")))
    assert answer.headers["Location"] == f"{USERS}/1"
    me = bearer(log_in(client, "爱丽丝")["access_token"])
    for address in (f"{USERS}/me", f"{USERS}/1"):
        answer = client.get(address, headers=me)
        assert (answer.status_code, answer.json()) == (200, success(user_answer(1, "爱丽丝")))


@pytest.mark.parametrize("name", ["Alice", "alice", "ALICE", "ａｌｉｃｅ"])
def test_a_name_is_taken_whatever_its_case(client: TestClient, name: str) -> None:
    register(client, "aLiCe")
    answer = client.post(USERS, json={"username": name, "password": PASSWORD})
    assert (answer.status_code, answer.json()) == (409, failure(UsernameTaken))


@pytest.mark.parametrize("name", ["al ice", "alice!", "🙂🙂🙂", "<b>a</b>", "a/b", "ﷺ", " alice"])
@only_sqlite
def test_what_is_no_name(client: TestClient, name: str) -> None:
    answer = client.post(USERS, json={"username": name.ljust(3, "!"), "password": PASSWORD})
    assert (answer.status_code, answer.json()) == (422, name_refused())


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"username": "a"}, (("body", "username"), "String should have at least 2 characters", "string_too_short")),
        (
            {"username": "a" * 33},
            (("body", "username"), "String should have at most 32 characters", "string_too_long"),
        ),
        ({"username": "ali\0ce"}, (("body", "username"), "must not contain the NUL character", "value_error")),
        (
            {"password": "a" * 129},
            (("body", "password"), "must have at most 128 characters", "value_error"),
        ),
        ({"password": f"{PASSWORD}\0"}, (("body", "password"), "must not contain the NUL character", "value_error")),
        ({"roles": ["admin"]}, (("body", "roles"), "Extra inputs are not permitted", "extra_forbidden")),
    ],
)
@only_sqlite
def test_what_does_not_fit_is_named_and_never_echoed(
    client: TestClient, change: dict[str, Any], wrong: tuple[tuple[str, ...], str, str]
) -> None:
    answer = client.post(USERS, json={"username": "alice", "password": PASSWORD, **change})
    assert (answer.status_code, answer.json()) == (422, invalid(wrong))
    assert PASSWORD not in answer.text


def test_a_token_without_an_account_is_told_so(client: TestClient, customer: Headers) -> None:
    change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    for answer in (
        client.get(f"{USERS}/me", headers=customer),
        client.put(f"{USERS}/me/password", headers=customer, json=change),
    ):
        assert (answer.status_code, answer.json()) == (404, failure(AccountMissing))


# -- others -----------------------------------------------------------------------------------------------------------


def test_nobody_learns_of_others(client: TestClient) -> None:
    mine, other = register(client, "alice"), register(client, "bob")
    me = bearer(log_in(client, "alice")["access_token"])
    for user_id in (other, NOBODY):
        answer = client.get(f"{USERS}/{user_id}", headers=me)
        assert (answer.status_code, answer.json()) == (403, failure(Forbidden))
    assert client.get(f"{USERS}/{mine}", headers=me).status_code == 200
    for path in (USERS, f"{USERS}/me", f"{USERS}/{mine}"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (401, failure(NotAuthenticated))
    assert client.get(USERS, headers=me).status_code == 403
    assert client.patch(f"{USERS}/{mine}", headers=me, json={"roles": ["admin"]}).status_code == 403


def test_administrators_see_everybody(client: TestClient, admin: Headers) -> None:
    names = ["Anna", "annabell", "Böb_1", "bob-2", "王小明"]
    shown = [user_answer(register(client, name), name) for name in names]

    def listed(**query: Any) -> Any:
        return client.get(USERS, headers=admin, params=query).json()["data"]

    assert listed() == {"items": shown, "total": 5, "page": 1, "size": 20}
    assert listed(size=2, page=2) == {"items": shown[2:4], "total": 5, "page": 2, "size": 2}
    assert listed(page=2**63 - 1, size=100) == {"items": [], "total": 5, "page": 2**63 - 1, "size": 100}
    assert listed(q="ANNA")["items"] == shown[:2]
    assert listed(q="小")["items"] == shown[4:]
    assert listed(q="_")["items"] == [shown[2]]
    assert listed(q="%")["items"] == listed(q="\\")["items"] == []
    assert client.get(f"{USERS}/{shown[4]['id']}", headers=admin).json() == success(shown[4])
    answer = client.get(f"{USERS}/{NOBODY}", headers=admin)
    assert (answer.status_code, answer.json()) == (404, failure(UserNotFound))


def test_roles_are_in_the_next_token(client: TestClient, admin: Headers, tokens: Tokens) -> None:
    user_id = register(client, "alice")
    pair = log_in(client, "alice")
    answer = client.patch(f"{USERS}/{user_id}", headers=admin, json={"roles": ["push", "admin", "push"]})
    assert (answer.status_code, answer.json()) == (200, success(user_answer(user_id, "alice", ("admin", "push"))))
    assert tokens.verify(pair["access_token"]).roles == frozenset()
    assert tokens.verify(refresh(client, pair).json()["access_token"]).roles == {"admin", "push"}
    assert client.patch(f"{USERS}/{user_id}", headers=admin, json={}).json() == answer.json()


@pytest.mark.parametrize(
    "change",
    [
        {"roles": ["Admin"]},
        {"roles": ["a b"]},
        {"roles": ["1st"]},
        {"roles": ["a" * 33]},
        {"roles": None},
        {"roles": ["a"] * 21},
        {"is_active": None},
        {"is_active": 1},
        {"username": "bob"},
    ],
)
@only_sqlite
def test_what_is_no_change(client: TestClient, admin: Headers, change: dict[str, Any]) -> None:
    user_id = register(client, "alice")
    assert client.patch(f"{USERS}/{user_id}", headers=admin, json=change).status_code == 422
    assert client.get(f"{USERS}/{user_id}", headers=admin).json() == success(user_answer(user_id, "alice"))


def test_who_is_blocked_is_out_until_they_are_let_in_again(client: TestClient, admin: Headers) -> None:
    user_id = register(client, "alice")
    pair = log_in(client, "alice")
    blocked = client.patch(f"{USERS}/{user_id}", headers=admin, json={"is_active": False})
    assert blocked.json() == success(user_answer(user_id, "alice", is_active=False))
    assert try_login(client, "alice").status_code == 401
    answer = refresh(client, pair)
    assert (answer.status_code, answer.json()) == (401, failure(RefreshTokenInvalid))
    assert client.get(f"{USERS}/me", headers=bearer(pair["access_token"])).status_code == 200, "for some minutes"
    client.patch(f"{USERS}/{user_id}", headers=admin, json={"is_active": True})
    assert refresh(client, pair).status_code == 401
    assert try_login(client, "alice").status_code == 200


@pytest.mark.anyio
async def test_of_many_who_want_a_name_at_once_one_gets_it(async_client: httpx.AsyncClient) -> None:
    wanted = [{"username": name, "password": PASSWORD} for name in ("alice", "Alice", "ALICE") * 3]
    answers = await asyncio.gather(*(async_client.post(USERS, json=body) for body in wanted))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 8]


# -- changing the password --------------------------------------------------------------------------------------------


def test_a_new_password_ends_every_login(client: TestClient) -> None:
    register(client, "alice")
    pairs = [log_in(client, "alice") for _ in range(2)]
    me = bearer(pairs[0]["access_token"])
    change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    answer = client.put(f"{USERS}/me/password", headers=me, json=change)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [refresh(client, pair).status_code for pair in pairs] == [401, 401]
    assert try_login(client, "alice").status_code == 401
    assert try_login(client, "alice", OTHER_PASSWORD).status_code == 200


def test_a_new_password_needs_the_current_one(client: TestClient) -> None:
    register(client, "alice")
    pair = log_in(client, "alice")
    change = {"current_password": OTHER_PASSWORD, "new_password": OTHER_PASSWORD}
    answer = client.put(f"{USERS}/me/password", headers=bearer(pair["access_token"]), json=change)
    assert (answer.status_code, answer.json()) == (403, failure(PasswordWrong))
    assert refresh(client, pair).status_code == 200
    assert client.put(f"{USERS}/me/password", json=change).status_code == 401


@only_sqlite
def test_nothing_is_judged_for_who_does_not_know_the_current_password(client: TestClient) -> None:
    register(client, "alice")
    me = bearer(log_in(client, "alice")["access_token"])
    change = {"current_password": OTHER_PASSWORD, "new_password": "password" * 3}
    answer = client.put(f"{USERS}/me/password", headers=me, json=change)
    assert (answer.status_code, answer.json()) == (403, failure(PasswordWrong))


@only_sqlite
def test_a_new_password_is_judged_as_the_first_was(client: TestClient) -> None:
    register(client, "alice")
    me = bearer(log_in(client, "alice")["access_token"])
    for new in ("short", "password" * 3):
        answer = client.put(
            f"{USERS}/me/password", headers=me, json={"current_password": PASSWORD, "new_password": new}
        )
        assert answer.status_code == 422
        assert [wrong["loc"] for wrong in answer.json()["data"]["errors"]] == [["body", "new_password"]]


# -- names ------------------------------------------------------------------------------------------------------------

names = st.text(min_size=1, max_size=40) | st.from_regex(r"[\w.\-]{2,32}", fullmatch=True)


@given(names)
def test_a_name_has_one_form_and_is_one_in_the_chat_too(text: str) -> None:
    if not is_name(text):
        return
    name = canonical_name(text)
    assert canonical_name(name) == name
    assert normalize("NFKC", name) == name
    assert is_name_in_chat(name)
    assert name_key(name) == name_key(text)


@given(names)
def test_names_are_the_same_whatever_their_case(text: str) -> None:
    key = name_key(text)
    assert key == name_key(normalize("NFKC", text[:33])) == name_key(normalize("NFD", text[:16])[:33]) or len(text) > 16
    if len(text) <= 16 and text.isascii():
        assert name_key(text.upper()) == name_key(text.lower()) == key
