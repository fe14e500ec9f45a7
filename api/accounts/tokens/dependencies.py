"""The wiring of one request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from api.accounts.throttle.dependencies import ThrottleDep
from api.accounts.tokens.service import Issuer, Login, Refresh
from api.accounts.tokens.store import SessionStore
from api.accounts.users.dependencies import UserStoreDep
from extensions.database import Database


@asynccontextmanager
async def open_session_store(database: Database) -> AsyncIterator[SessionStore]:
    """One transaction on sessions."""
    async with database.transaction() as connection:
        yield SessionStore(connection)


async def get_issuer(request: Request) -> Issuer:
    state = request.app.state
    return Issuer(state.tokens, state.settings.token_minutes)


IssuerDep = Annotated[Issuer, Depends(get_issuer)]


async def get_login(request: Request, users: UserStoreDep, throttle: ThrottleDep, issuer: IssuerDep) -> Login:
    state = request.app.state
    open_sessions = partial(open_session_store, state.database)
    return Login(users, state.passwords, throttle, open_sessions, issuer, timedelta(days=state.settings.session_days))


async def get_refresh(request: Request, issuer: IssuerDep) -> Refresh:
    return Refresh(partial(open_session_store, request.app.state.database), issuer)


LoginDep = Annotated[Login, Depends(get_login)]
RefreshDep = Annotated[Refresh, Depends(get_refresh)]
