"""The socket protocol as an AsyncAPI document, made of the models and errors that the code uses, and its page."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from inspect import getdoc
from pathlib import Path
from typing import Any, NamedTuple, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.websocketdemo import errors
from api.websocketdemo.frames import (
    NAME_PATTERN,
    Ack,
    Direct,
    Error,
    Join,
    Leave,
    Message,
    Recovered,
    Send,
    ServerFrame,
)
from api.websocketdemo.identity import BEARER, TOKEN_COOKIE
from extensions.server import READ_FRAMES
from settings import Settings
from utils.custom_exc import NotAuthenticated, NotReady, ServiceError
from utils.html_pages import STYLED, render, root_path
from utils.routing import EnvelopeRoute

Document = dict[str, Any]
Model = type[BaseModel]
Example = tuple[str, str, Document]  # its name, its summary, its payload

PAGE = Path(__file__).parent / "templates" / "asyncapi.html"
SCHEMAS = "#/components/schemas/"
SERVER_FRAMES: tuple[Model, ...] = get_args(ServerFrame)
MODELS: tuple[Model, ...] = (Send, *SERVER_FRAMES)
KEPT_DOCUMENTS = 16  # one for each address by which the service is called

DESCRIPTION = """\
Connect, and you are in the room: you get your own `join`, then whatever is said there, in the same order as everybody.

A client of the tutorial's chat works unchanged in the lobby. It sends `message`, or `send_user` and `message`, and \
reads `user` and `message`; all other keys came later and may be ignored.

Frames are JSON text frames; for anything else you get an error frame, and the socket stays open."""

NAMES = f"1 to 32 letters of any script, digits, “_”, “-” or “.”; as a pattern: `{NAME_PATTERN}`"
USER = {
    "description": f"Who you are to the others; with a token its name counts, whatever stands here. {NAMES}",
    "examples": ["User1", "小明"],
}
ROOM = {"description": f"The room; it exists as soon as somebody is in it. {NAMES}", "examples": ["tea", "lobby"]}

QUERY = {
    "type": "object",
    "properties": {
        "token": {"type": "string", "description": "An access token; there are other ways to send it."},
        "since": {
            "type": "integer",
            "minimum": 0,
            "description": "The id of the last message that you have: `recovered` and what you missed come first.",
        },
    },
}

SECURITY_SCHEMES = {
    "query": {"type": "httpApiKey", "in": "query", "name": "token", "description": "Simple; but proxies may log it."},
    "subprotocol": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": f"`{BEARER}, <token>`: what a page can send out of sight, "
        f'`new WebSocket(address, ["{BEARER}", token])`.',
    },
    "header": {"type": "http", "scheme": BEARER, "description": f"`Authorization: {BEARER.title()} <token>`"},
    "cookie": {"type": "httpApiKey", "in": "cookie", "name": TOKEN_COOKIE, "description": "Sent by the browser."},
}

CLOSE_CODES = [
    {
        "code": 1008,
        "reason": "Refused, or your token's time is over; the error frame before it says why.",
        "then": "Mend that first; with a new token come back with `since`.",
    },
    {
        "code": 1009,
        "reason": f"A frame was so large that it was not even read: more than {READ_FRAMES} times `chat_frame_bytes`.",
        "then": "Come back and send less.",
    },
    {"code": 1011, "reason": "Something crashed, or your pong did not come.", "then": "Come back with `since`."},
    {"code": 1012, "reason": "The service restarts.", "then": "Come back with `since`."},
    {"code": 1013, "reason": "You read too slowly, or the service is not ready.", "then": "Come back with `since`."},
]

REFUSED_PAGE = errors.OriginNotAllowed
REFUSED_FRAMES = (  # the socket stays open
    errors.RecipientNotConnected,
    errors.FrameTooLarge,
    errors.FrameInvalid,
    errors.TooManyMessages,
    errors.NotStored,
)

router = APIRouter(route_class=EnvelopeRoute, tags=["chat"])


@router.get("/asyncapi.json", include_in_schema=False)
async def show_asyncapi(request: Request) -> Response:
    """The AsyncAPI document."""
    return Response(_write(describe_service(request)), media_type="application/json")


@router.get("/asyncapi", response_class=HTMLResponse, summary="Socket protocol")
async def show_asyncapi_page(request: Request) -> Response:
    """The page to read the protocol of the chat's sockets on: addresses, frames, error codes and close codes."""
    return render(request, PAGE, STYLED)


class Service(NamedTuple):
    """What the document says of the service it is about."""

    title: str
    version: str
    scheme: str
    host: str
    path: str
    guests: bool
    limits: tuple[tuple[str, int], ...]


def describe_service(request: Request) -> Service:
    """The service, under the address by which this request called it."""
    settings: Settings = request.app.state.settings
    return Service(
        title=request.app.title,
        version=request.app.version,
        scheme="wss" if request.scope["scheme"] in ("https", "wss") else "ws",
        host=request.headers.get("host", "localhost"),
        path=root_path(request),
        guests=settings.guests,
        limits=tuple((name, getattr(settings, name)) for name in Settings.model_fields if name.startswith("chat_")),
    )


@lru_cache(KEPT_DOCUMENTS)
def _write(service: Service) -> bytes:
    return json.dumps(build_document(service), ensure_ascii=False, separators=(",", ":")).encode()


