"""The tables of the chat."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from extensions.database_types import NAMING, BigId, UtcDateTime


class Base(DeclarativeBase):
    """Where the tables of this sub-project are registered."""

    metadata = MetaData(naming_convention=NAMING)


class RoomRow(Base):
    """A room with a history. `last_id` only grows, also when its messages are no longer kept."""

    __tablename__ = "websocketdemo_rooms"

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    last_id: Mapped[int] = mapped_column(BigId)


class MessageRow(Base):
    """A message; its id counts within its room."""

    __tablename__ = "websocketdemo_messages"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - sorted by its key, as it is read

    room_id: Mapped[int] = mapped_column(ForeignKey("websocketdemo_rooms.id"), primary_key=True)
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    user: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[str | None] = mapped_column(Text)  # JSON as text: it is only handed on
    time: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class NameRow(Base):
    """A name that somebody came in with by token: no guest may have it."""

    __tablename__ = "websocketdemo_names"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
