"""Access tokens: signed, verified without a database, so that any sub-project can run alone."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf
from time import time
from typing import Annotated, Any, Self

import jwt
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, OAuth2PasswordBearer
from starlette.datastructures import State
from starlette.requests import HTTPConnection

from settings import Settings
from utils.custom_exc import Forbidden, NotAuthenticated

ALGORITHM = "HS256"
CLOCK_LEEWAY_SECONDS = 10
REMEMBERED_TOKENS = 10_000  # verified ones, some 600 bytes each
EXPIRED = "The access token has expired; get a new one."
INVALID = "The access token is not valid."


class PasswordLogin(OAuth2PasswordBearer):
    """Says in OpenAPI where a name and a password get a token; the token itself `bearer` reads, for both."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Find nothing."""


bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="`python main.py token NAME --role admin` prints one."
)
password_login = PasswordLogin(
    "accounts/token",
    scheme_name=OAuth2PasswordBearer.__name__,
    description="Name and password of an account.",
    auto_error=False,
)

# What OpenAPI says of a route that finds its token by itself, and needs one or not.
TOKEN_IF_ANY: dict[str, Any] = {"security": [{}, {bearer.scheme_name: []}, {password_login.scheme_name: []}]}


@dataclass(frozen=True)
class User:
    """Who a token speaks for, and until when: in seconds since the epoch, as late as any clock of ours lets it in."""

    name: str
    roles: frozenset[str]
    until: float = field(default=inf, compare=False)


class Tokens:
    """Signs with one key and verifies with several, so that keys can be replaced while their tokens live.

    A token names its key (`kid`, which follows from the key itself).
    """

    def __init__(self, secret_key: str, *accepted_keys: str) -> None:
        self._secret_key = secret_key
        self._keys = {_key_id(key): key for key in (*accepted_keys, secret_key)}
        self._headers = {"kid": _key_id(secret_key)}
        self._verified = lru_cache(REMEMBERED_TOKENS)(self._verify)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The tokens that the settings' keys sign and verify."""
        accepted = (key.get_secret_value() for key in settings.accepted_keys)
        return cls(settings.secret_key.get_secret_value(), *accepted)

    def sign(self, name: str, roles: frozenset[str], minutes: int) -> str:
        """A token for `name`, valid for so many minutes."""
        return self._encode({"sub": name, "roles": sorted(roles)}, timedelta(minutes=minutes))

    def verify(self, token: str) -> User:
        """Who the token speaks for; raises NotAuthenticated when it is forged, broken or expired."""
        user = self._verified(token)  # a client sends the same one again and again
        if time() > user.until:
            raise NotAuthenticated(EXPIRED)
        return user

    def _verify(self, token: str) -> User:
        try:
            claims = self._decode(token, ("sub", "exp", "roles"))
        except jwt.ExpiredSignatureError as error:
            raise NotAuthenticated(EXPIRED) from error
        except jwt.InvalidTokenError as error:
            raise NotAuthenticated(INVALID) from error
        roles = claims["roles"]
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise NotAuthenticated(INVALID)
        return User(claims["sub"], frozenset(roles), float(claims["exp"]) + CLOCK_LEEWAY_SECONDS)

    def seal(self, purpose: str, value: str, days: int) -> str:
        """A value that a client keeps for us and cannot change: good for this purpose only, and no access token."""
        return self._encode({"sub": value, "aud": purpose}, timedelta(days=days))

    def unseal(self, purpose: str, sealed: str) -> str | None:
        """The value that was sealed; None when it is forged, for another purpose, or too old."""
        try:
            value: str = self._decode(sealed, ("sub", "exp"), audience=purpose)["sub"]
        except jwt.InvalidTokenError:
            return None
        return value

    def _encode(self, claims: dict[str, Any], lifetime: timedelta) -> str:
        now = datetime.now(UTC)
        return jwt.encode({**claims, "iat": now, "exp": now + lifetime}, self._secret_key, ALGORITHM, self._headers)

    def _decode(self, token: str, required: tuple[str, ...], audience: str | None = None) -> dict[str, Any]:
        key_id = jwt.get_unverified_header(token).get("kid")
        key = self._secret_key if key_id is None else self._keys.get(key_id)
        if key is None:
            raise jwt.InvalidTokenError("signed with a key that is not ours")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            [ALGORITHM],
            audience=audience,
            leeway=CLOCK_LEEWAY_SECONDS,
            options={"require": list(required)},
        )
        return claims


def _key_id(secret_key: str) -> str:
    return hmac.new(secret_key.encode(), b"key id", hashlib.sha256).hexdigest()[:16]


@asynccontextmanager
async def open_tokens(state: State) -> AsyncIterator[Tokens]:
    """Offer the tokens of the settings' keys."""
    yield Tokens.of(state.settings)


async def find_user(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    _: Annotated[None, Depends(password_login)],
) -> User | None:
    """The user of this request, or None without a token; raises NotAuthenticated when it is not valid."""
    if credentials is None:
        return None
    tokens: Tokens = request.app.state.tokens
    return tokens.verify(credentials.credentials)


async def current_user(user: Annotated[User | None, Depends(find_user)]) -> User:
    """The user of this request; raises NotAuthenticated without a valid token."""
    if user is None:
        raise NotAuthenticated
    return user


OptionalUserDep = Annotated[User | None, Depends(find_user)]
UserDep = Annotated[User, Depends(current_user)]


def require_role(*roles: str) -> Callable[[User], Coroutine[Any, Any, User]]:
    """A dependency that lets only users with one of these roles pass; raises Forbidden."""

    async def has_role(user: UserDep) -> User:
        if user.roles.isdisjoint(roles):
            raise Forbidden(f"This needs the role {' or '.join(f'“{role}”' for role in roles)}.")
        return user

    return has_role
