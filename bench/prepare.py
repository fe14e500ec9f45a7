"""Fill a database with the shop's real tables and as many goods as asked, by plain SQL in batches."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, cast

from sqlalchemy import Dialect, Table

from api.shopdemo.database import CategoryRow, GoodsRow
from bench.catalogue import BRANCHES, LEAVES, sample
from bench.databases import Database, connect_postgres
from bench.http.contestants import shop_environment
from bench.http.server import ROOT
from utils.full_text import tokenize_fields

BATCH = 5_000
Record = dict[str, Any]


def prepare(database: Database, goods: int) -> None:
    """Make the tables and fill them."""
    migrate(database)
    tables = {CategoryRow: categories(), GoodsRow: map(record, range(1, goods + 1))}
    for row, records in tables.items():
        table = cast(Table, row.__table__)
        rows = _stored(table, database.dialect(), records)
        if database.kind == "sqlite":
            _fill_sqlite(database, table, rows)
        else:
            asyncio.run(_fill_postgres(database, table, rows))
    _settle(database)


def migrate(database: Database) -> None:
    """Make the tables, with the service's own command."""
    command = [sys.executable, "main.py", "migrate"]
    environment = shop_environment(database)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cannot migrate:\n{done.stdout}{done.stderr}")


def categories() -> Iterator[Record]:
    """The branches, and behind them their leaves."""
    for number, slug in enumerate((*BRANCHES, *LEAVES), start=1):
        branch = None if number <= len(BRANCHES) else BRANCHES.index(slug.partition("-")[0]) + 1
        yield {"id": number, "slug": slug, "name": slug.replace("-", " "), "parent_id": branch}


def record(number: int) -> Record:
    """The row of good number n."""
    good = sample(number)
    return {
        "id": number,
        "version": 1,
        "sku": good.sku,
        "name": good.name,
        "description": good.description,
        "category_id": len(BRANCHES) + LEAVES.index(good.category) + 1,
        "department_id": BRANCHES.index(good.category.partition("-")[0]) + 1,
        "price": Decimal(good.price),
        "stock": good.stock,
        "sales": good.sales,
        "on_sale": True,
        "attributes": good.attributes,
        "pictures": [],
        "search": tokenize_fields((good.name, good.sku, good.description, good.category, *good.attributes.values())),
        "created_at": good.created_at,
        "updated_at": good.created_at,
    }


def _stored(table: Table, dialect: Dialect, records: Iterable[Record]) -> Iterator[Sequence[Any]]:
    """The values as the driver wants them, in the order of the columns."""

    def as_it_is(value: Any) -> Any:
        return value

    types = [column.type.dialect_impl(dialect) for column in table.columns]
    processors: list[Callable[[Any], Any]] = [kind.bind_processor(dialect) or as_it_is for kind in types]
    names = [column.name for column in table.columns]
    for values in records:
        yield [process(values[name]) for name, process in zip(names, processors, strict=True)]


def _fill_sqlite(database: Database, table: Table, rows: Iterator[Sequence[Any]]) -> None:
    names = table.columns.keys()
    connection = sqlite3.connect(database.file)
    with connection:
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        connection.executemany(statement, rows)
    connection.close()


async def _fill_postgres(database: Database, table: Table, rows: Iterator[Sequence[Any]]) -> None:
    """One statement a batch, with an array for each column; what has no binary form travels as text."""
    dialect = database.dialect()
    types = [column.type.dialect_impl(dialect).compile(dialect=dialect) for column in table.columns]
    arrays = ["TEXT" if kind in {"JSONB", "TSVECTOR"} else kind for kind in types]
    names = ", ".join(table.columns.keys())
    given = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(arrays, start=1))
    taken = ", ".join(f"{name}::{kind}" for name, kind in zip(table.columns.keys(), types, strict=True))
    insert = f"INSERT INTO {table.name} ({names}) SELECT {taken} FROM unnest({given}) AS t({names})"
    go_on = f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name}"
    connection = await connect_postgres(database.url)
    try:
        while batch := list(islice(rows, BATCH)):
            await connection.execute(insert, *map(list, zip(*batch, strict=True)))
        await connection.execute(go_on)
    finally:
        await connection.close()


def _settle(database: Database) -> None:
    """Leave the database as it is some time after the filling: in one file, or vacuumed and analysed."""
    if database.kind == "sqlite":
        connection = sqlite3.connect(database.file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    else:
        asyncio.run(_vacuum(database))


async def _vacuum(database: Database) -> None:
    connection = await connect_postgres(database.url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
