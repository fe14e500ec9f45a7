"""What can be read about rooms without a socket."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from api.websocketdemo.errors import GuestsNotAllowed
from api.websocketdemo.frames import NAME_PATTERN
from api.websocketdemo.hub import Hub
from api.websocketdemo.identity import check_reader
from api.websocketdemo.schemas import History, Member, Room
from extensions.security import TOKEN_IF_ANY
from utils.custom_exc import NotAuthenticated, NotReady, errors
from utils.fields import MAX_ID
from utils.routing import EnvelopeRoute

MAX_MESSAGES = 200
READ_ERRORS = (NotReady, NotAuthenticated, GuestsNotAllowed)

router = APIRouter(tags=["chat"], route_class=EnvelopeRoute, dependencies=[Depends(check_reader)])

RoomName = Annotated[str, Path(pattern=NAME_PATTERN, examples=["lobby"])]


async def get_hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


HubDep = Annotated[Hub, Depends(get_hub)]


@router.get("/rooms", responses=errors(*READ_ERRORS), openapi_extra=TOKEN_IF_ANY)
async def list_rooms(hub: HubDep) -> list[Room]:
    """Rooms with somebody in them, the fullest first, then the newest 100 others that have a history."""
    online = await hub.broker.places()
    last_ids = await hub.store.newest_rooms() | await hub.store.last_ids(online)
    names = sorted({*online, *last_ids}, key=lambda name: (-online.get(name, 0), name))
    return [Room(name=name, online=online.get(name, 0), last_id=last_ids.get(name, 0)) for name in names]


@router.get("/rooms/{room}/users", responses=errors(*READ_ERRORS), openapi_extra=TOKEN_IF_ANY)
async def list_members(room: RoomName, hub: HubDep) -> list[Member]:
    """Who is in a room now, on any worker, by name."""
    members = await hub.broker.members(room)
    return [Member(name=name, sockets=members[name]) for name in sorted(members)]


@router.get("/rooms/{room}/messages", responses=errors(*READ_ERRORS), openapi_extra=TOKEN_IF_ANY)
async def list_messages(
    room: RoomName,
    hub: HubDep,
    before: Annotated[int, Query(ge=1, le=MAX_ID, description="Only messages with a smaller id.")] = MAX_ID,
    after: Annotated[int | None, Query(ge=0, le=MAX_ID, description="Only messages with a larger id.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_MESSAGES)] = 50,
) -> History:
    """The newest messages, or those next to `before` or `after`; always the oldest first."""
    if after is None:
        items = await hub.store.before(room, before, limit)
    else:
        items = await hub.store.after(room, after, limit, before=before)
    span = await hub.store.span(room)
    return History(items=items, first_id=span.first_id, last_id=span.last_id)
