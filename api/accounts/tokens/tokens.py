"""The routes of tokens."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.security import OAuth2PasswordRequestForm

from api.accounts.errors import LoginFailed, RefreshTokenInvalid, TooManyAttempts
from api.accounts.schemas import RefreshToken, TokenAnswer
from api.accounts.throttle.dependencies import AddressDep
from api.accounts.tokens.dependencies import LoginDep, RefreshDep
from utils.custom_exc import NotReady, errors
from utils.response_code import document_headers
from utils.routing import EnvelopeRoute

router = APIRouter(prefix="/token", tags=["tokens"], route_class=EnvelopeRoute)

NOT_KEPT = document_headers(200, "Cache-Control")

LoginForm = Annotated[OAuth2PasswordRequestForm, Depends()]


async def keep_nowhere(response: Response) -> None:
    """No cache may keep tokens."""
    response.headers["Cache-Control"] = "no-store"


KeptNowhere = Depends(keep_nowhere)


@router.post("", dependencies=[KeptNowhere], responses={**NOT_KEPT, **errors(NotReady, LoginFailed, TooManyAttempts)})
async def create_token(form: LoginForm, address: AddressDep, login: LoginDep) -> TokenAnswer:
    """Log in with name and password. Only these two are looked at; it is the password grant of OAuth 2.

    Ten wrong passwords for a name from one address, and it is one a minute from there (429), the right one included.
    """
    return await login.log_in(form.username, form.password, address)


@router.post("/refresh", dependencies=[KeptNowhere], responses={**NOT_KEPT, **errors(NotReady, RefreshTokenInvalid)})
async def refresh_token(body: RefreshToken, refresh: RefreshDep) -> TokenAnswer:
    """Get the next pair of tokens. A refresh token is good once: with a used one the login ends, for whoever has it.

    However often it is refreshed, a login ends after APP_SESSION_DAYS.
    """
    return await refresh.refresh(body.refresh_token)


@router.post("/revoke", status_code=204, response_class=Response, responses=errors(NotReady, RefreshTokenInvalid))
async def revoke_token(body: RefreshToken, refresh: RefreshDep) -> None:
    """Log out: the refresh token is good no more. The access token runs out within minutes."""
    await refresh.revoke(body.refresh_token)
