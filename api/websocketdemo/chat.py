"""The sockets of the chat."""

from functools import partial
from typing import Any

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from api.websocketdemo import metrics
from api.websocketdemo.adding import Said
from api.websocketdemo.errors import (
    FrameInvalid,
    FrameTooLarge,
    OriginNotAllowed,
    RecipientNotConnected,
    SinceInvalid,
    TooManyMessages,
)
from api.websocketdemo.frames import Ack, Reference, Send
from api.websocketdemo.hub import Hub, error_frame, put_out
from api.websocketdemo.identity import (
    BEARER,
    check_name,
    check_origin,
    ends_at,
    find_guest_key,
    identify,
    is_name,
    new_guest_cookie,
)
from api.websocketdemo.outlets import Batch, Outlet, open_outlet
from api.websocketdemo.recorder import Outcome
from api.websocketdemo.sessions import Session
from extensions.security import EXPIRED
from utils.custom_exc import NotAuthenticated, ServiceError
from utils.exception_handlers import readable
from utils.fields import MAX_ID, utc_now
from utils.response_code import resp_error

LOBBY = "lobby"

router = APIRouter()


@router.websocket("/ws/{user}")
async def join_lobby(socket: WebSocket, user: str) -> None:
    """The tutorial's chat: everybody in one room."""
    await serve(socket, LOBBY, user)


@router.websocket("/ws/{room}/{user}")
async def join_room(socket: WebSocket, room: str, user: str) -> None:
    """Any room. Query: `token`, `since` (the id of the last message seen)."""
    await serve(socket, room, user)


async def serve(socket: WebSocket, room: str, user: str) -> None:
    """Hold a socket from its opening to its end."""
    try:
        check_origin(socket)
    except OriginNotAllowed as error:  # the page must not learn more than that
        await socket.send_denial_response(resp_error(error.status_code, code=error.code, message=error.message))
        return
    guest_key = await _accept(socket)
    hub: Hub = socket.app.state.hub
    outlet = open_outlet(socket, hub.settings.chat_outbound_bytes)
    try:
        address = socket.client.host if socket.client else ""
        identity = identify(socket, user, guest_key)
        session = await hub.enter(identity, check_name(room), outlet, address, _since(socket))
    except ServiceError as error:
        metrics.refused.labels(error.code).inc()
        put_out(outlet, error)
        await _wait_until_closed(socket)
        return
    try:
        with ends_at(identity.until, partial(put_out, outlet, NotAuthenticated(EXPIRED))):
            await _read(socket, hub, session)
    finally:
        await hub.leave(session)


async def _accept(socket: WebSocket) -> str:
    """Accept, and give a guest the cookie by which the browser is known again; answers its secret."""
    headers: list[tuple[bytes, bytes]] = []
    guest_key = find_guest_key(socket)
    if guest_key is None:
        guest_key, cookie = new_guest_cookie(socket)
        headers.append((b"set-cookie", cookie.encode()))
    subprotocol = BEARER if BEARER in socket.scope.get("subprotocols", []) else None
    await socket.accept(subprotocol, headers)
    return guest_key


def _since(connection: HTTPConnection) -> int | None:
    text = connection.query_params.get("since")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_ID):
        raise SinceInvalid
    return int(text)


async def _wait_until_closed(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _read(socket: WebSocket, hub: Hub, session: Session) -> None:
    while (frame := await socket.receive())["type"] != "websocket.disconnect":
        try:
            await _handle(frame.get("text"), hub, session)
        except ServiceError as error:
            _refuse(session.outlet, error, read_ref(frame.get("text")))


async def _handle(text: str | None, hub: Hub, session: Session) -> None:
    """Do what a frame says; raises ServiceError when it cannot be done. Whatever it is, it counts."""
    if not session.may_send():
        raise TooManyMessages
    if text is None:
        raise FrameInvalid("Send text frames; binary ones are not read.")
    if len(text) > hub.settings.chat_frame_bytes or len(text.encode()) > hub.settings.chat_frame_bytes:
        raise FrameTooLarge(f"The frame is too large: at most {hub.settings.chat_frame_bytes} bytes.")
    try:
        sent = Send.model_validate_json(text)
    except ValidationError as error:
        raise FrameInvalid(data={"errors": _wrong(error)}) from error
    visit = session.visit
    said = Said(visit.place, visit.name, sent.message, sent.data, utc_now())
    if sent.send_user:
        if not is_name(sent.send_user):
            raise RecipientNotConnected
        await hub.say_directly(said, sent.send_user)
        _tell_outcome(session.outlet, sent.ref, None)
    else:
        await hub.say(said, lambda outcome: _tell_outcome(session.outlet, sent.ref, outcome))


def _tell_outcome(outlet: Outlet, ref: str | None, outcome: Outcome | None) -> None:
    if isinstance(outcome, ServiceError):
        _refuse(outlet, outcome, ref)
    elif ref is not None:
        outlet.deliver(Batch([Ack.model_construct(ref=ref, id=outcome).model_dump_json().encode()]))


def _refuse(outlet: Outlet, error: ServiceError, ref: str | None) -> None:
    metrics.refused.labels(error.code).inc()
    outlet.deliver(Batch([error_frame(error, ref)]))


def _wrong(error: ValidationError) -> list[dict[str, Any]]:
    """What does not fit where, as REST says it; never the rejected input."""
    return [
        {"loc": list(item["loc"]), "message": readable(item["msg"]), "type": item["type"]} for item in error.errors()
    ]


def read_ref(text: str | None) -> str | None:
    """The `ref` of a frame that was refused, if it can be read."""
    try:
        return Reference.model_validate_json(text or "").ref
    except ValidationError:
        return None
