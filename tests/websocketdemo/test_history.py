"""Rooms, people and messages without a socket; every answer whole, on both databases."""

from typing import Any

import pytest

from api.websocketdemo.errors import GuestsNotAllowed
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure, invalid, success
from tests.websocketdemo.conftest import Frame, Service, join, message, only_plain
from utils.custom_exc import NotAuthenticated

pytestmark = only_plain

Headers = dict[str, str]
Loc = tuple[str | int, ...]

ROOMS = "/websocketdemo/rooms"
LOBBY = f"{ROOMS}/lobby"
MESSAGES = f"{LOBBY}/messages"
NAME_MISFIT = "String should match pattern '^[\\w.\\-]{1,32}$'"


def get(service: Service, path: str, headers: Headers | None = None, **query: Any) -> tuple[int, Any]:
    answer = service.http.get(path, params=query or None, headers=headers)
    return answer.status_code, answer.json()


def history(items: list[Frame], first_id: int, last_id: int) -> tuple[int, Any]:
    return 200, success({"items": items, "first_id": first_id, "last_id": last_id})


def room(name: str, online: int, last_id: int) -> dict[str, Any]:
    return {"name": name, "online": online, "last_id": last_id}


def test_nothing_yet(service: Service) -> None:
    assert get(service, ROOMS) == (200, success([]))
    assert get(service, f"{LOBBY}/users") == (200, success([]))
    assert get(service, MESSAGES) == history([], 0, 0)
    assert get(service, MESSAGES, after=5) == history([], 0, 0)


def test_rooms_with_people_and_with_a_history(service: Service) -> None:
    """The fullest first; a room where nothing was said is there as long as somebody is."""
    service.enter("User1")
    two = service.enter("User2")
    service.enter("User2", headers=two.guest_cookie)
    silent = service.enter("User3", "silent")
    gone = service.enter("User4", "茶")
    for id_ in (1, 2):
        gone.say("hi")
        gone.reads(message(id_, "User4", "hi", "茶"))
    gone.close()
    two.say("hi")
    two.reads(message(1, "User2", "hi"))
    assert get(service, ROOMS) == (200, success([room("lobby", 2, 1), room("silent", 1, 0), room("茶", 0, 2)]))
    silent.close()
    assert get(service, ROOMS) == (200, success([room("lobby", 2, 1), room("茶", 0, 2)]))


def test_more_rooms_than_fit_into_one_query(service: Service) -> None:
    rooms = [f"room-{number:03}" for number in range(105)]
    headers = service.enter("User1").guest_cookie
    for name in rooms[:3]:
        one = service.enter(f"in-{name}", name, headers)
        one.say("hi")
        one.reads(message(1, f"in-{name}", "hi", name))
    for name in rooms[3:]:
        service.enter(f"in-{name}", name, headers)
    with_history = [room(name, 1, 1) for name in rooms[:3]]
    assert get(service, ROOMS) == (
        200,
        success([room("lobby", 1, 0), *with_history, *(room(name, 1, 0) for name in rooms[3:])]),
    )


def test_people_of_a_room(service: Service) -> None:
    one, two = service.enter("小明"), service.enter("B")
    service.enter("小明", headers=one.guest_cookie)
    service.enter("小明", "tea", one.guest_cookie)
    people = [{"name": "B", "sockets": 1}, {"name": "小明", "sockets": 2}]
    assert get(service, f"{LOBBY}/users") == (200, success(people))
    assert get(service, f"{ROOMS}/tea/users") == (200, success([{"name": "小明", "sockets": 1}]))
    two.close()
    assert get(service, f"{LOBBY}/users") == (200, success(people[1:]))


def test_messages_are_what_sockets_got(service: Service) -> None:
    """Times too, to the last digit."""
    one = service.enter("User1")
    texts: list[tuple[str, Any]] = [
        ("", None),
        ('𠀀 " \\ \t\n ﷺ', {"键": [1, 2.5, None, {"a": "\0"}]}),
        ("字" * 4000, False),
        ("0", ""),
        ("big", [10**25]),
    ]
    for text, data in texts:
        one.say(text, data=data)
    frames = [one.read() for _ in texts]
    assert frames == [message(id_, "User1", text, data=data) for id_, (text, data) in enumerate(texts, 1)]
    status, body = get(service, MESSAGES)
    assert (status, body) == history(frames, 1, len(texts))
    assert [item["time"] + "" for item in body["data"]["items"]] == [frame["time"] for frame in frames]


