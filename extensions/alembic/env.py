"""Run by Alembic for one sub-project; `extensions/migrations.py` passes the connection and the tables."""

import zlib
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, Index, MetaData, text
from sqlalchemy.schema import SchemaItem

attributes: dict[str, Any] = context.config.attributes
connection: Connection = attributes["connection"]
metadata: MetaData = attributes["metadata"]
version_table: str = attributes["version_table"]


def is_ours(item: SchemaItem, name: str | None, type_: str, reflected: bool, _: SchemaItem | None) -> bool:
    """Leave out the tables of others (also what FTS5 makes for itself), and indexes with options of another dialect."""
    if type_ == "table" and reflected:
        return name in metadata.tables
    if isinstance(item, Index) and item.dialect_kwargs and not reflected:
        return any(option.startswith(f"{connection.dialect.name}_") for option in item.dialect_kwargs)
    return True


def render_item(kind: str, item: Any, revision: AutogenContext) -> str | Literal[False]:
    """Import the column types that are not SQLAlchemy's: Alembic writes where they are, and imports nothing."""
    module, name = type(item).__module__, type(item).__name__
    if kind != "type" or module.startswith("sqlalchemy."):
        return False
    revision.imports.add(f"from {module} import {name}")
    return repr(item)


if connection.dialect.name == "postgresql":
    # Two workers that migrate at the same time take turns.
    lock = zlib.crc32(version_table.encode())
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})

context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=version_table,
    include_object=is_ours,
    render_item=render_item,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
context.run_migrations()
