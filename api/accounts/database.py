"""The tables of accounts."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from extensions.database_types import NAMING, BigId, JsonDocument, UtcDateTime


class Base(DeclarativeBase):
    """Where the tables of this sub-project are registered."""

    metadata = MetaData(naming_convention=NAMING)


class UserRow(Base):
    """A person. The key is what of the name must be unique (`api.accounts.names`)."""

    __tablename__ = "accounts_users"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    username: Mapped[str] = mapped_column(String(32))
    name_key: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(JsonDocument)
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SessionRow(Base):
    """A login that can be refreshed: all refresh tokens that followed from it, of which one is good at a time."""

    __tablename__ = "accounts_sessions"
    __table_args__ = (Index(None, "user_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts_users.id", ondelete="CASCADE"))
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ThrottleRow(Base):
    """How far somebody is ahead of the allowed rate (`api.accounts.throttle.service`); no row: not at all.

    Or until when a name is known at an address; no row: it is not.
    """

    __tablename__ = "accounts_throttle"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    arrival: Mapped[datetime] = mapped_column(UtcDateTime)
