"""Charges, and the events that tell of them.

Revision ID: paymentdemo_0001
Revises:
Create Date: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision = "paymentdemo_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    time = sa.String(32) if is_sqlite else sa.DateTime(timezone=True)
    op.create_table(
        "paymentdemo_charges",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(255), nullable=False),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("reference", sa.String(255), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.Column("settles_at", time, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_paymentdemo_charges"),
        sa.UniqueConstraint("idempotency_key", name="uq_paymentdemo_charges_idempotency_key"),
        sa.CheckConstraint(
            "status IN ('pending', 'succeeded', 'declined', 'refunded')", name="ck_paymentdemo_charges_status"
        ),
        sa.CheckConstraint("(status = 'pending') = (settles_at IS NOT NULL)", name="ck_paymentdemo_charges_settles_at"),
    )
    _index_what_waits("paymentdemo_charges", "settles_at")
    op.create_table(
        "paymentdemo_events",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("charge_id", sa.String(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("due_at", time, nullable=True),
        sa.Column("delivered_at", time, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_paymentdemo_events"),
        sa.ForeignKeyConstraint(["charge_id"], ["paymentdemo_charges.id"], name="fk_paymentdemo_events_charge_id"),
    )
    op.create_index("ix_paymentdemo_events_charge_id", "paymentdemo_events", ["charge_id"])
    _index_what_waits("paymentdemo_events", "due_at")


def downgrade() -> None:
    for table in ("events", "charges"):
        op.drop_table(f"paymentdemo_{table}")


def _index_what_waits(table: str, column: str) -> None:
    waits = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"ix_{table}_{column}", table, [column], postgresql_where=waits, sqlite_where=waits)
