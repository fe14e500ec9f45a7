"""Frames of the chat that are small to send and would be large to read: an error frame, and the socket stays."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.websocketdemo.errors import FrameInvalid
from tests.support.databases import only_sqlite

pytestmark = [only_sqlite, pytest.mark.parametrize("settings", [{"guests": True}], indirect=True)]

SIZE = 16_000  # bytes; a frame may have 16 KiB


def said(data: str) -> str:
    return f'{{"message":"hi","data":{data}}}'


def next_of(socket: Any, *types: str) -> Any:
    while (frame := json.loads(socket.receive_text()))["type"] not in types:
        pass
    return frame


REFUSED = {
    "deep": said("[" * 7_900 + "]" * 7_900),
    "deep objects": said('{"a":' * 2_000 + "1" + "}" * 2_000),
    "never closed": "[" * SIZE,
    "a number longer than Python reads": said("9" * 15_000),
    "half a pair": said('"\\ud800"'),
    "a text for a frame": json.dumps("x" * SIZE),
    "many frames in one": ("{}" * SIZE)[:SIZE],
    "many fields that are wrong": json.dumps({"message": [1] * 4_000, "ref": {}, "send_user": []}),
}


@pytest.mark.parametrize("frame", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read(client: TestClient, frame: str) -> None:
    with client.websocket_connect("/websocketdemo/ws/User1") as socket:
        socket.send_text(frame)
        assert next_of(socket, "error", "message")["code"] == FrameInvalid.code
        socket.send_json({"message": "still here"})
        assert next_of(socket, "error", "message")["message"] == "still here"


KEPT = {
    "as deep as is read": ("[" * 100 + "]" * 100),
    "many keys": json.dumps({f"k{number}": 1 for number in range(1_300)}),
    "markup": json.dumps("<script>alert(1)</script>"),
    "a prototype": '{"__proto__":{"is_admin":true},"constructor":{"prototype":{}}}',
}


@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT)
def test_what_is_only_odd_comes_back_as_it_was(client: TestClient, data: str) -> None:
    with client.websocket_connect("/websocketdemo/ws/User1") as socket:
        socket.send_text(said(data))
        assert next_of(socket, "error", "message")["data"] == json.loads(data)
    history = client.get("/websocketdemo/rooms/lobby/messages").json()["data"]
    assert json.dumps(json.loads(data)) in json.dumps(history)
