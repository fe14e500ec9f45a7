"""Who is at the other end: a token says it, or a guest chooses a name; and which pages may open sockets."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import time
from urllib.parse import urlsplit

from fastapi import Request
from starlette.requests import HTTPConnection

from api.websocketdemo.errors import GuestsNotAllowed, NameInvalid, OriginNotAllowed
from api.websocketdemo.frames import NAME_PATTERN
from extensions.security import Tokens
from settings import Settings

TOKEN_COOKIE = "access_token"  # noqa: S105 - its name
GUEST_COOKIE = "chat_guest"
GUEST_SECONDS = 30 * 24 * 3600
BEARER = "bearer"  # the subprotocol behind which a token stands
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_GUEST_KEY = re.compile(r"[A-Za-z0-9_-]{22}").fullmatch
_NAME = re.compile(NAME_PATTERN).fullmatch


@dataclass(frozen=True, slots=True)
class Identity:
    """A name, and the owner for whom it is kept while connected: a registered user, or one browser of a guest."""

    name: str
    owner: str
    is_guest: bool
    until: float = inf
    """When the token's time is over, in seconds since the epoch."""


def is_name(text: str) -> bool:
    """Whether a user or a room can be called so."""
    return _NAME(text) is not None


def check_name(name: str) -> str:
    """The name of a user or a room; raises NameInvalid."""
    if not is_name(name):
        raise NameInvalid
    return name


def identify(connection: HTTPConnection, wanted: str, guest_key: str) -> Identity:
    """Whose connection this is: the token's user, else a guest called `wanted`.

    Raises NotAuthenticated, GuestsNotAllowed or NameInvalid.
    """
    state = connection.app.state
    if token := find_token(connection):
        tokens: Tokens = state.tokens
        user = tokens.verify(token)
        return Identity(check_name(user.name), f"user {user.name}", is_guest=False, until=user.until)
    if not state.settings.guests:
        raise GuestsNotAllowed
    # The key is the guest's secret; the broker needs only something that follows from it.
    owner = hashlib.sha256(guest_key.encode()).hexdigest()[:32]
    return Identity(check_name(wanted), f"guest {owner}", is_guest=True)


def find_token(connection: HTTPConnection) -> str | None:
    """The token in the query, the header, the offered subprotocols (`bearer, <token>`) or the cookie."""
    if token := connection.query_params.get("token"):
        return token
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == BEARER and token:
        return token.strip()
    offered: list[str] = connection.scope.get("subprotocols", [])
    if BEARER in offered[:-1]:
        return offered[offered.index(BEARER) + 1]
    return connection.cookies.get(TOKEN_COOKIE)


def find_guest_key(connection: HTTPConnection) -> str | None:
    """The guest's secret, by which a reload or a second window is the same guest."""
    key = connection.cookies.get(GUEST_COOKIE, "")
    return key if _GUEST_KEY(key) else None


def new_guest_cookie(connection: HTTPConnection) -> tuple[str, str]:
    """A new guest's secret, and the Set-Cookie header that gives it to the browser."""
    key = secrets.token_urlsafe(16)
    path = f"{connection.scope.get('root_path', '')}/websocketdemo"
    secure = "; Secure" if connection.url.scheme in ("https", "wss") else ""
    options = f"Path={path}; Max-Age={GUEST_SECONDS}; HttpOnly; SameSite=Strict{secure}"
    return key, f"{GUEST_COOKIE}={key}; {options}"


def check_origin(connection: HTTPConnection) -> None:
    """Let in programs, our own pages and those of APP_CORS_ORIGINS; * does not count, since cookies come along.

    In development pages of this machine may come in too, whatever their port. Raises OriginNotAllowed.
    """
    settings: Settings = connection.app.state.settings
    origin = connection.headers.get("origin")
    if origin is None or origin in settings.cors_origins:
        return
    try:
        address = urlsplit(origin)
    except ValueError as error:
        raise OriginNotAllowed from error
    is_own = address.netloc == connection.headers.get("host", "")
    is_local = settings.env == "development" and address.hostname in LOOPBACK
    if not address.netloc or not (is_own or is_local):
        raise OriginNotAllowed


async def check_reader(request: Request) -> float:
    """Where there are no guests, reading too needs a token; answers when its time is over.

    Raises GuestsNotAllowed or NotAuthenticated.
    """
    state = request.app.state
    if token := find_token(request):
        tokens: Tokens = state.tokens
        return tokens.verify(token).until
    if not state.settings.guests:
        raise GuestsNotAllowed
    return inf


@contextmanager
def ends_at(until: float, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` when this time comes, unless what is done here was over sooner; a guest's never comes."""
    timer = None if until == inf else asyncio.get_running_loop().call_later(max(0.0, until - time()), end)
    try:
        yield
    finally:
        if timer:
            timer.cancel()
