"""What sockets say to each other: the tutorial's chat, and what came to it."""

import json
from typing import Any

import pytest
from fastapi import FastAPI

from api.websocketdemo.errors import FrameInvalid, NotStored, RecipientNotConnected
from tests.support.databases import only_sqlite
from tests.websocketdemo.conftest import (
    FramePeer,
    Service,
    ack,
    direct,
    error,
    join,
    leave,
    message,
    only_frames,
    only_plain,
)
from utils.custom_exc import NotReady

pytestmark = only_sqlite


def misfit(loc: list[str], text: str, type_: str, ref: str | None = None) -> dict[str, Any]:
    """The error frame for one thing that does not fit."""
    return error(FrameInvalid, ref=ref, data={"errors": [{"loc": loc, "message": text, "type": type_}]})


# -- the tutorial's chat ----------------------------------------------------------------------------------------------


def test_the_tutorials_chat(service: Service) -> None:
    one = service.open("User1")
    one.reads(join("User1"))
    two = service.open("User2")
    two.reads(join("User2"))
    one.reads(join("User2"))
    one.say("hi")
    for chatter in (one, two):
        chatter.reads(message(1, "User1", "hi"))
    one.say("psst", send_user="User2")
    for chatter in (one, two):
        chatter.reads(direct("User1", "User2", "psst"))
    two.close()
    one.reads(leave("User2"))


@only_plain
def test_the_lobby_is_a_room_like_others(service: Service) -> None:
    one, two, elsewhere = service.enter("小明"), service.enter("B.b-2", "lobby"), service.enter("小明2", "茶馆_1")
    one.reads(join("B.b-2"))
    two.say("hi")
    elsewhere.say("你好 👋")
    for chatter in (one, two):
        chatter.reads(message(1, "B.b-2", "hi"))
    elsewhere.reads(message(1, "小明2", "你好 👋", "茶馆_1"))


@only_plain
def test_who_has_several_sockets_enters_once_and_leaves_once(service: Service) -> None:
    other = service.enter("User2")
    one = service.enter("User1")
    again = service.enter("User1", headers=one.guest_cookie)
    elsewhere = service.enter("User1", "tea", headers=one.guest_cookie)
    one.close()
    again.say("still here")
    again.reads(message(1, "User1", "still here"))
    again.close()
    other.reads(join("User1"), message(1, "User1", "still here"), leave("User1"))
    elsewhere.say("here too")
    elsewhere.reads(message(1, "User1", "here too", "tea"))
    back = service.enter("User1", headers=one.guest_cookie)
    other.reads(join("User1"))
    back.close()
    other.reads(leave("User1"))


def test_a_private_message_reaches_all_sockets_of_both_and_nobody_else(service: Service) -> None:
    sender, recipient, bystander = service.enter("User1"), service.enter("User2"), service.enter("User3")
    sender_elsewhere = service.enter("User1", "tea", sender.guest_cookie)
    recipient_again = service.enter("User2", headers=recipient.guest_cookie)
    recipient_elsewhere = service.enter("User2", "tea", recipient.guest_cookie)
    sender.say("psst", send_user="User2", data={"a": 1}, ref="r")
    sender.reads(join("User2"), join("User3"), direct("User1", "User2", "psst", data={"a": 1}), ack("r", None))
    recipient.reads(join("User3"))
    for chatter in (sender_elsewhere, recipient, recipient_again, recipient_elsewhere):
        if chatter is sender_elsewhere:
            chatter.reads(join("User2", "tea"))
        chatter.reads(direct("User1", "User2", "psst", data={"a": 1}))
    bystander.say("end")
    for chatter in (sender, recipient, recipient_again, bystander):
        chatter.reads(message(1, "User3", "end"))


@only_plain
def test_a_private_message_to_oneself_comes_once(service: Service) -> None:
    one = service.enter("User1")
    one.say("note", send_user="User1")
    one.say("end")
    one.reads(direct("User1", "User1", "note"), message(1, "User1", "end"))


@only_plain
def test_a_private_message_to_nobody_is_for_all(service: Service) -> None:
    one, two = service.enter("User1"), service.enter("User2")
    two.say("hi", send_user=None)
    two.say("hi", send_user="")
    two.reads(message(1, "User2", "hi"), message(2, "User2", "hi"))
    one.reads(join("User2"), message(1, "User2", "hi"), message(2, "User2", "hi"))


