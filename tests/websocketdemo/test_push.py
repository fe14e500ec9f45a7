"""What servers push: to a room, to a user, to everybody; and whom it reached."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.websocketdemo.adding import Said
from api.websocketdemo.errors import NotStored
from extensions.security import Tokens
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, invalid, success
from tests.websocketdemo.conftest import Service, direct, join, message, only_plain
from utils.custom_exc import Forbidden, NotAuthenticated, NotReady
from utils.fields import utc_now

pytestmark = only_sqlite

Headers = dict[str, str]

PUSH = "/websocketdemo/push"
MESSAGES = "/websocketdemo/rooms/lobby/messages"


@pytest.fixture
def pusher(tokens: Tokens) -> Headers:
    """The headers of a server that may push and nothing else."""
    return {"Authorization": f"Bearer {tokens.sign('shop', frozenset({'push'}), 60)}"}


def push(service: Service, headers: Headers, text: str = "news", **body: Any) -> tuple[int, Any]:
    answer = service.http.post(PUSH, json={"message": text, **body}, headers=headers)
    return answer.status_code, answer.json()


def pushed(id_: int | None, here: int, elsewhere: int = 0) -> tuple[int, Any]:
    return 200, success({"id": id_, "here": here, "elsewhere": elsewhere})


def test_to_a_room(service: Service, pusher: Headers) -> None:
    """It is a message like others: with an id, and kept."""
    one = service.enter("User1")
    again = service.enter("User1", headers=one.guest_cookie)
    other = service.enter("User2", "tea")
    assert push(service, pusher, room="lobby", data={"a": [1]}) == pushed(1, 2)
    for chatter in (one, again):
        chatter.reads(message(1, "shop", "news", data={"a": [1]}))
    one.say("hi")
    one.reads(message(2, "User1", "hi"))
    assert push(service, pusher, room="empty") == pushed(1, 0)
    assert push(service, pusher, room="tea", everybody=False) == pushed(1, 1)
    other.reads(message(1, "shop", "news", "tea"))
    items = service.http.get(MESSAGES).json()["data"]["items"]
    assert items == [message(1, "shop", "news", data={"a": [1]}), message(2, "User1", "hi")]


def test_to_a_user(service: Service, pusher: Headers) -> None:
    one, two = service.enter("User1"), service.enter("User2")
    one.reads(join("User2"))
    elsewhere = service.enter("User1", "tea", one.guest_cookie)
    assert push(service, pusher, user="User1", data=0) == pushed(None, 2)
    for chatter in (one, elsewhere):
        chatter.reads(direct("shop", "User1", "news", room="", data=0))
    assert push(service, pusher, user="nobody") == pushed(None, 0)
    two.say("hi")
    two.reads(message(1, "User2", "hi"))
    assert len(service.http.get(MESSAGES).json()["data"]["items"]) == 1


def test_to_everybody(service: Service, admin: Headers) -> None:
    assert push(service, admin, everybody=True) == pushed(None, 0)
    one, two = service.enter("User1"), service.enter("User2", "tea")
    again = service.enter("User1", headers=one.guest_cookie)
    assert push(service, admin, everybody=True) == pushed(None, 3)
    for chatter in (one, two, again):
        chatter.reads(direct("alice", "*", "news", room=""))


@only_plain
def test_who_may_push(service: Service, pusher: Headers, admin: Headers, customer: Headers) -> None:
    for headers in (pusher, admin):
        assert push(service, headers, everybody=True)[0] == 200
    needs = failure(Forbidden, "This needs the role “push” or “admin”.")
    assert push(service, customer, everybody=True) == (403, needs)
    assert push(service, {}, everybody=True) == (401, failure(NotAuthenticated))
    bad = failure(NotAuthenticated, "The access token is not valid.")
    assert push(service, {"Authorization": "Bearer x"}, everybody=True) == (401, bad)


@only_plain
def test_exactly_one_target(service: Service, pusher: Headers) -> None:
    wrong = invalid((("body",), "name exactly one of room, user and everybody", "value_error"))
    targets: list[dict[str, Any]] = [
        {},
        {"room": None, "user": None, "everybody": None},
        {"everybody": False},
        {"room": "lobby", "user": "User1"},
        {"room": "lobby", "everybody": True},
        {"user": "User1", "everybody": True},
        {"room": "lobby", "user": "User1", "everybody": True},
    ]
    for body in targets:
        assert push(service, pusher, **body) == (422, wrong), body


@only_plain
def test_what_does_not_fit(service: Service, pusher: Headers) -> None:
    misfits: list[tuple[dict[str, Any], str]] = [
        ({"everybody": 1}, "everybody"),
        ({"everybody": 0, "room": "lobby"}, "everybody"),
        ({"everybody": "yes"}, "everybody"),
        ({"room": "a b"}, "room"),
        ({"room": ""}, "room"),
        ({"user": "*"}, "user"),
        ({"user": "x" * 33}, "user"),
        ({"everybody": True, "text": "x" * 4001}, "message"),
        ({"everybody": True, "text": "a\0"}, "message"),
        ({"everybody": True, "id": 5}, "id"),
        ({"everybody": True, "ref": "r"}, "ref"),
    ]
    for body, field in misfits:
        status, answer = push(service, pusher, **body)
        assert status == 422, body
        assert [error["loc"] for error in answer["data"]["errors"]] == [["body", field]]


@only_plain
def test_what_cannot_be_stored_or_handed_on(
    service: Service, app: FastAPI, pusher: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise NotReady

    one = service.enter("User1")
    with monkeypatch.context() as broken:
        broken.setattr(app.state.hub.store, "add", fail)
        broken.setattr(app.state.broker, "ask", fail)
        assert push(service, pusher, room="lobby") == (503, failure(NotStored))
        assert push(service, pusher, user="User1") == (503, failure(NotReady))
    assert push(service, pusher, room="lobby") == pushed(1, 1)
    one.reads(message(1, "shop", "news"))


@pytest.mark.redis
def test_whom_it_reached_on_other_workers(workers: list[Service], pusher: Headers) -> None:
    here, there = workers
    one, two = here.enter("User1"), there.enter("User2")
    one.reads(join("User2"))
    elsewhere = there.enter("User1", "tea", one.guest_cookie)
    assert push(here, pusher, room="lobby") == pushed(1, 1, 1)
    assert push(there, pusher, room="lobby") == pushed(2, 1, 1)
    assert push(here, pusher, room="tea") == pushed(1, 0, 1)
    assert push(here, pusher, user="User2") == pushed(None, 0, 1)
    assert push(here, pusher, user="User1") == pushed(None, 1, 1)
    assert push(there, pusher, everybody=True) == pushed(None, 2, 1)
    in_lobby = [message(id_, "shop", "news") for id_ in (1, 2)]
    to_all = direct("shop", "*", "news", room="")
    one.reads(*in_lobby, direct("shop", "User1", "news", room=""), to_all)
    two.reads(*in_lobby, direct("shop", "User2", "news", room=""), to_all)
    elsewhere.reads(message(1, "shop", "news", "tea"), direct("shop", "User1", "news", room=""), to_all)


@pytest.mark.anyio
async def test_a_request_that_is_given_up_stops_nothing(async_client: httpx.AsyncClient, app: FastAPI) -> None:
    """The service is stopping, or the caller has gone."""
    hub = app.state.hub
    said = Said("lobby", "shop", "news", None, utc_now())
    given_up = asyncio.create_task(hub.push(said))
    await asyncio.sleep(0)
    given_up.cancel()
    async with asyncio.timeout(10):
        assert await hub.push(said) == (2, (0, 0))
    assert given_up.cancelled()
