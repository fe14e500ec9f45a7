"""Nobody speaks as someone else: tokens, guests and their cookie, taken names, and pages of other origins."""

from typing import Any

import jwt
import pytest
from fastapi import FastAPI

from api import create_app
from api.websocketdemo.errors import GuestsNotAllowed, NameInvalid, NameTaken, OriginNotAllowed
from extensions.security import Tokens
from settings.development_config import DevelopmentSettings
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from tests.websocketdemo.conftest import (
    PlainPeer,
    Refused,
    Service,
    error,
    join,
    leave,
    message,
    only_frames,
    only_plain,
    plain_service,
)
from utils.custom_exc import NotAuthenticated

pytestmark = only_sqlite

NO_GUESTS = pytest.mark.parametrize("settings", [{"guests": False}], indirect=True)
NOT_VALID = error(NotAuthenticated, "The access token is not valid.")
EXPIRED = error(NotAuthenticated, "The access token has expired; get a new one.")


def token(tokens: Tokens, name: str = "alice", minutes: int = 60) -> str:
    return tokens.sign(name, frozenset(), minutes)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest does not wait long for a name that somebody has."""
    monkeypatch.setattr("api.websocketdemo.hub.NAME_RETRY_SECONDS", 0.001)
    monkeypatch.setattr("api.websocketdemo.hub.NAME_PATIENCE_SECONDS", 0.003)


def refused(service: Service, path: str, expected: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """The only frame is this error, then the socket is closed."""
    chatter = service.open(path, headers)
    chatter.reads(expected)
    chatter.is_closed_with(1008)


# -- tokens -----------------------------------------------------------------------------------------------------------


@NO_GUESTS
def test_the_ways_to_send_a_token(service: Service, tokens: Tokens) -> None:
    """The name is the token's, whatever the path says."""
    ways: list[tuple[str, dict[str, str], list[str]]] = [
        (f"?token={token(tokens)}", {}, []),
        ("", {"Authorization": f"Bearer {token(tokens)}"}, []),
        ("", {"Authorization": f"bearer  {token(tokens)}"}, []),
        ("", {"Cookie": f"other=1; access_token={token(tokens)}"}, []),
        ("", {}, ["bearer", token(tokens)]),
    ]
    for query, headers, subprotocols in ways:
        for wanted in ("alice", "User2", "no name"):
            one = service.open(f"{wanted}{query}", headers, subprotocols)
            one.reads(join("alice"))
            assert one.peer.subprotocol == ("bearer" if subprotocols else None)
            one.close()


@NO_GUESTS
@only_plain
def test_a_token_that_does_not_count(service: Service, tokens: Tokens, settings: TestingSettings) -> None:
    key = settings.secret_key.get_secret_value()
    claims = {"sub": "alice", "roles": [], "exp": 9_999_999_999}
    signed = token(tokens)
    forged = [
        "x",
        signed[:-4] + "AAAA",
        signed.rpartition(".")[0] + ".",
        token(Tokens("another-secret-key-of-32-characters-or-more")),
        jwt.encode(claims, None, "none"),
        jwt.encode(claims, key * 2, "HS512"),
        jwt.encode({"sub": "alice", "roles": []}, key, "HS256"),
        jwt.encode({**claims, "sub": 5}, key, "HS256"),
        jwt.encode({**claims, "roles": "admin"}, key, "HS256"),
    ]
    for bad in forged:
        refused(service, f"alice?token={bad}", NOT_VALID)
    refused(service, f"alice?token={token(tokens, minutes=-1)}", EXPIRED)
    refused(service, "alice", NOT_VALID, {"Cookie": "access_token=x"})
    refused(service, "alice", EXPIRED, {"Authorization": f"Bearer {token(tokens, minutes=-1)}"})


@only_plain
def test_a_bad_token_does_not_make_a_guest(service: Service) -> None:
    refused(service, "User1?token=x", NOT_VALID)


@NO_GUESTS
def test_guests_are_off(service: Service) -> None:
    headers: list[dict[str, str]] = [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}]
    for sent in headers:
        refused(service, "User1", error(GuestsNotAllowed), sent)
    offered = service.open("User1", subprotocols=["bearer"])
    offered.reads(error(GuestsNotAllowed))
    offered.is_closed_with(1008)


@only_plain
def test_a_token_of_somebody_who_cannot_be_called_so(service: Service, tokens: Tokens) -> None:
    for name in ("", "a b", "x" * 33, "a/b", "*", "a\n"):
        refused(service, f"User1?token={token(tokens, name)}", error(NameInvalid))


@only_plain
def test_a_user_has_the_same_name_everywhere(service: Service, tokens: Tokens) -> None:
    one = service.enter("alice", headers={"Authorization": f"Bearer {token(tokens)}"})
    two = service.open(f"tea/x?token={token(tokens)}")
    two.reads(join("alice", "tea"))
    again = service.open(f"x?token={token(tokens)}")
    again.reads(join("alice"))
    again.say("hi")
    one.reads(message(1, "alice", "hi"))


# -- guests -----------------------------------------------------------------------------------------------------------