@only_plain
def test_a_private_message_to_somebody_who_is_not_there(service: Service) -> None:
    one, two = service.enter("User1"), service.enter("User2")
    two.close()
    one.reads(join("User2"), leave("User2"))
    for gone in ("User2", "User3", "never there", "*", "x" * 64):
        one.say("psst", send_user=gone, ref="r1")
        one.say("psst", send_user=gone)
        one.reads(error(RecipientNotConnected, ref="r1"), error(RecipientNotConnected))


# -- refs and data ----------------------------------------------------------------------------------------------------


def test_who_sends_a_ref_gets_an_ack(service: Service) -> None:
    one, two = service.enter("User1"), service.enter("User2")
    one.reads(join("User2"))
    for id_, ref in enumerate(["r", "", "参" * 64], 1):
        one.say("hi", ref=ref)
        one.reads_in_any_order(message(id_, "User1", "hi"), ack(ref, id_))
    one.say("no ref")
    one.say("null", ref=None)
    for chatter in (one, two):
        if chatter is two:
            chatter.reads(*(message(id_, "User1", "hi") for id_ in (1, 2, 3)))
        chatter.reads(message(4, "User1", "no ref"), message(5, "User1", "null"))


DATA: list[Any] = [
    None, True, 0, -1.5, 10**30, "", "文字 \u2028 \\ \"", [], {}, [[[1, {"a": None}]]], {"键": {"": [False]}}, "\0",
]  # fmt: skip


def test_any_json_goes_with_a_message(service: Service) -> None:
    one = service.enter("User1")
    for data in DATA:
        one.say("room", data=data)
        one.say("direct", data=data, send_user="User1")
    frames = [one.read() for _ in range(2 * len(DATA))]
    for type_ in ("message", "direct"):
        assert [frame["data"] for frame in frames if frame["type"] == type_] == DATA


@only_plain
def test_a_number_that_json_does_not_have_becomes_null(service: Service) -> None:
    one = service.enter("User1")
    one.peer.send_text('{"message": "hi", "data": [NaN, Infinity]}')
    one.reads(message(1, "User1", "hi", data=[None, None]))
    items = service.http.get("/websocketdemo/rooms/lobby/messages").json()["data"]["items"]
    assert items == [message(1, "User1", "hi", data=[None, None])]


def test_text_is_told_as_it_is(service: Service) -> None:
    one = service.enter("User1")
    strange = "𠀀👨‍👩‍👧 e\u0301 \u202e <b>&amp;</b> ' \" \\ \t\n\r\x01 ﷺ \u2028"
    texts = ["", " ", strange, "字" * 4000, *("x" * length for length in range(20, 40))]  # one byte of length, and two
    for text in texts:
        one.say(text)
    one.reads(*(message(id_, "User1", text) for id_, text in enumerate(texts, 1)))


# -- frames that are none ---------------------------------------------------------------------------------------------

REF_TOO_LONG = misfit(["ref"], "String should have at most 64 characters", "string_too_long")
FOR_PEOPLE = "must not contain the NUL character"
MISFITS: list[tuple[str, dict[str, Any]]] = [
    ("[]", misfit([], "Input should be an object", "model_type")),
    ('"hi"', misfit([], "Input should be an object", "model_type")),
    ("{}", misfit(["message"], "Field required", "missing")),
    ('{"message": 5, "ref": "r"}', misfit(["message"], "Input should be a valid string", "string_type", "r")),
    ('{"message": null}', misfit(["message"], "Input should be a valid string", "string_type")),
    ('{"message": "a\\u0000"}', misfit(["message"], FOR_PEOPLE, "value_error")),
    ('{"message": "hi", "send_user": 5}', misfit(["send_user"], "Input should be a valid string", "string_type")),
    ('{"message": "hi", "ref": 5}', misfit(["ref"], "Input should be a valid string", "string_type")),
    (json.dumps({"message": "hi", "ref": "r" * 65}), REF_TOO_LONG),
    (
        json.dumps({"message": "x" * 4001, "ref": "r"}),
        misfit(["message"], "String should have at most 4000 characters", "string_too_long", "r"),
    ),
    (
        json.dumps({"message": "hi", "send_user": "x" * 65, "ref": "r"}),
        misfit(["send_user"], "String should have at most 64 characters", "string_too_long", "r"),
    ),
]


