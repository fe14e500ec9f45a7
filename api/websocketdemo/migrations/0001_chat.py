"""Rooms, their messages, and the names that belong to registered users.

Revision ID: websocketdemo_0001
Revises:
Create Date: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision = "websocketdemo_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    big = sa.Integer() if is_sqlite else sa.BigInteger()
    op.create_table(
        "websocketdemo_rooms",
        sa.Column("id", big, sa.Identity(), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("last_id", big, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_websocketdemo_rooms"),
        sa.UniqueConstraint("name", name="uq_websocketdemo_rooms_name"),
    )
    op.create_table(
        "websocketdemo_messages",
        sa.Column("room_id", big, nullable=False),
        sa.Column("id", big, nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("time", sa.String(32) if is_sqlite else sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("room_id", "id", name="pk_websocketdemo_messages"),
        sa.ForeignKeyConstraint(["room_id"], ["websocketdemo_rooms.id"], name="fk_websocketdemo_messages_room_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_websocketdemo_messages_time", "websocketdemo_messages", ["time"])
    op.create_table(
        "websocketdemo_names",
        sa.Column("name", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_websocketdemo_names"),
    )


def downgrade() -> None:
    for table in ("names", "messages", "rooms"):
        op.drop_table(f"websocketdemo_{table}")
