"""Access tokens: signed, verified without a database, so that any sub-project can run alone."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import State

from utils.custom_exc import Forbidden, NotAuthenticated

ALGORITHM = "HS256"
CLOCK_LEEWAY_SECONDS = 10

bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="`python main.py token NAME --role admin` prints one."
)


@dataclass(frozen=True)
class User:
    """Who a token speaks for."""

    name: str
    roles: frozenset[str]


class Tokens:
    """Signs and verifies access tokens with one secret key."""

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key

    def sign(self, name: str, roles: frozenset[str], minutes: int) -> str:
        """A token for `name`, valid for so many minutes."""
        now = datetime.now(UTC)
        claims = {"sub": name, "roles": sorted(roles), "iat": now, "exp": now + timedelta(minutes=minutes)}
        return jwt.encode(claims, self._secret_key, ALGORITHM)

    def verify(self, token: str) -> User:
        """Who the token speaks for; raises NotAuthenticated when it is forged, broken or expired."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret_key,
                [ALGORITHM],
                leeway=CLOCK_LEEWAY_SECONDS,
                options={"require": ["sub", "exp", "roles"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise NotAuthenticated("The access token has expired; get a new one.") from error
        except jwt.InvalidTokenError as error:
            raise NotAuthenticated("The access token is not valid.") from error
        roles = claims["roles"]
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise NotAuthenticated("The access token is not valid.")
        return User(claims["sub"], frozenset(roles))


@asynccontextmanager
async def open_tokens(state: State) -> AsyncIterator[Tokens]:
    """Offer the tokens that the settings' key signs."""
    yield Tokens(state.settings.secret_key.get_secret_value())


async def current_user(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> User:
    """The user of this request; raises NotAuthenticated without a valid token."""
    if credentials is None:
        raise NotAuthenticated
    tokens: Tokens = request.app.state.tokens
    return tokens.verify(credentials.credentials)


UserDep = Annotated[User, Depends(current_user)]


def require_role(*roles: str) -> Callable[[User], Coroutine[Any, Any, User]]:
    """A dependency that lets only users with one of these roles pass; raises Forbidden."""

    async def has_role(user: UserDep) -> User:
        if user.roles.isdisjoint(roles):
            raise Forbidden(f"This needs the role {' or '.join(f'“{role}”' for role in roles)}.")
        return user

    return has_role
