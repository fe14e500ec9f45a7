"""Messages that come from servers, and the stream for clients that only listen."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.websocketdemo.event_stream import EventStream
from api.websocketdemo.frames import EVERYBODY
from api.websocketdemo.history import READ_ERRORS, HubDep, RoomName
from api.websocketdemo.identity import check_reader
from api.websocketdemo.schemas import Push, Pushed
from api.websocketdemo.store import Said
from extensions.security import User, bearer, require_role
from utils.custom_exc import Forbidden, NotAuthenticated, NotReady, errors
from utils.fields import MAX_ID, utc_now
from utils.routing import EnvelopeRoute

PUSH_ROLES = ("push", "admin")

router = APIRouter(tags=["chat"], route_class=EnvelopeRoute)

Pusher = Annotated[User, Depends(require_role(*PUSH_ROLES))]


@router.post("/push", responses=errors(NotAuthenticated, Forbidden, NotReady))
async def push_message(push: Push, hub: HubDep, sender: Pusher) -> Pushed:
    """Say something to a room (kept in its history), to one user, or to everybody who is connected."""
    if push.room is not None:
        id_, reached = await hub.push(Said(push.room, sender.name, push.message, push.data, utc_now()))
        return Pushed(id=id_, here=reached.here, elsewhere=reached.elsewhere)
    said = Said("", sender.name, push.message, push.data, utc_now())
    reached = await hub.push_directly(said, push.user or EVERYBODY)
    return Pushed(id=None, here=reached.here, elsewhere=reached.elsewhere)


@router.get(
    "/rooms/{room}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(bearer), Depends(check_reader)],
    responses=errors(*READ_ERRORS),
)
async def stream_events(
    room: RoomName,
    hub: HubDep,
    request: Request,
    last_event_id: Annotated[int | None, Header(ge=0, le=MAX_ID, description="As the browser sends it.")] = None,
    since: Annotated[int | None, Query(ge=0, le=MAX_ID, description="The same, for the first time.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """What sockets in the room receive, as Server-Sent Events; the id of a message is the event's id."""
    last_seen = since if last_event_id is None else last_event_id
    stream = EventStream(hub.settings.chat_outbound_bytes)
    async with hub.rooms.listen(room, stream, last_seen):
        async for event in stream:
            yield event