def test_a_browser_is_known_again_by_its_cookie(service: Service) -> None:
    one = service.enter("User1")
    _, *attributes = one.peer.headers["set-cookie"].split("; ")
    assert attributes == ["Path=/websocketdemo", "Max-Age=2592000", "HttpOnly", "SameSite=Strict"]
    again = service.enter("User1", headers=one.guest_cookie)
    assert "set-cookie" not in again.peer.headers
    refused(service, "User1", error(NameTaken))
    refused(service, "tea/User1", error(NameTaken))
    refused(service, "User1", error(NameTaken), service.enter("User2").guest_cookie)
    one.close()
    refused(service, "User1", error(NameTaken))
    again.close()
    service.enter("User1")


@only_plain
def test_a_cookie_that_is_none_of_ours_is_replaced(service: Service) -> None:
    for value in ("", "x", "x" * 21, "x" * 23, "é" * 22):
        one = service.enter("User1", headers={"Cookie": f"chat_guest={value}"})
        assert one.guest_cookie
        one.close()


@only_plain
def test_a_guest_waits_for_a_name_that_is_being_left(
    service: Service, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser without cookies that reloads the page."""
    monkeypatch.setattr("api.websocketdemo.hub.NAME_PATIENCE_SECONDS", 10)
    one = service.enter("User1")
    assert isinstance(one.peer, PlainPeer)
    enter, vanish = app.state.broker.enter, one.peer.vanish
    tries: list[Any] = []

    async def enter_and_see(visit: Any, event: bytes, *, claims: bool) -> Any:
        tries.append(visit)
        if len(tries) == 2:
            vanish()
        return await enter(visit, event, claims=claims)

    monkeypatch.setattr(app.state.broker, "enter", enter_and_see)
    service.enter("User1")
    assert len(tries) > 2


def test_a_registered_name_is_refused_to_guests(service: Service, tokens: Tokens) -> None:
    one = service.open(f"x?token={token(tokens)}")
    one.reads(join("alice"))
    refused(service, "alice", error(NameTaken))
    one.close()
    refused(service, "alice", error(NameTaken))
    refused(service, "tea/alice", error(NameTaken))


def test_a_registered_name_is_remembered(settings: TestingSettings, tokens: Tokens) -> None:
    with plain_service(create_app(settings)) as service:
        service.open(f"x?token={token(tokens)}").reads(join("alice"))
    with plain_service(create_app(settings)) as service:
        refused(service, "alice", error(NameTaken))
        service.open(f"x?token={token(tokens)}").reads(join("alice"))


def test_a_token_takes_the_name_from_a_guest(service: Service, tokens: Tokens) -> None:
    other = service.enter("User2")
    guest = service.enter("alice")
    elsewhere = service.enter("alice", "tea", guest.guest_cookie)
    other.reads(join("alice"))
    user = service.open(f"x?token={token(tokens)}")
    user.reads(join("alice"))
    for chatter in (guest, elsewhere):
        chatter.reads(error(NameTaken))
        chatter.is_closed_with(1008)
    user.say("it is me")
    other.reads(message(1, "alice", "it is me"))
    refused(service, "alice", error(NameTaken), guest.guest_cookie)
    user.close()
    other.reads(leave("alice"))


@only_plain
def test_names_of_users_and_rooms(service: Service) -> None:
    for name in ("a", "小明", "é", "_.-", "x" * 32, "1", "٣"):
        service.enter(name, name)
    for name in ("a b", "x" * 33, "a!", "*", "%00", "a%0A", "%F0%9F%98%80", "<b>", "a:b", "%E2%80%8F"):
        refused(service, name, error(NameInvalid))
        refused(service, f"lobby/{name}", error(NameInvalid))
        refused(service, f"{name}/User1", error(NameInvalid))


# -- origins ----------------------------------------------------------------------------------------------------------


def assert_origins(service: Service, allowed: list[str], foreign: list[str]) -> None:
    for origin in allowed:
        service.enter("User1", headers={"Origin": origin}).close()
    for origin in foreign:
        with pytest.raises(Refused) as caught:
            service.open("User1", {"Origin": origin})
        assert (caught.value.status, caught.value.body) == (403, failure(OriginNotAllowed))


@only_plain
@pytest.mark.parametrize("settings", [{"cors_origins": ("https://shop.test", "*")}], indirect=True)
def test_only_pages_that_are_ours_open_sockets(service: Service) -> None:
    assert_origins(
        service,
        ["http://testserver", "https://testserver", "https://shop.test"],
        [
            "http://shop.test",
            "https://shop.test:444",
            "https://evil.test",
            "http://testserver.evil.test",
            "http://testserver:81",
            "http://localhost",
            "null",
            "",
            "http://[",
            "http://a[b]",
            "http://a\u2100b",
        ],
    )


@only_frames
def test_a_page_of_another_origin_gets_an_answer_instead_of_a_socket(service: Service) -> None:
    assert_origins(service, [str(service.http.base_url).rstrip("/")], ["https://evil.test", "http://localhost:3000"])


def test_in_development_pages_of_this_machine_open_sockets(settings: TestingSettings) -> None:
    values: Any = {**settings.model_dump(), "env": "development", "cors_origins": ("*",)}
    with plain_service(create_app(DevelopmentSettings(**values))) as service:
        assert_origins(
            service,
            ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:5173"],
            ["http://localhost.evil.test", "https://evil.test", "null"],
        )
