"""People with accounts, as clients see them."""

from typing import Any

from starlette.testclient import TestClient

from tests.support.envelopes import A_TIME

PASSWORD = "four teapots under a plum tree"
OTHER_PASSWORD = "another teapot under a plum tree"


def register(client: TestClient, name: str, password: str = PASSWORD) -> int:
    """The id of a new user."""
    answer = client.post("/accounts/users", json={"username": name, "password": password})
    assert answer.status_code == 201, answer.text
    user_id: int = answer.json()["data"]["id"]
    return user_id


def try_login(client: TestClient, name: str, password: str = PASSWORD) -> Any:
    return client.post("/accounts/token", data={"username": name, "password": password})


def log_in(client: TestClient, name: str, password: str = PASSWORD) -> dict[str, Any]:
    """The pair of tokens."""
    answer = try_login(client, name, password)
    assert answer.status_code == 200, answer.text
    pair: dict[str, Any] = answer.json()["data"]
    return pair


def refresh(client: TestClient, pair: dict[str, Any]) -> Any:
    return client.post("/accounts/token/refresh", json={"refresh_token": pair["refresh_token"]})


def bearer(access_token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token}"}


def user_answer(user_id: int, username: str, roles: tuple[str, ...] = (), *, is_active: bool = True) -> dict[str, Any]:
    """A user as the service shows them."""
    shown = {"id": user_id, "username": username, "roles": list(roles), "is_active": is_active}
    return {**shown, "created_at": A_TIME}
