"""The wiring of one request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Request
from starlette.datastructures import State

from api.accounts.schemas import ADMIN
from api.accounts.throttle.dependencies import ThrottleDep, make_throttle
from api.accounts.users.service import PasswordDesk, Registry, Users
from api.accounts.users.store import UserStore, UserWriter
from extensions.database import Database
from extensions.security import require_role
from utils.fields import MAX_ID

UserId = Annotated[int, Path(ge=1, le=MAX_ID, description="The id of the user.")]

AsAdministrator = Depends(require_role(ADMIN))


@asynccontextmanager
async def open_user_writer(database: Database) -> AsyncIterator[UserWriter]:
    """One transaction on users."""
    async with database.transaction() as connection:
        yield UserWriter(connection)


async def get_user_store(request: Request) -> UserStore:
    return UserStore(request.app.state.database)


UserStoreDep = Annotated[UserStore, Depends(get_user_store)]


async def get_users(request: Request, store: UserStoreDep) -> Users:
    return Users(store, partial(open_user_writer, request.app.state.database))


def make_registry(state: State) -> Registry:
    """The registry over the opened resources."""
    return Registry(state.passwords, partial(open_user_writer, state.database), make_throttle(state.database))


async def get_registry(request: Request) -> Registry:
    return make_registry(request.app.state)


async def get_password_desk(request: Request, store: UserStoreDep, throttle: ThrottleDep) -> PasswordDesk:
    state = request.app.state
    return PasswordDesk(store, partial(open_user_writer, state.database), state.passwords, throttle)


UsersDep = Annotated[Users, Depends(get_users)]
RegistryDep = Annotated[Registry, Depends(get_registry)]
PasswordDeskDep = Annotated[PasswordDesk, Depends(get_password_desk)]
