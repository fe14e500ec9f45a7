"""The catalogue: categories and goods, with their full-text index and the news of changes.

Revision ID: shopdemo_0001
Revises:
Create Date: 2026-11-23
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

revision = "shopdemo_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("shopdemo_categories", "shopdemo_goods")

# FTS5 keeps only its index: the text is read from the table of goods, and triggers keep both in step.
SQLITE_SEARCH = (
    """CREATE VIRTUAL TABLE shopdemo_goods_search USING fts5(
        search, content='shopdemo_goods', content_rowid='id', columnsize=0,
        tokenize="unicode61 remove_diacritics 0")""",
    """CREATE TRIGGER shopdemo_goods_search_insert AFTER INSERT ON shopdemo_goods BEGIN
        INSERT INTO shopdemo_goods_search (rowid, search) VALUES (new.id, new.search);
    END""",
    """CREATE TRIGGER shopdemo_goods_search_delete AFTER DELETE ON shopdemo_goods BEGIN
        INSERT INTO shopdemo_goods_search (shopdemo_goods_search, rowid, search) VALUES ('delete', old.id, old.search);
    END""",
    """CREATE TRIGGER shopdemo_goods_search_update AFTER UPDATE OF search ON shopdemo_goods BEGIN
        INSERT INTO shopdemo_goods_search (shopdemo_goods_search, rowid, search) VALUES ('delete', old.id, old.search);
        INSERT INTO shopdemo_goods_search (rowid, search) VALUES (new.id, new.search);
    END""",
)

# SQLite counts commits itself; PostgreSQL tells every worker, so that none answers from old data.
POSTGRES_CHANGES = """CREATE FUNCTION shopdemo_data_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('data_changed', ''); RETURN NULL; END $$"""


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "shopdemo_categories",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_shopdemo_categories"),
        sa.UniqueConstraint("slug", name="uq_shopdemo_categories_slug"),
        sa.ForeignKeyConstraint(["parent_id"], ["shopdemo_categories.id"], name="fk_shopdemo_categories_parent_id"),
    )
    op.create_table(
        "shopdemo_goods",
        sa.Column("id", sa.Integer() if is_sqlite else sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("category_id", sa.Integer(), nullable=False),
        sa.Column("department_id", sa.Integer(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=False),
        sa.Column("sales", sa.Integer(), server_default="0", nullable=False),
        sa.Column("on_sale", sa.Boolean(), nullable=False),
        sa.Column("attributes", sa.JSON() if is_sqlite else JSONB(), nullable=False),
        sa.Column("pictures", sa.JSON() if is_sqlite else JSONB(), nullable=False),
        sa.Column("search", sa.Text() if is_sqlite else TSVECTOR(), nullable=False),
        sa.Column("created_at", sa.String(32) if is_sqlite else sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.String(32) if is_sqlite else sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shopdemo_goods"),
        sa.UniqueConstraint("sku", name="uq_shopdemo_goods_sku"),
        sa.CheckConstraint("price >= 0", name="ck_shopdemo_goods_price"),
        sa.CheckConstraint("stock >= 0", name="ck_shopdemo_goods_stock"),
        sa.ForeignKeyConstraint(["category_id"], ["shopdemo_categories.id"], name="fk_shopdemo_goods_category_id"),
        sa.ForeignKeyConstraint(["department_id"], ["shopdemo_categories.id"], name="fk_shopdemo_goods_department_id"),
        sqlite_autoincrement=True,
    )
    for level in ((), ("category_id",), ("department_id",)):
        for order in ((), ("price",), ("sales",)):
            columns = [*level, "on_sale", *order, "id"]
            op.create_index(f"ix_shopdemo_goods_{'_'.join(columns)}", "shopdemo_goods", columns)
    if is_sqlite:
        for statement in SQLITE_SEARCH:
            op.execute(statement)
    else:
        op.create_index("ix_shopdemo_goods_search", "shopdemo_goods", ["search"], postgresql_using="gin")
        op.execute(POSTGRES_CHANGES)
        for table in TABLES:
            op.execute(
                f"CREATE TRIGGER data_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION shopdemo_data_changed()"
            )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE shopdemo_goods_search")
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION shopdemo_data_changed()")
