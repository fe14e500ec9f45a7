"""Carts, orders, payments and jobs; sold pieces are not told to every worker.

Revision ID: shopdemo_0002
Revises: shopdemo_0001
Create Date: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision = "shopdemo_0002"
down_revision = "shopdemo_0001"
branch_labels = None
depends_on = None

# All columns but `stock` and `sales`: PostgreSQL commits transactions that notify one after the other, which orders
# must not. Workers find changes without a message within a second (`extensions.database_readers`).
TOLD_COLUMNS = (
    "version", "sku", "name", "description", "category_id", "department_id", "price", "on_sale", "attributes",
    "pictures", "search", "created_at", "updated_at",
)  # fmt: skip
TRIGGER = """CREATE TRIGGER data_changed AFTER INSERT OR UPDATE{columns} OR DELETE OR TRUNCATE ON shopdemo_goods
    FOR EACH STATEMENT EXECUTE FUNCTION shopdemo_data_changed()"""


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    big = sa.Integer() if is_sqlite else sa.BigInteger()
    time = sa.String(32) if is_sqlite else sa.DateTime(timezone=True)
    op.create_table(
        "shopdemo_carts",
        sa.Column("id", big, sa.Identity(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("updated_at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shopdemo_carts"),
        sa.UniqueConstraint("owner", name="uq_shopdemo_carts_owner"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_shopdemo_carts_updated_at", "shopdemo_carts", ["updated_at"])
    op.create_table(
        "shopdemo_cart_items",
        sa.Column("cart_id", big, nullable=False),
        sa.Column("goods_id", big, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("added_at", time, nullable=False),
        sa.PrimaryKeyConstraint("cart_id", "goods_id", name="pk_shopdemo_cart_items"),
        sa.ForeignKeyConstraint(
            ["cart_id"], ["shopdemo_carts.id"], name="fk_shopdemo_cart_items_cart_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint("quantity > 0", name="ck_shopdemo_cart_items_quantity"),
    )
    op.create_table(
        "shopdemo_orders",
        sa.Column("id", big, sa.Identity(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("request_hash", sa.String(64), nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shopdemo_orders"),
        sa.UniqueConstraint("owner", "idempotency_key", name="uq_shopdemo_orders_owner_idempotency_key"),
        sa.CheckConstraint(
            "status IN ('pending', 'paid', 'shipped', 'done', 'cancelled')", name="ck_shopdemo_orders_status"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_shopdemo_orders_owner_id", "shopdemo_orders", ["owner", "id"])
    op.create_index("ix_shopdemo_orders_status_id", "shopdemo_orders", ["status", "id"])
    pending = sa.text("status = 'pending'")
    op.create_index(
        "ix_shopdemo_orders_expires_at",
        "shopdemo_orders",
        ["expires_at"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
    op.create_table(
        "shopdemo_order_lines",
        sa.Column("order_id", big, nullable=False),
        sa.Column("goods_id", big, nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "goods_id", name="pk_shopdemo_order_lines"),
        sa.ForeignKeyConstraint(["order_id"], ["shopdemo_orders.id"], name="fk_shopdemo_order_lines_order_id"),
        sa.CheckConstraint("quantity > 0", name="ck_shopdemo_order_lines_quantity"),
    )
    op.create_table(
        "shopdemo_payments",
        sa.Column("order_id", big, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("charge_id", sa.String(64), nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "attempt", name="pk_shopdemo_payments"),
        sa.ForeignKeyConstraint(["order_id"], ["shopdemo_orders.id"], name="fk_shopdemo_payments_order_id"),
        sa.CheckConstraint(
            "status IN ('started', 'succeeded', 'declined', 'refund_due', 'refunded')",
            name="ck_shopdemo_payments_status",
        ),
    )
    unsettled = sa.text("status IN ('started', 'refund_due')")
    op.create_index(
        "ix_shopdemo_payments_updated_at",
        "shopdemo_payments",
        ["updated_at"],
        postgresql_where=unsettled,
        sqlite_where=unsettled,
    )
    op.create_table(
        "shopdemo_jobs",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("due_at", time, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_shopdemo_jobs"),
    )
    if not is_sqlite:
        _tell(f" OF {', '.join(TOLD_COLUMNS)}")


def downgrade() -> None:
    for table in ("jobs", "payments", "order_lines", "orders", "cart_items", "carts"):
        op.drop_table(f"shopdemo_{table}")
    if op.get_bind().dialect.name == "postgresql":
        _tell("")


def _tell(columns: str) -> None:
    op.execute("DROP TRIGGER data_changed ON shopdemo_goods")
    op.execute(TRIGGER.format(columns=columns))
