"""The rules of users; knows neither the web framework nor the database."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from api.accounts.errors import AccountMissing, OwnAccessKept, PasswordWrong, UserNotFound
from api.accounts.names import canonical_name, name_key
from api.accounts.passwords import Passwords
from api.accounts.schemas import ADMIN, PasswordChange, User, UserCreate, UserPage, UserQuery, UserUpdate
from api.accounts.throttle.service import Throttle
from extensions.security import User as Caller
from utils.custom_exc import Forbidden


class Credentials(Protocol):
    """What a password is compared with."""

    @property
    def user_id(self) -> int: ...

    @property
    def username(self) -> str: ...

    @property
    def password_hash(self) -> str: ...

    @property
    def is_active(self) -> bool: ...


class Reads(Protocol):
    """What is needed of a store that reads."""

    async def get(self, user_id: int) -> User | None: ...

    async def find(self, username: str) -> User | None: ...

    async def credentials(self, username: str) -> Credentials | None: ...

    async def page(self, part: str, limit: int, offset: int) -> list[User]: ...

    async def count(self, part: str) -> int: ...


class Writes(Protocol):
    """What is needed of a store that writes, inside one transaction."""

    async def create(self, username: str, password_hash: str, roles: Sequence[str] = ()) -> User: ...

    async def lock(self, user_ids: Sequence[int]) -> Mapping[int, User]: ...

    async def lock_by_name(self, username: str) -> User | None: ...

    async def change(self, user: User) -> None: ...

    async def set_password(self, user_id: int, new_hash: str, old_hash: str | None = None) -> bool: ...

    async def end_sessions(self, user_id: int) -> None: ...


OpenWriter = Callable[[], AbstractAsyncContextManager[Writes]]


class Users:
    """Users as they see themselves, and as administrators see them."""

    def __init__(self, store: Reads, open_writer: OpenWriter) -> None:
        self._store = store
        self._open_writer = open_writer

    async def me(self, caller: Caller) -> User:
        """The account of whoever asks; raises AccountMissing."""
        user = await self._store.find(caller.name)
        if user is None:
            raise AccountMissing
        return user

    async def get(self, user_id: int, caller: Caller) -> User:
        """One by id: oneself, or for an administrator anybody. Nobody else learns whether there is one.

        Raises Forbidden or UserNotFound.
        """
        user = await self._store.get(user_id)
        if ADMIN not in caller.roles and (user is None or name_key(user.username) != name_key(caller.name)):
            raise Forbidden
        if user is None:
            raise UserNotFound
        return user

    async def list(self, query: UserQuery) -> UserPage:
        """A page of users."""
        total = await self._store.count(query.q)
        offset = (query.page - 1) * query.size
        items = await self._store.page(query.q, query.size, offset) if offset < total else []
        return UserPage(items=items, total=total, page=query.page, size=query.size)

    async def update(self, user_id: int, change: UserUpdate, caller: Caller) -> User:
        """Give a user other roles, or block them, which ends their sessions.

        Whoever has an account must be an administrator by its row: a token outlives a demotion by minutes, in which
        somebody could give the role back to themselves, or take it from whoever took it. Raises UserNotFound,
        OwnAccessKept, or Forbidden.
        """
        own = await self._store.find(caller.name)
        async with self._open_writer() as store:
            users = await store.lock([user_id, *([own.id] if own else [])])
            if own and not _is_administrator(users[own.id]):
                raise Forbidden("You are no administrator any more; log in again to see what you may do.")
            if user_id not in users:
                raise UserNotFound
            user = _changed(users[user_id], change)
            if own and own.id == user_id and not _is_administrator(user):
                raise OwnAccessKept
            await store.change(user)
            if not user.is_active:
                await store.end_sessions(user_id)
        return user


class Registry:
    """Who may have an account, and with which password."""

    def __init__(self, passwords: Passwords, open_writer: OpenWriter, throttle: Throttle) -> None:
        self._passwords = passwords
        self._open_writer = open_writer
        self._throttle = throttle

    async def register(self, wanted: UserCreate, address: str) -> User:
        """Add a user.

        Raises TooManyRegistrations, UsernameTaken, UsernameInvalid, PasswordTooShort or PasswordTooGuessable.
        """
        await self._throttle.count_registration(address)
        username, password_hash = await self._check(wanted.username, wanted.password.get_secret_value())
        async with self._open_writer() as store:
            return await store.create(username, password_hash)

    async def appoint(self, name: str, password: str) -> User:
        """Make a new or known user an administrator with this password; raises what `register` does, uncounted."""
        username, password_hash = await self._check(name, password)
        async with self._open_writer() as store:
            user = await store.lock_by_name(username)
            if user is None:
                return await store.create(username, password_hash, [ADMIN])
            user = user.model_copy(update={"roles": sorted({*user.roles, ADMIN}), "is_active": True})
            await store.change(user)
            await store.set_password(user.id, password_hash)
            await store.end_sessions(user.id)
        return user

    async def _check(self, name: str, password: str) -> tuple[str, str]:
        username = canonical_name(name)
        await self._passwords.judge(password, username)
        return username, await self._passwords.hash(password)


class PasswordDesk:
    """Where users change their passwords."""

    def __init__(self, store: Reads, open_writer: OpenWriter, passwords: Passwords, throttle: Throttle) -> None:
        self._store = store
        self._open_writer = open_writer
        self._passwords = passwords
        self._throttle = throttle

    async def replace(self, change: PasswordChange, caller: Caller, address: str) -> None:
        """Change the caller's password and end all their sessions.

        Raises AccountMissing, TooManyAttempts, PasswordWrong, which somebody blocked gets too, PasswordTooShort or
        PasswordTooGuessable.
        """
        known = await self._store.credentials(caller.name)
        if known is None:
            raise AccountMissing
        attempt = await self._throttle.count(known.username, address)
        known_hash = known.password_hash if known.is_active else None
        if not await self._passwords.verify(known_hash, change.current_password.get_secret_value()):
            raise PasswordWrong
        new = change.new_password.get_secret_value()
        await self._passwords.judge(new, known.username, "new_password")
        new_hash = await self._passwords.hash(new)
        async with self._open_writer() as store:
            if not await store.set_password(known.user_id, new_hash, known.password_hash):
                raise PasswordWrong
            await store.end_sessions(known.user_id)
        await self._throttle.give_back(attempt)


def _is_administrator(user: User) -> bool:
    return user.is_active and ADMIN in user.roles


def _changed(user: User, change: UserUpdate) -> User:
    values = change.model_dump(exclude_unset=True)
    if "roles" in values:
        values["roles"] = sorted(set(values["roles"]))
    return user.model_copy(update=values)
