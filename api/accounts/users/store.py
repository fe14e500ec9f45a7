"""Every query of users; rows become schemas here and never leave."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import Select, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounts.database import SessionRow, UserRow
from api.accounts.errors import UsernameTaken
from api.accounts.names import is_name, name_key
from api.accounts.schemas import User
from extensions.database import Database
from utils.fields import utc_now

SHOWN = (UserRow.id, UserRow.username, UserRow.roles, UserRow.is_active, UserRow.created_at)
BY_ID = select(*SHOWN).where(UserRow.id == bindparam("id"))
BY_NAME = select(*SHOWN).where(UserRow.name_key == bindparam("name_key"))
LOCKED = select(*SHOWN).where(UserRow.id.in_(bindparam("ids", expanding=True))).order_by(UserRow.id).with_for_update()
LOCKED_BY_NAME = BY_NAME.with_for_update()
CREDENTIALS = select(UserRow.id.label("user_id"), UserRow.username, UserRow.password_hash, UserRow.is_active).where(
    UserRow.name_key == bindparam("name_key")
)
LIKE = UserRow.name_key.like(bindparam("pattern"), escape="\\")
PAGE = select(*SHOWN).where(LIKE).order_by(UserRow.id).limit(bindparam("limit")).offset(bindparam("offset"))
COUNT = select(func.count().label("total")).select_from(UserRow).where(LIKE)
CREATE = insert(UserRow).returning(UserRow.id)
END_SESSIONS = delete(SessionRow).where(SessionRow.user_id == bindparam("of_user"))
USERS = TypeAdapter(list[User])


@dataclass(frozen=True)
class Credentials:
    """What a password is compared with."""

    user_id: int
    username: str
    password_hash: str
    is_active: bool


class UserStore:
    """Reads users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: int) -> User | None:
        """One by id."""
        record = await self._database.fetch_one(BY_ID, {"id": user_id})
        return User(**record) if record else None

    async def find(self, username: str) -> User | None:
        """One by name."""
        record = await self._database.fetch_one(BY_NAME, {"name_key": name_key(username)})
        return User(**record) if record else None

    async def credentials(self, username: str) -> Credentials | None:
        """How the user of this name shows who they are; the name may be any text."""
        if not is_name(username):  # some text no database can even be asked for
            return None
        record = await self._database.fetch_one(CREDENTIALS, {"name_key": name_key(username)})
        return Credentials(**record) if record else None

    async def page(self, part: str, limit: int, offset: int) -> list[User]:
        """Those with this part in their name, the first registered first."""
        values = {"pattern": _pattern(part), "limit": limit, "offset": offset}
        return USERS.validate_python(await self._database.fetch_all(PAGE, values))

    async def count(self, part: str) -> int:
        """How many have this part in their name."""
        record = await self._database.fetch_one(COUNT, {"pattern": _pattern(part)})
        total: int = record["total"] if record else 0
        return total


class UserWriter:
    """Changes users, in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, username: str, password_hash: str, roles: Sequence[str] = ()) -> User:
        """Add a user; raises UsernameTaken."""
        user = User(id=0, username=username, roles=list(roles), is_active=True, created_at=utc_now())
        secret = {"name_key": name_key(username), "password_hash": password_hash}
        with _taken_name():
            inserted = await self._connection.execute(CREATE, user.model_dump(exclude={"id"}) | secret)
        return user.model_copy(update={"id": inserted.scalar_one()})

    async def lock(self, user_ids: Sequence[int]) -> dict[int, User]:
        """These users by id, and nobody else changes them before the end."""
        return {user.id: user for user in await self._users(LOCKED, ids=list(user_ids))}

    async def lock_by_name(self, username: str) -> User | None:
        """The user of this name, whom nobody else changes before the end."""
        found = await self._users(LOCKED_BY_NAME, name_key=name_key(username))
        return found[0] if found else None

    async def change(self, user: User) -> None:
        """Store other roles, and whether the user is blocked."""
        values = {"roles": user.roles, "is_active": user.is_active}
        await self._connection.execute(update(UserRow).where(UserRow.id == user.id).values(values))

    async def set_password(self, user_id: int, new_hash: str, old_hash: str | None = None) -> bool:
        """Store another hash; with `old_hash` only if it still is the one. Answers whether it was stored."""
        statement = update(UserRow).where(UserRow.id == user_id).values(password_hash=new_hash)
        if old_hash is not None:
            statement = statement.where(UserRow.password_hash == old_hash)
        return (await self._connection.execute(statement)).rowcount == 1

    async def end_sessions(self, user_id: int) -> None:
        """Let nobody refresh a login of this user any more."""
        await self._connection.execute(END_SESSIONS, {"of_user": user_id})

    async def _users(self, statement: Select[*tuple[object, ...]], **values: object) -> list[User]:
        rows = await self._connection.execute(statement, values)
        return USERS.validate_python([dict(row) for row in rows.mappings()])


def _pattern(part: str) -> str:
    """The LIKE pattern of names that have this part."""
    key = name_key(part)
    for special in ("\\", "%", "_"):
        key = key.replace(special, f"\\{special}")
    return f"%{key}%"


@contextmanager
def _taken_name() -> Iterator[None]:
    """Only the name is unique; everything else was checked before it got here."""
    try:
        yield
    except IntegrityError as error:
        raise UsernameTaken from error
