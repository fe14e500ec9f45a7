"""The rules of logging in; knows neither the web framework nor the database.

A login is a session. Its refresh token is "<id>.<secret>"; each refresh gives it another secret, and whoever comes
with a former one shows that somebody has a copy: the session ends for both (RFC 9700, 4.14).
"""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from api.accounts.errors import LoginFailed, RefreshTokenInvalid
from api.accounts.passwords import Passwords
from api.accounts.schemas import TokenAnswer, TokenPair
from api.accounts.throttle.service import Throttle
from api.accounts.tokens.sessions import Account, NewSession
from api.accounts.users.service import Credentials
from extensions.security import Tokens
from utils.fields import utc_now

ID_BYTES = 16
SECRET_BYTES = 32


class FindsCredentials(Protocol):
    """What is needed of a store of users."""

    async def credentials(self, username: str) -> Credentials | None: ...


class Sessions(Protocol):
    """What is needed of a store of sessions, inside one transaction."""

    async def start(self, user_id: int, known_hash: str, session: NewSession) -> Account | None: ...

    async def rehash(self, user_id: int, new_hash: str) -> None: ...

    async def rotate(
        self, session_id: str, known_hash: str, new_hash: str, now: datetime
    ) -> tuple[Account, datetime] | None: ...

    async def revoke(self, session_id: str, known_hash: str, now: datetime) -> bool: ...

    async def delete(self, session_id: str) -> None: ...


OpenSessions = Callable[[], AbstractAsyncContextManager[Sessions]]


class Issuer:
    """Makes pairs of tokens."""

    def __init__(self, tokens: Tokens, minutes: int) -> None:
        self._tokens = tokens
        self._minutes = minutes

    def pair(self, account: Account, refresh_token: str, expires_in: timedelta) -> TokenAnswer:
        """An access token beside a refresh token whose session ends after so long."""
        access_token = self._tokens.sign(account.name, account.roles, self._minutes)
        pair = TokenPair(
            access_token=access_token,
            expires_in=self._minutes * 60,
            refresh_token=refresh_token,
            refresh_expires_in=int(expires_in.total_seconds()),
        )
        return TokenAnswer(data=pair, access_token=access_token)


class Login:
    """Begins sessions."""

    def __init__(
        self,
        users: FindsCredentials,
        passwords: Passwords,
        throttle: Throttle,
        open_sessions: OpenSessions,
        issuer: Issuer,
        lifetime: timedelta,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._throttle = throttle
        self._open_sessions = open_sessions
        self._issuer = issuer
        self._lifetime = lifetime

    async def log_in(self, name: str, password: str, address: str) -> TokenAnswer:
        """Begin a session; raises LoginFailed, after the same time whatever is wrong, or TooManyAttempts."""
        attempt = await self._throttle.count(name, address)
        known = await self._users.credentials(name)
        if known and not known.is_active:
            known = None
        is_right = await self._passwords.verify(known.password_hash if known else None, password)
        if known is None or not is_right:
            raise LoginFailed
        answer = await self._start(known, password)
        await self._throttle.give_back(attempt)
        return answer

    async def _start(self, known: Credentials, password: str) -> TokenAnswer:
        now = utc_now()
        session_id, secret = secrets.token_urlsafe(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        session = NewSession(session_id, _hash(secret), now, now + self._lifetime)
        is_outdated = self._passwords.is_outdated(known.password_hash)
        new_hash = await self._passwords.hash(password) if is_outdated else None
        async with self._open_sessions() as store:
            account = await store.start(known.user_id, known.password_hash, session)
            if account is None:
                raise LoginFailed
            if new_hash:
                await store.rehash(known.user_id, new_hash)
        return self._issuer.pair(account, f"{session_id}.{secret}", self._lifetime)


class Refresh:
    """Goes on with sessions, and ends them."""

    def __init__(self, open_sessions: OpenSessions, issuer: Issuer) -> None:
        self._open_sessions = open_sessions
        self._issuer = issuer

    async def refresh(self, token: str) -> TokenAnswer:
        """A new pair, with the roles as of now; raises RefreshTokenInvalid, and the session of a used token ends."""
        session_id, secret_hash = _parse(token)
        secret, now = secrets.token_urlsafe(SECRET_BYTES), utc_now()
        async with self._open_sessions() as store:
            found = await store.rotate(session_id, secret_hash, _hash(secret), now)
            if found is None:
                await store.delete(session_id)
        if found is None:  # not inside: the end of the session is to be stored
            raise RefreshTokenInvalid
        account, expires_at = found
        return self._issuer.pair(account, f"{session_id}.{secret}", expires_at - now)

    async def revoke(self, token: str) -> None:
        """End the session; raises RefreshTokenInvalid, and the session of a used token ends too."""
        session_id, secret_hash = _parse(token)
        async with self._open_sessions() as store:
            was_good = await store.revoke(session_id, secret_hash, utc_now())
            if not was_good:
                await store.delete(session_id)
        if not was_good:
            raise RefreshTokenInvalid


def _parse(token: str) -> tuple[str, str]:
    """The session's id and the hash of the secret."""
    session_id, _, secret = token.partition(".")
    return session_id, _hash(secret)


def _hash(secret: str) -> str:
    """What is stored of a secret; it has 256 bits of chance, so that nothing slower is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
