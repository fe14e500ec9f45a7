"""Users, their sessions, and the throttle of logins.

Revision ID: accounts_0001
Revises:
Create Date: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "accounts_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    big = sa.Integer() if is_sqlite else sa.BigInteger()
    time = sa.String(32) if is_sqlite else sa.DateTime(timezone=True)
    op.create_table(
        "accounts_users",
        sa.Column("id", big, sa.Identity(), nullable=False),
        sa.Column("username", sa.String(32), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON() if is_sqlite else JSONB(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts_users"),
        sa.UniqueConstraint("name_key", name="uq_accounts_users_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "accounts_sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("user_id", big, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts_sessions"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts_users.id"], name="fk_accounts_sessions_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_accounts_sessions_user_id_created_at", "accounts_sessions", ["user_id", "created_at"])
    op.create_index("ix_accounts_sessions_expires_at", "accounts_sessions", ["expires_at"])
    op.create_table(
        "accounts_throttle",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("arrival", time, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_accounts_throttle"),
    )


def downgrade() -> None:
    for table in ("throttle", "sessions", "users"):
        op.drop_table(f"accounts_{table}")
