"""Two workers on one Redis and one database are one chat."""

import pytest
from fastapi import FastAPI

from api.websocketdemo.errors import NameTaken, RecipientNotConnected
from extensions.security import Tokens
from tests.support.databases import only_sqlite
from tests.support.envelopes import success
from tests.websocketdemo.conftest import Frame, Service, ack, direct, error, join, leave, message, recovered
from utils.custom_exc import NotReady

pytestmark = pytest.mark.redis

ROOMS = "/websocketdemo/rooms"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest does not wait long for a name, and lost events are looked for often."""
    monkeypatch.setattr("api.websocketdemo.hub.NAME_RETRY_SECONDS", 0.001)
    monkeypatch.setattr("api.websocketdemo.hub.NAME_PATIENCE_SECONDS", 0.003)
    monkeypatch.setattr("api.websocketdemo.hub.RECHECK_SECONDS", 0.05)


def test_everybody_sees_the_same_in_the_same_order(workers: list[Service]) -> None:
    chatters = [workers[number % 2].enter(f"User{number}") for number in range(4)]
    for number in range(20):
        for chatter in chatters:
            chatter.say(f"{number}")
    seen = []
    for chatter in chatters:
        frames: list[Frame] = []
        while len(frames) < 80:
            frame = chatter.read()
            frames += [frame] if frame["type"] == "message" else []
        seen.append(frames)
    assert [frame["id"] for frame in seen[0]] == list(range(1, 81))
    assert seen == [seen[0]] * 4
    for service in workers:
        items = service.http.get(f"{ROOMS}/lobby/messages", params={"limit": 200}).json()["data"]["items"]
        assert items == seen[0]


@only_sqlite
def test_who_is_there_is_there_for_both(workers: list[Service]) -> None:
    here, there = workers
    one = here.enter("User1")
    two = there.enter("User2")
    one.reads(join("User2"))
    again = there.enter("User1", headers=one.guest_cookie)
    for service in workers:
        members = [{"name": "User1", "sockets": 2}, {"name": "User2", "sockets": 1}]
        assert service.http.get(f"{ROOMS}/lobby/users").json() == success(members)
        assert service.http.get(ROOMS).json() == success([{"name": "lobby", "online": 2, "last_id": 0}])
    one.close()
    two.say("still two")
    for chatter in (two, again):
        chatter.reads(message(1, "User2", "still two"))
    again.close()
    two.reads(leave("User1"))
    assert here.http.get(f"{ROOMS}/lobby/users").json() == success([{"name": "User2", "sockets": 1}])


@only_sqlite
def test_private_messages_find_their_way(workers: list[Service]) -> None:
    here, there = workers
    one, two = here.enter("User1"), there.enter("User2", "tea")
    bystander = there.enter("User3")
    one.reads(join("User3"))
    one.say("psst", send_user="User2", ref="r")
    one.reads_in_any_order(direct("User1", "User2", "psst"), ack("r", None))
    two.reads(direct("User1", "User2", "psst"))
    two.say("psst", send_user="User1")
    for chatter in (one, two):
        chatter.reads(direct("User2", "User1", "psst", "tea"))
    two.close()
    one.say("psst", send_user="User2", ref="r")
    one.reads(error(RecipientNotConnected, ref="r"))
    bystander.say("end")
    for chatter in (one, bystander):
        chatter.reads(message(1, "User3", "end"))


@only_sqlite
@pytest.mark.usefixtures("impatient")
def test_a_name_is_taken_on_both(workers: list[Service], tokens: Tokens) -> None:
    here, there = workers
    guest = here.enter("alice")
    other = there.open("tea/alice")
    other.reads(error(NameTaken))
    other.is_closed_with(1008)
    there.enter("alice", "tea", guest.guest_cookie).close()
    headers = {"Authorization": f"Bearer {tokens.sign('alice', frozenset(), 60)}"}
    user = there.open("x", headers)
    user.reads(join("alice"))
    guest.reads(error(NameTaken))
    guest.is_closed_with(1008)
    again = here.open("alice", guest.guest_cookie)
    again.reads(error(NameTaken))
    again.is_closed_with(1008)
    user.say("it is me")
    user.reads(message(1, "alice", "it is me"))


def test_what_was_acknowledged_here_is_recovered_there(workers: list[Service]) -> None:
    here, there = workers
    one = here.enter("User1")
    listener = there.enter("User3")
    one.reads(join("User3"))
    said: list[Frame] = []
    for id_ in range(1, 11):
        one.say(f"{id_}", ref="r")
        said.append(message(id_, "User1", f"{id_}"))
        one.reads_in_any_order(said[-1], ack("r", id_))
        back = there.open(f"User2?since={id_ // 2}")
        back.reads(recovered(id_ // 2, id_), *said[id_ // 2 :], join("User2"))
        back.close()
        one.reads(join("User2"), leave("User2"))
    frames = [listener.read() for _ in range(30)]
    assert [frame for frame in frames if frame["type"] == "message"] == said


@only_sqlite
@pytest.mark.usefixtures("impatient")
def test_an_event_that_gets_lost_is_only_late(
    workers: list[Service], apps: list[FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(channel: str, event: bytes) -> None:
        raise NotReady

    here, there = workers
    one, two = here.enter("User1"), there.enter("User2")
    one.reads(join("User2"))
    with monkeypatch.context() as broken:
        broken.setattr(apps[0].state.broker, "publish", lose)
        one.say("lost", ref="r")
        one.reads_in_any_order(message(1, "User1", "lost"), ack("r", 1))
        two.reads(message(1, "User1", "lost"))
    one.say("hi")
    for chatter in (one, two):
        chatter.reads(message(2, "User1", "hi"))
