"""Messages that come from servers, and the stream for clients that only listen."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.websocketdemo.adding import Said
from api.websocketdemo.errors import NotStored
from api.websocketdemo.event_stream import EventStream
from api.websocketdemo.frames import EVERYBODY
from api.websocketdemo.history import READ_ERRORS, HubDep, RoomName
from api.websocketdemo.identity import check_reader, ends_at
from api.websocketdemo.schemas import Push, Pushed
from extensions.security import TOKEN_IF_ANY, User, require_role
from utils.custom_exc import Forbidden, NotAuthenticated, NotReady, errors
from utils.fields import MAX_ID, utc_now
from utils.request_context import ON_STOP
from utils.routing import EnvelopeRoute

PUSH_ROLES = ("push", "admin")

router = APIRouter(tags=["chat"], route_class=EnvelopeRoute)

Pusher = Annotated[User, Depends(require_role(*PUSH_ROLES))]


async def open_stream(
    room: RoomName,
    hub: HubDep,
    request: Request,
    until: Annotated[float, Depends(check_reader)],
    last_event_id: Annotated[int | None, Header(ge=0, le=MAX_ID, description="As the browser sends it.")] = None,
    since: Annotated[int | None, Query(ge=0, le=MAX_ID, description="The same, for the first time.")] = None,
) -> AsyncIterator[EventStream]:
    """Opened before the answer begins, so that a failure still is one; it ends with the token's time."""
    stream = EventStream(hub.settings.chat_outbound_bytes)
    request.scope.setdefault("state", {})[ON_STOP] = stream.close
    async with hub.rooms.listen(room, stream, since if last_event_id is None else last_event_id):
        with ends_at(until, stream.close):
            yield stream


@router.post("/push", responses=errors(NotAuthenticated, Forbidden, NotReady, NotStored))
async def push_message(push: Push, hub: HubDep, sender: Pusher) -> Pushed:
    """Say something to a room (kept in its history), to one user, or to everybody who is connected."""
    said = Said(push.room or "", sender.name, push.message, push.data, utc_now())
    if push.room is None:
        id_, reached = None, await hub.push_directly(said, push.user or EVERYBODY)
    else:
        id_, reached = await hub.push(said)
    return Pushed(id=id_, here=reached.here, elsewhere=reached.elsewhere)


@router.get(
    "/rooms/{room}/events",
    response_class=EventSourceResponse,
    responses=errors(*READ_ERRORS),
    openapi_extra=TOKEN_IF_ANY,
)
async def stream_events(stream: Annotated[EventStream, Depends(open_stream)]) -> AsyncIterator[ServerSentEvent]:
    """What sockets in the room receive, as Server-Sent Events; the id of a message is the event's id."""
    async for event in stream:
        yield event
