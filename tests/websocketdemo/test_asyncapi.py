"""The AsyncAPI document: valid, complete, and what the sockets really do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute
from fastapi.testclient import TestClient

from api import create_app
from api.websocketdemo import errors
from api.websocketdemo.asyncapi import Service, build_document
from api.websocketdemo.frames import ServerFrame
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from utils.custom_exc import NotAuthenticated, NotReady, ServiceError
from utils.html_pages import STYLED

OFFICIAL_SCHEMA = Path(__file__).parent / "data" / "asyncapi-specs-6.11.1" / "3.0.0.json"

SERVICE = Service("Shop & Co", "1.2.3", "wss", "shop.test", "/prefix", guests=False, limits=(("chat_keep_days", 7),))
DOCUMENT = build_document(SERVICE)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
RECEIVED = ["Join", "Leave", "Message", "Direct", "Ack", "Recovered", "Error"]
BY_TYPE = {SCHEMAS[name]["properties"]["type"]["const"]: name for name in RECEIVED}
LOBBY = "/websocketdemo/ws"
OWN_ERRORS = [item for item in vars(errors).values() if isinstance(item, type) and item.__module__ == errors.__name__]


def wrong(name: str, frame: Any) -> list[str]:
    """Where a frame is not what the document says of this message."""
    validator = jsonschema_rs.Draft7Validator(SCHEMAS[name], validate_formats=True)
    return [error.message for error in validator.iter_errors(frame)]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        node = node[key]
    return node


# -- the document -----------------------------------------------------------------------------------------------------


def test_the_document_is_valid() -> None:
    official = jsonschema_rs.Draft7Validator(json.loads(OFFICIAL_SCHEMA.read_text("utf-8")), validate_formats=True)
    assert [error.message for error in official.iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "channels": {"lobby": {**DOCUMENT["channels"]["lobby"], "addres": ""}}}
    assert not official.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert {reference: resolve(reference) for reference in found if not resolve(reference)} == {}
    assert {f"#/components/messages/{name}" for name in MESSAGES} <= found
    assert {f"#/components/schemas/{name}" for name in SCHEMAS} <= found


def test_everything_else_of_the_document_is_said() -> None:
    assert build_document(SERVICE) == DOCUMENT, "it is the same each time"
    assert [DOCUMENT[key] for key in ("asyncapi", "defaultContentType")] == ["3.0.0", "application/json"]
    assert {**DOCUMENT["info"], "description": ""} == {"title": "Shop & Co chat", "version": "1.2.3", "description": ""}
    assert "works unchanged" in DOCUMENT["info"]["description"]
    assert [entry["code"] for entry in DOCUMENT["x-close-codes"]] == [1008, 1009, 1011, 1012, 1013]
    assert DOCUMENT["x-limits"] == [
        {"name": "chat_keep_days", "value": 7, "description": "Days for which messages are kept."}
    ]


def test_the_service_receives_what_clients_send_and_sends_the_rest() -> None:
    def operation(action: str, summary: str, channel: str, *names: str) -> dict[str, Any]:
        messages = [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]
        return {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": messages,
        }

    assert [frame.__name__ for frame in get_args(ServerFrame)] == RECEIVED
    assert list(MESSAGES) == list(DOCUMENT["channels"]["room"]["messages"]) == ["Send", *RECEIVED]
    assert set(SCHEMAS) == set(MESSAGES)
    assert DOCUMENT["operations"] == {
        "receive_in_lobby": operation("receive", "What a client sends.", "lobby", "Send"),
        "send_in_lobby": operation("send", "What a client gets.", "lobby", *RECEIVED),
        "receive_in_room": operation("receive", "What a client sends.", "room", "Send"),
        "send_in_room": operation("send", "What a client gets.", "room", *RECEIVED),
    }


def test_the_channels_are_the_sockets_of_the_service() -> None:
    routes = create_app(TestingSettings()).routes
    sockets = {route.path for route in routes if isinstance(route, APIWebSocketRoute)}
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == sockets
    for channel in DOCUMENT["channels"].values():
        assert re.findall(r"{(\w+)}", channel["address"]) == list(channel["parameters"])
        for parameter in channel["parameters"].values():
            assert r"`^[\w.\-]{1,32}$`" in parameter["description"]
        query = channel["bindings"]["ws"]["query"]["properties"]
        assert {name: (field["type"], field.get("minimum")) for name, field in query.items()} == {
            "token": ("string", None),
            "since": ("integer", 0),
        }


def test_a_message_is_what_its_model_is() -> None:
    assert MESSAGES["Ack"] == {
        "name": "Ack",
        "title": "Your message with this `ref` is stored (a private one: handed on) and will not be lost.",
        "summary": "You get it; its `type` is `ack`.",
        "description": "It comes before or after the message itself.",
        "payload": {"$ref": "#/components/schemas/Ack"},
        "examples": [
            {
                "name": "stored",
                "summary": "It is message 17 of the room.",
                "payload": {"type": "ack", "ref": "a1", "id": 17},
            },
            {
                "name": "handed_on",
                "summary": "A private message was handed on.",
                "payload": {"type": "ack", "ref": "a1", "id": None},
            },
        ],
    }
    assert SCHEMAS["Message"]["properties"]["data"] == {"description": "What the sender sent with it, or null."}
    assert SCHEMAS["Send"]["required"] == ["message"]
    for name in RECEIVED:
        assert SCHEMAS[name]["required"] == list(SCHEMAS[name]["properties"])


@pytest.mark.parametrize("name", MESSAGES)
def test_examples_are_what_the_payload_says(name: str) -> None:
    examples = MESSAGES[name]["examples"]
    assert examples
    assert {example["name"]: wrong(name, example["payload"]) for example in examples} == {
        example["name"]: [] for example in examples
    }
    assert wrong(name, {"type": "nonsense"}) != []


def test_every_error_is_listed_with_its_code_and_sentence() -> None:
    frames: list[type[ServiceError]] = [NotAuthenticated, NotReady, *OWN_ERRORS]
    frames.remove(errors.OriginNotAllowed)
    listed = {example["name"]: example["payload"] for example in MESSAGES["Error"]["examples"]}
    assert {name: (frame["code"], frame["message"]) for name, frame in listed.items()} == {
        error.__name__: (error.code, error.message) for error in frames
    }
    statuses = [int(str(frame["code"])[:3]) for frame in listed.values()]
    assert statuses == sorted(statuses)


def test_what_ends_with_a_token_is_said() -> None:
    assert (
        "an error frame with 401, and the socket is closed with 1008" in DOCUMENT["servers"]["service"]["description"]
    )


def test_a_page_of_another_origin_gets_no_frame_but_an_answer() -> None:
    said = f"HTTP 403 with the code 40311: {errors.OriginNotAllowed.message}"
    assert said in DOCUMENT["servers"]["service"]["description"]


def test_every_way_to_send_a_token_is_a_security_scheme() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    places = {name: (scheme.get("in"), scheme.get("name")) for name, scheme in schemes.items()}
    assert places == {
        "query": ("query", "token"),
        "subprotocol": ("header", "Sec-WebSocket-Protocol"),
        "header": (None, None),
        "cookie": ("cookie", "access_token"),
    }
    assert schemes["header"]["scheme"] == "bearer"
    assert DOCUMENT["servers"]["service"]["security"] == [
        {"$ref": f"#/components/securitySchemes/{name}"} for name in places
    ]


# -- served -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "root_path", "expected"),
    [
        ("http://shop.test:8010", "", {"host": "shop.test:8010", "protocol": "ws"}),
        ("https://shop.test", "/prefix/", {"host": "shop.test", "pathname": "/prefix", "protocol": "wss"}),
    ],
)
def test_the_server_is_the_one_that_was_asked(base_url: str, root_path: str, expected: dict[str, str]) -> None:
    app = create_app(TestingSettings(guests=True, chat_keep_days=9))
    answer = TestClient(app, base_url=base_url, root_path=root_path).get("/asyncapi.json")
    document = answer.json()
    server = document["servers"]["service"]
    assert answer.headers["content-type"] == "application/json"
    assert {key: server[key] for key in ("host", "pathname", "protocol") if key in server} == expected
    assert "Guests may come in" in server["description"]
    assert {"name": "chat_keep_days", "value": 9, "description": "Days for which messages are kept."} in document[
        "x-limits"
    ]
    assert {**document, "servers": {}, "x-limits": []} == {
        **DOCUMENT,
        "info": {**DOCUMENT["info"], "title": f"{app.title} chat", "version": app.version},
        "servers": {},
        "x-limits": [],
    }


def test_guests_are_not_let_in_where_they_are_not() -> None:
    document = TestClient(create_app(TestingSettings(guests=False))).get("/asyncapi.json").json()
    assert "Guests are not let in." in document["servers"]["service"]["description"]


@pytest.mark.parametrize("host", ["[", 'evil"><script>', "a b", ""])
def test_a_hostile_host_header_is_only_text(host: str) -> None:
    answer = TestClient(create_app(TestingSettings())).get("/asyncapi.json", headers={"Host": host})
    assert answer.json()["servers"]["service"]["host"] == host


def test_the_page_loads_only_what_is_ours_and_below_the_prefix() -> None:
    answer = TestClient(create_app(TestingSettings()), root_path="/prefix").get("/asyncapi")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == STYLED
    links = re.findall(r'(?:href|src|data-[a-z-]*url)="([^"#][^"]*)"', answer.text)
    assert links
    assert [link for link in links if not link.startswith("/prefix/")] == []
    assert re.search(r"<style|<script>|style=|\son\w+=", answer.text) is None


def test_the_landing_page_has_a_card_for_it() -> None:
    answer = TestClient(create_app(TestingSettings())).get("/", headers={"Accept": "text/html"})
    assert '<a class="card" href="/asyncapi"><b>Socket protocol</b>' in answer.text


# -- what the sockets really do ---------------------------------------------------------------------------------------


def gather(socket: Any, wanted: set[str]) -> dict[str, Any]:
    """Read until there was a frame of each wanted type; each must be as documented."""
    found: dict[str, Any] = {}
    while not wanted <= set(found):
        frame = socket.receive_json()
        assert wrong(BY_TYPE[frame["type"]], frame) == [], frame
        found[frame["type"]] = frame
    return found


@only_sqlite
def test_the_frames_that_sockets_get_are_as_documented(client: TestClient) -> None:
    with client.websocket_connect(f"{LOBBY}/User1") as one:
        with client.websocket_connect(f"{LOBBY}/lobby/User2") as two:
            gather(two, {"join"})
            for example in MESSAGES["Send"]["examples"]:
                two.send_json(example["payload"])
            two.send_json({"message": "psst", "send_user": "nobody"})
            gather(two, {"message", "direct", "ack", "error"})
        gather(one, {"join", "message", "leave"})
    with client.websocket_connect(f"{LOBBY}/User1?since=1") as one:
        assert gather(one, {"recovered", "message"})["recovered"]["since"] == 1


def documented_error(frame: Any) -> str:
    """What the document says happens with an error frame like this one."""
    (summary,) = [e["summary"] for e in MESSAGES["Error"]["examples"] if e["payload"]["code"] == frame["code"]]
    return str(summary)


@only_sqlite
@pytest.mark.parametrize("text", ["nonsense", "[]", '{"message":"hi","send_user":"nobody"}', "1" * 20_000])
def test_a_socket_stays_open_where_the_document_says_so(client: TestClient, text: str) -> None:
    with client.websocket_connect(f"{LOBBY}/User1") as socket:
        socket.send_text(text)
        assert documented_error(gather(socket, {"error"})["error"]).endswith("The socket stays open.")
        socket.send_json({"message": "hi"})
        gather(socket, {"message"})


@only_sqlite
@pytest.mark.parametrize("path", ["User1?token=x", "User1?since=-1", "no%20name", "no%20room/User1"])
def test_a_socket_is_closed_where_the_document_says_so(client: TestClient, path: str) -> None:
    with client.websocket_connect(f"{LOBBY}/{path}") as socket:
        assert documented_error(gather(socket, {"error"})["error"]).endswith("The socket is closed with 1008.")
        assert socket.receive()["code"] == 1008


@only_sqlite
def test_a_socket_stays_closed_while_nothing_is_ready(client: TestClient, app: FastAPI, monkeypatch: Any) -> None:
    async def enter(*_: Any) -> None:
        raise NotReady

    monkeypatch.setattr(app.state.hub, "enter", enter)
    with client.websocket_connect(f"{LOBBY}/User1") as socket:
        assert "closed with 1013" in documented_error(gather(socket, {"error"})["error"])
        assert socket.receive()["code"] == 1013
