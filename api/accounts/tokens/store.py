"""Every query of sessions: one row for each login, whatever number of refresh tokens follows from it."""

from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounts.database import SessionRow, UserRow
from api.accounts.tokens.sessions import Account, NewSession

MAX_SESSIONS = 50  # of one user; the oldest goes

ACCOUNT = select(UserRow.username, UserRow.roles).where(UserRow.id == bindparam("of_user"), UserRow.is_active)
ACCOUNT_IF_UNCHANGED = ACCOUNT.where(UserRow.password_hash == bindparam("known_hash")).with_for_update()
NEWEST = (
    select(SessionRow.id)
    .where(SessionRow.user_id == bindparam("of_user"))
    .order_by(SessionRow.created_at.desc(), SessionRow.id)
    .limit(MAX_SESSIONS)
)
DELETE_OLDEST = delete(SessionRow).where(
    SessionRow.user_id == bindparam("of_user"), SessionRow.id.not_in(NEWEST.scalar_subquery())
)
IS_CURRENT = (
    SessionRow.id == bindparam("session_id"),
    SessionRow.secret_hash == bindparam("known_hash"),
    SessionRow.expires_at > bindparam("now"),
)
ROTATE = (
    update(SessionRow)
    .where(*IS_CURRENT)
    .values(secret_hash=bindparam("new_hash"))
    .returning(SessionRow.user_id, SessionRow.expires_at)
)
REVOKE = delete(SessionRow).where(*IS_CURRENT)
DELETE = delete(SessionRow).where(SessionRow.id == bindparam("session_id"))
# Nobody waits for what is deleted, nor is waited for.
EXPIRED = select(SessionRow.id).where(SessionRow.expires_at <= bindparam("now")).with_for_update(skip_locked=True)
DELETE_EXPIRED = delete(SessionRow).where(SessionRow.id.in_(EXPIRED.scalar_subquery()))


class SessionStore:
    """Sessions, in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def start(self, user_id: int, known_hash: str, session: NewSession) -> Account | None:
        """Add a session, unless the user was blocked or got another password since it was verified."""
        account = await self._account(ACCOUNT_IF_UNCHANGED, of_user=user_id, known_hash=known_hash)
        if account:
            await self._connection.execute(insert(SessionRow), {"user_id": user_id, **session._asdict()})
            await self._connection.execute(DELETE_OLDEST, {"of_user": user_id})
        return account

    async def rehash(self, user_id: int, new_hash: str) -> None:
        """Store the hash of the same password made anew."""
        await self._connection.execute(update(UserRow).where(UserRow.id == user_id).values(password_hash=new_hash))

    async def rotate(
        self, session_id: str, known_hash: str, new_hash: str, now: datetime
    ) -> tuple[Account, datetime] | None:
        """Give a session another secret in one step: of many who come with the same one, one gets it.

        Answers whose it is and when it ends; None when it is over or the secret is another one.
        """
        values = {"session_id": session_id, "known_hash": known_hash, "new_hash": new_hash, "now": now}
        row = (await self._connection.execute(ROTATE, values)).one_or_none()
        account = await self._account(ACCOUNT, of_user=row.user_id) if row else None
        return (account, row.expires_at) if row and account else None

    async def revoke(self, session_id: str, known_hash: str, now: datetime) -> bool:
        """End a session; answers whether the secret was the one that is good."""
        values = {"session_id": session_id, "known_hash": known_hash, "now": now}
        return (await self._connection.execute(REVOKE, values)).rowcount == 1

    async def delete(self, session_id: str) -> None:
        """End a session, if there is such a one."""
        await self._connection.execute(DELETE, {"session_id": session_id})

    async def delete_expired(self, now: datetime) -> None:
        """Forget sessions that are over."""
        await self._connection.execute(DELETE_EXPIRED, {"now": now})

    async def _account(self, statement: object, **values: object) -> Account | None:
        row = (await self._connection.execute(statement, values)).one_or_none()  # type: ignore[call-overload]
        return Account(row.username, frozenset(row.roles)) if row else None