def test_pages_of_messages(service: Service) -> None:
    one = service.enter("User1")
    other = service.enter("User1", "tea", one.guest_cookie)
    for id_ in range(1, 61):
        one.say(f"{id_}")
    frames = [one.read() for _ in range(60)]
    other.say("elsewhere")
    other.reads(message(1, "User1", "elsewhere", "tea"))

    def pages(**query: Any) -> Any:
        return get(service, MESSAGES, **query)

    assert pages() == history(frames[-50:], 1, 60)
    assert pages(limit=200) == history(frames, 1, 60)
    assert pages(limit=1) == history(frames[-1:], 1, 60)
    assert pages(before=11, limit=3) == history(frames[7:10], 1, 60)
    assert pages(before=3) == history(frames[:2], 1, 60)
    assert pages(before=1) == history([], 1, 60)
    assert pages(before=2**63 - 1, limit=2) == history(frames[-2:], 1, 60)
    assert pages(after=0, limit=2) == history(frames[:2], 1, 60)
    assert pages(after=10, limit=3) == history(frames[10:13], 1, 60)
    assert pages(after=58) == history(frames[58:], 1, 60)
    assert pages(after=60) == history([], 1, 60)
    assert pages(after=2**63 - 1) == history([], 1, 60)
    assert pages(after=10, before=13) == history(frames[10:12], 1, 60)
    assert pages(after=10, before=11) == history([], 1, 60)
    assert get(service, f"{ROOMS}/tea/messages") == history([message(1, "User1", "elsewhere", "tea")], 1, 1)


def test_messages_that_are_no_longer_kept(service: Service, app: Any) -> None:
    one = service.enter("User1")
    for id_ in range(1, 11):
        one.say(f"{id_}")
    frames = [one.read() for _ in range(10)]
    service.http.portal.call(app.state.hub.rooms.trim, 4, 30)  # type: ignore[attr-defined]
    assert get(service, MESSAGES) == history(frames[6:], 7, 10)
    assert get(service, MESSAGES, after=0, limit=2) == history(frames[6:8], 7, 10)
    service.http.portal.call(app.state.hub.rooms.trim, 4, 0)  # type: ignore[attr-defined]
    assert get(service, MESSAGES) == history([], 0, 10)
    one.say("11")
    one.reads(message(11, "User1", "11"))
    assert get(service, MESSAGES) == history([message(11, "User1", "11")], 11, 11)


TOO_SMALL = "Input should be greater than or equal to"
NO_NUMBER = "Input should be a valid integer, unable to parse string as an integer"
MISFITS: list[tuple[str, tuple[Loc, str, str]]] = [
    (f"{MESSAGES}?before=0", (("query", "before"), f"{TOO_SMALL} 1", "greater_than_equal")),
    (f"{MESSAGES}?after=-1", (("query", "after"), f"{TOO_SMALL} 0", "greater_than_equal")),
    (f"{MESSAGES}?limit=0", (("query", "limit"), f"{TOO_SMALL} 1", "greater_than_equal")),
    (f"{MESSAGES}?limit=201", (("query", "limit"), "Input should be less than or equal to 200", "less_than_equal")),
    (
        f"{MESSAGES}?after={2**63}",
        (("query", "after"), f"Input should be less than or equal to {2**63 - 1}", "less_than_equal"),
    ),
    (f"{MESSAGES}?before=x", (("query", "before"), NO_NUMBER, "int_parsing")),
    *(
        (f"{ROOMS}/{name}/{kind}", (("path", "room"), NAME_MISFIT, "string_pattern_mismatch"))
        for name in ("a%20b", "x" * 33, "%00", "*", "a%0A")
        for kind in ("messages", "users")
    ),
]


@only_sqlite
def test_what_does_not_fit(service: Service) -> None:
    for path, wrong in MISFITS:
        assert get(service, path) == (422, invalid(wrong)), path


@only_sqlite
@pytest.mark.parametrize("settings", [{"guests": False}], indirect=True)
def test_where_guests_may_not_come_in_they_may_not_read_either(service: Service, customer: Headers) -> None:
    token = customer["Authorization"].split()[1]
    for path in (ROOMS, f"{LOBBY}/users", MESSAGES):
        assert get(service, path) == (401, failure(GuestsNotAllowed))
        for headers in (customer, {"Cookie": f"access_token={token}"}):
            assert get(service, path, headers)[0] == 200
        assert get(service, path, token=token)[0] == 200
        wrong = (401, failure(NotAuthenticated, "The access token is not valid."))
        assert get(service, path, {"Authorization": "Bearer x"}) == wrong
        assert get(service, path, token="x") == wrong


@only_sqlite
def test_a_socket_with_a_token_and_a_room_are_listed(service: Service, customer: Headers) -> None:
    service.open("tea/whoever", customer).reads(join("bob", "tea"))
    assert get(service, f"{ROOMS}/tea/users") == (200, success([{"name": "bob", "sockets": 1}]))