def build_document(service: Service) -> Document:
    """The document; `send` and `receive` in it are the service's, as AsyncAPI has it."""
    lobby = _channel("The lobby", "The tutorial's chat: everybody is in the room `lobby`.", "{user}", user=USER)
    room = _channel("Any room", "The same in a room of your choice.", "{room}/{user}", room=ROOM, user=USER)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"{service.title} chat", "version": service.version, "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {"service": _server(service)},
        "channels": {"lobby": lobby, "room": room},
        "operations": {**_operations("lobby"), **_operations("room")},
        "components": {
            "messages": {model.__name__: _message(model) for model in MODELS},
            "schemas": _schemas(),
            "securitySchemes": SECURITY_SCHEMES,
        },
        "x-close-codes": CLOSE_CODES,
        "x-limits": [
            {"name": name, "value": value, "description": Settings.model_fields[name].description}
            for name, value in service.limits
        ],
    }


def _server(service: Service) -> Document:
    guests = "may come in without one, under any name that is free" if service.guests else "are not let in"
    return {
        "host": service.host,
        **({"pathname": service.path} if service.path else {}),
        "protocol": service.scheme,
        "description": f"An access token, sent in one of these ways, says who you are. Guests {guests}. "
        f"When the token's time is over you get an error frame with {NotAuthenticated.code}, and the socket is closed "
        "with 1008.\n\n"
        f"Instead of a socket, a page of another origin gets HTTP {REFUSED_PAGE.status_code} with the code "
        f"{REFUSED_PAGE.code}: {REFUSED_PAGE.message}",
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in SECURITY_SCHEMES],
    }


def _channel(title: str, summary: str, address: str, **parameters: Document) -> Document:
    return {
        "address": f"/websocketdemo/ws/{address}",
        "title": title,
        "summary": summary,
        "servers": [{"$ref": "#/servers/service"}],
        "parameters": parameters,
        "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"} for model in MODELS},
        "bindings": {"ws": {"method": "GET", "query": QUERY, "bindingVersion": "0.1.0"}},
    }


def _operations(channel: str) -> Document:
    def operation(action: str, summary: str, *models: Model) -> Document:
        return {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": [{"$ref": f"#/channels/{channel}/messages/{model.__name__}"} for model in models],
        }

    return {
        f"receive_in_{channel}": operation("receive", "What a client sends.", Send),
        f"send_in_{channel}": operation("send", "What a client gets.", *SERVER_FRAMES),
    }


def _message(model: Model) -> Document:
    title, _, description = (getdoc(model) or "").partition("\n\n")
    kind = model.model_fields["type"].default if model is not Send else None
    return {
        "name": model.__name__,
        "title": title,
        "summary": f"You get it; its `type` is `{kind}`." if kind else "You send it.",
        **({"description": description.replace("\n", " ")} if description else {}),
        "payload": {"$ref": f"{SCHEMAS}{model.__name__}"},
        "examples": [
            {"name": name, "summary": summary, "payload": _written(model(**fields))}
            for name, summary, fields in EXAMPLES[model]
        ],
    }


def _written(frame: BaseModel) -> Document:
    """A frame as it is sent: a client leaves out what it does not use, the service writes every key."""
    return frame.model_dump(mode="json", exclude_unset=isinstance(frame, Send))


def _schemas() -> Document:
    """The payloads; a frame of the service has every key, and none of them by default."""
    wanted = [(Send, "validation"), *((model, "serialization") for model in SERVER_FRAMES)]
    _, found = models_json_schema(wanted, ref_template=f"{SCHEMAS}{{model}}")  # type: ignore[arg-type]
    schemas: Document = found["$defs"]
    del schemas["JsonValue"]
    for name, schema in schemas.items():
        for field in schema["properties"].values():
            field.pop("title", None)
            if field.get("$ref") == f"{SCHEMAS}JsonValue":
                del field["$ref"]  # any JSON; and nobody reads what stands beside a reference
            if name != Send.__name__:
                field.pop("default", None)
    return schemas


def listed_errors() -> list[type[ServiceError]]:
    """The errors that a socket can get as a frame, by their status and code."""
    own = [item for item in vars(errors).values() if isinstance(item, type) and item.__module__ == errors.__name__]
    found = {NotAuthenticated, NotReady, *own} - {REFUSED_PAGE}
    return sorted(found, key=lambda error: (error.status_code, error.code))


def _error_examples() -> Iterator[Example]:
    for error in listed_errors():
        first_line = (error.__doc__ or "").partition("\n")[0]
        ref, then = None, "The socket is closed with 1008."
        if error in REFUSED_FRAMES:
            ref, then = "a1", "The socket stays open."
        elif error is NotReady:
            then = "When you come in, the socket is closed with 1013; after a frame it stays open."
        yield error.__name__, f"{first_line} {then}", {"code": error.code, "message": error.message, "ref": ref}


TOLD: Document = {"user": "User1", "room": "lobby", "time": datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)}

EXAMPLES: dict[Model, list[Example]] = {
    Send: [
        ("everybody", "To everybody in the room, as the tutorial's client does.", {"message": "hi"}),
        ("one_user", "To one user alone.", {"send_user": "User2", "message": "psst"}),
        ("acknowledged", "With an ack, and with data.", {"message": "你好", "ref": "a1", "data": {"mood": "happy"}}),
    ],
    Join: [("join", "User1 came in.", TOLD)],
    Leave: [("leave", "User1 has gone.", TOLD)],
    Message: [("message", "User1 said hi.", {**TOLD, "message": "hi", "id": 17})],
    Direct: [("direct", "User1 whispered to User2.", {**TOLD, "message": "psst", "send_user": "User2"})],
    Ack: [
        ("stored", "It is message 17 of the room.", {"ref": "a1", "id": 17}),
        ("handed_on", "A private message was handed on.", {"ref": "a1", "id": None}),
    ],
    Recovered: [
        ("whole", "Messages 13 to 17 follow.", {"room": "lobby", "recovered": True, "since": 12, "last_id": 17}),
        ("newest", "Only the newest do.", {"room": "lobby", "recovered": False, "since": 12, "last_id": 90_000}),
    ],
    Error: list(_error_examples()),
}
