"""Sockets and streams last no longer than the token that opened them."""

import asyncio
from functools import partial
from math import inf
from time import time

import jwt
import pytest

from api.websocketdemo.identity import ends_at
from extensions.security import CLOCK_LEEWAY_SECONDS, Tokens
from tests.support.databases import only_sqlite
from tests.websocketdemo.conftest import PATIENCE, Service, error, join, leave, message, only_frames, recovered
from tests.websocketdemo.test_events import listen
from utils.custom_exc import NotAuthenticated

EXPIRED = error(NotAuthenticated, "The access token has expired; get a new one.")


@pytest.fixture
def much_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes in finds the time of any token over."""
    monkeypatch.setattr("api.websocketdemo.identity.time", lambda: time() + 24 * 3600)


@only_sqlite
@pytest.mark.usefixtures("much_later")
def test_a_socket_ends_with_the_time_of_its_token(service: Service, customer: dict[str, str]) -> None:
    guest = service.enter("User1")
    one = service.open("x?since=0", customer)
    one.reads(recovered(0, 0), join("bob"), EXPIRED)
    one.is_closed_with(1008)
    guest.reads(join("bob"), leave("bob"))
    guest.say("a guest has no token that could end")
    guest.reads(message(1, "User1", "a guest has no token that could end"))


@only_frames
@only_sqlite
@pytest.mark.usefixtures("much_later")
def test_a_stream_ends_with_the_time_of_its_token(service: Service, customer: dict[str, str]) -> None:
    """A browser comes back by itself, and is refused."""
    with listen(service) as guest, listen(service, customer, since=0) as listener:
        listener.reads(recovered(0, 0))
        listener.ends()
        service.enter("User1")
        guest.reads(join("User1"))


def test_the_time_of_a_token_counts_with_the_leeway_that_lets_it_in() -> None:
    tokens = Tokens("a-secret-key-of-32-characters-or-more")
    signed = tokens.sign("alice", frozenset(), 5)
    expires = jwt.decode(signed, options={"verify_signature": False})["exp"]
    assert tokens.verify(signed).until == expires + CLOCK_LEEWAY_SECONDS


@pytest.mark.anyio
async def test_what_was_left_before_is_not_ended() -> None:
    ended: list[str] = []
    over = asyncio.Event()
    with ends_at(time() + 0.01, partial(ended.append, "left before")), ends_at(inf, partial(ended.append, "never")):
        pass
    with ends_at(time() + 0.02, over.set):
        async with asyncio.timeout(PATIENCE):
            await over.wait()
    assert ended == []
