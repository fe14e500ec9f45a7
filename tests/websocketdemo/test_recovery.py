"""Who comes back with `since` gets what was missed, then goes on live: nothing twice, nothing left out."""

import threading

import pytest
from fastapi import FastAPI

from api.websocketdemo import room_keeper
from api.websocketdemo.errors import SinceInvalid
from api.websocketdemo.room_keeper import NEWEST_PAGE
from api.websocketdemo.rooms import RECENT
from tests.support.databases import only_sqlite
from tests.websocketdemo.conftest import Chatter, Frame, Service, error, join, leave, message, only_plain, recovered


def fill(service: Service, number: int, room: str = "lobby") -> Chatter:
    """Somebody who has said so many things."""
    one = service.enter("User1", room)
    for id_ in range(1, number + 1):
        one.say(f"text {id_}")
    one.reads(*said(1, number, room))
    return one


def said(first: int, last: int, room: str = "lobby") -> list[Frame]:
    return [message(id_, "User1", f"text {id_}", room) for id_ in range(first, last + 1)]


def trim(service: Service, app: FastAPI, keep: int) -> None:
    """Let the service do now what it does every minute."""
    service.http.portal.call(app.state.hub.rooms.trim, keep, 30)  # type: ignore[attr-defined]


def test_nothing_is_missed_and_nothing_comes_twice(service: Service) -> None:
    one = fill(service, 3)
    two = service.open("User2")
    two.reads(join("User2"))
    one.reads(join("User2"))
    one.say("text 4")
    two.reads(*said(4, 4))
    two.close()
    one.reads(*said(4, 4), leave("User2"))
    for id_ in (5, 6):
        one.say(f"text {id_}")
    one.reads(*said(5, 6))
    back = service.open("User2?since=4")
    back.reads(recovered(4, 6), *said(5, 6), join("User2"))
    one.say("text 7")
    back.reads(*said(7, 7))
    one.reads(join("User2"), *said(7, 7))


@pytest.mark.parametrize("number", [RECENT, RECENT + 1, 2 * RECENT + 5])
@only_plain
def test_what_is_not_in_memory_comes_from_the_database(
    service: Service, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several pages, the last of them not full."""
    monkeypatch.setattr(room_keeper, "PAGE", 20)
    monkeypatch.setattr(room_keeper, "PIECE_BYTES", 500)
    one = fill(service, number)
    for since in (0, 1, number - RECENT, number - 1, number):
        back = service.open(f"User2?since={since}")
        back.reads(recovered(since, number), *said(since + 1, number), join("User2"))
        back.close()
        one.reads(join("User2"), leave("User2"))


@only_plain
def test_what_was_said_before_the_service_started(service: Service, app: FastAPI) -> None:
    one = fill(service, 3)
    one.close()
    service.http.portal.call(app.state.hub.rooms.close_empty)  # type: ignore[attr-defined]
    back = service.open("User2?since=1")
    back.reads(recovered(1, 3), *said(2, 3), join("User2"))
    back.say("goes on")
    back.reads(message(4, "User2", "goes on"))


@only_sqlite
@only_plain
def test_a_room_in_which_nothing_was_said(service: Service) -> None:
    service.open("User1?since=0").reads(recovered(0, 0), join("User1"))
    service.open("tea/User2?since=5").reads(recovered(5, 0, "tea", whole=False), join("User2", "tea"))


@only_plain
def test_more_is_missing_than_is_kept(service: Service, app: FastAPI) -> None:
    one = fill(service, 10)
    trim(service, app, keep=4)
    two = service.open("User2?since=6")
    two.reads(recovered(6, 10), *said(7, 10), join("User2"))
    three = service.open("User3?since=5")
    three.reads(recovered(5, 10, whole=False), *said(7, 10), join("User3"))
    one.say("text 11")
    three.reads(*said(11, 11))


@only_plain
def test_much_more_is_missing_than_is_kept(service: Service, app: FastAPI) -> None:
    """The newest page only."""
    fill(service, NEWEST_PAGE + 20)
    trim(service, app, keep=NEWEST_PAGE + 10)
    last = NEWEST_PAGE + 20
    two = service.open("User2?since=3")
    two.reads(recovered(3, last, whole=False), *said(last - NEWEST_PAGE + 1, last), join("User2"))
    three = service.open("User3?since=10")
    three.reads(recovered(10, last), *said(11, last), join("User3"))


@only_sqlite
@only_plain
def test_nothing_is_kept(service: Service, app: FastAPI) -> None:
    one = fill(service, 3)
    one.close()
    keep_days = 0
    hub = app.state.hub
    service.http.portal.call(hub.store.trim, {}, keep_days)  # type: ignore[attr-defined]
    service.http.portal.call(hub.rooms.close_empty)  # type: ignore[attr-defined]
    two = service.open("User2?since=2")
    two.reads(recovered(2, 3, whole=False), join("User2"))
    three = service.open("User3?since=3")
    three.reads(recovered(3, 3), join("User3"))
    two.say("ids go on")
    three.reads(message(4, "User2", "ids go on"))


@only_plain
def test_the_id_is_of_another_history(service: Service) -> None:
    fill(service, 3)
    two = service.open("User2?since=99")
    two.reads(recovered(99, 3, whole=False), *said(1, 3), join("User2"))
    two.say("text 4")
    two.reads(message(4, "User2", "text 4"))


@only_sqlite
@only_plain
def test_what_is_no_id(service: Service) -> None:
    for since in ["", "-1", "x", "1.0", "+1", " 1", "١", "9223372036854775808", "1" * 5000]:
        one = service.open(f"User1?since={since}")
        one.reads(error(SinceInvalid))
        one.is_closed_with(1008)
    assert service.http.get("/websocketdemo/rooms").json()["data"] == []


@only_sqlite
def test_who_recovers_while_others_speak(service: Service) -> None:
    """Everybody who comes at any time has the same messages."""
    one = fill(service, 2 * RECENT)
    number = 3 * RECENT

    def speak() -> None:
        for id_ in range(2 * RECENT + 1, number + 1):
            one.say(f"text {id_}")

    speaker = threading.Thread(target=speak)
    speaker.start()
    backs = {since: service.open(f"User{since}?since={since}") for since in range(2, 60, 6)}
    speaker.join()
    for since, back in backs.items():
        first = back.read()
        assert first == recovered(since, first["last_id"])
        expected = said(since + 1, number)
        own = join(f"User{since}")
        frames: list[Frame] = []
        while own not in frames or expected[-1] not in frames:
            frames.append(back.read())
        assert [frame for frame in frames if frame["type"] == "message"] == expected
        assert frames.count(own) == 1