def test_a_frame_of_another_shape_gets_an_error_and_the_socket_stays(service: Service) -> None:
    one = service.enter("User1")
    for text, expected in MISFITS:
        one.peer.send_text(text)
        assert one.read() == expected, text
    one.say("still here")
    one.reads(message(1, "User1", "still here"))


NO_JSON = ["", "hi", "{", '{"message": "hi"', "{'message': 'hi'}", '{"message": "\\ud800"}', "[" * 10_000, "\0"]


def test_a_frame_that_is_no_json(service: Service) -> None:
    one = service.enter("User1")
    for text in NO_JSON:
        one.peer.send_text(text)
        frame = one.read()
        (wrong,) = frame["data"]["errors"]
        assert wrong["message"].startswith("Invalid JSON: ")
        assert frame == misfit([], wrong["message"], "json_invalid")
    one.say("still here")
    one.reads(message(1, "User1", "still here"))


def test_a_binary_frame(service: Service) -> None:
    one = service.enter("User1")
    for data in (b"", b'{"message": "hi"}', b"\xff\x00"):
        one.peer.send_bytes(data)
        one.reads(error(FrameInvalid, "Send text frames; binary ones are not read."))
    one.say("still here")
    one.reads(message(1, "User1", "still here"))


@only_plain
def test_keys_that_nobody_knows_are_ignored(service: Service) -> None:
    one = service.enter("User1")
    one.say("hi", user="User2", id=99, type="join", room="tea", time="never")
    one.reads(message(1, "User1", "hi"))


@only_frames
def test_a_frame_in_pieces_is_one(service: Service) -> None:
    one = service.enter("User1")
    assert isinstance(one.peer, FramePeer)
    one.peer.connection.send(['{"mess', 'age": "h', 'i"}'])
    one.reads(message(1, "User1", "hi"))


# -- many, and the end ------------------------------------------------------------------------------------------------


def test_everybody_sees_the_same_in_the_same_order(service: Service) -> None:
    chatters = [service.enter(f"User{number}") for number in range(4)]
    for number in range(25):
        for chatter in chatters:
            chatter.say(f"{number}")

    seen = []
    for chatter in chatters:
        frames: list[Any] = []
        while len(frames) < 100:
            frame = chatter.read()
            frames += [frame] if frame["type"] == "message" else []
        seen.append(frames)
    assert [frame["id"] for frame in seen[0]] == list(range(1, 101))
    assert seen == [seen[0]] * 4
    for number in range(4):
        texts = [frame["message"] for frame in seen[0] if frame["user"] == f"User{number}"]
        assert texts == [str(number) for number in range(25)]


@only_plain
@pytest.mark.parametrize("reason", [NotReady(), ValueError("a mistake of ours")])
def test_a_message_that_cannot_be_stored_is_told_to_nobody_else(
    service: Service, app: FastAPI, reason: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = service.enter("User1"), service.enter("User2")
    one.reads(join("User2"))

    async def fail(_: object) -> None:
        raise reason

    with monkeypatch.context() as broken:
        broken.setattr(app.state.hub.store, "add", fail)
        one.say("lost", ref="r")
        one.say("lost too")
        one.reads(error(NotStored, ref="r"), error(NotStored))
    one.say("hi")
    for chatter in (one, two):
        chatter.reads(message(1, "User1", "hi"))


@only_frames
def test_a_server_that_stops_closes_with_1012(service: Service) -> None:
    one, two = service.enter("User1"), service.enter("User2", "tea")
    service.stop()
    one.is_closed_with(1012)
    two.is_closed_with(1012)


def test_who_vanishes_has_left(service: Service) -> None:
    one, two = service.enter("User1"), service.enter("User2")
    one.reads(join("User2"))
    if isinstance(two.peer, FramePeer):
        two.peer.connection.socket.close()
    two.close()
    one.reads(leave("User2"))
