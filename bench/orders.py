"""`python -m bench.orders`: orders a second, beside the bare SQL transaction on the same database."""

import asyncio
import random
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import click
from sqlalchemy import make_url

from bench.databases import Database, connect_postgres, postgres_database, sqlite_database
from bench.http import machine
from bench.http.contestants import Place, start_ours
from bench.http.load import LoadError, require_wrk, run_load
from bench.http.ours import admin_token
from bench.http.server import Server, cores
from bench.prepare import prepare
from bench.tables import Line, as_markdown, as_text

GOODS = 1_000
STOCK = 1_000_000_000
BUYERS = (1, 20, 100)
MAX_CONNECTIONS = 20  # of the bare transaction
LEFT = 2

# What has to happen for an order, and nothing else: no token, no key, no envelope, no cart.
BARE_POSTGRES = r"""\set goods random(1, :goods)
BEGIN;
UPDATE shopdemo_goods SET stock = stock - 1 WHERE id = :goods AND stock >= 1 AND on_sale
    RETURNING sku, name, price \gset
INSERT INTO shopdemo_orders (owner, status, total, created_at, updated_at, expires_at)
    VALUES ('bench', 'pending', :price, now(), now(), now() + interval '30 minutes') RETURNING id \gset
INSERT INTO shopdemo_order_lines (order_id, goods_id, sku, name, price, quantity)
    VALUES (:id, :goods, :sku, :name, :price, 1);
COMMIT;
"""
BARE_SQLITE = (
    "UPDATE shopdemo_goods SET stock = stock - 1 WHERE id = ? AND stock >= 1 AND on_sale RETURNING sku, name, price",
    """INSERT INTO shopdemo_orders (owner, status, total, created_at, updated_at, expires_at)
       VALUES ('bench', 'pending', ?, ?, ?, ?) RETURNING id""",
    """INSERT INTO shopdemo_order_lines (order_id, goods_id, sku, name, price, quantity) VALUES (?, ?, ?, ?, ?, 1)""",
)
COUNTS = f"""SELECT (SELECT count(*) FROM shopdemo_orders), (SELECT sum(quantity) FROM shopdemo_order_lines),
    (SELECT {STOCK} * count(*) - sum(stock) FROM shopdemo_goods)"""

Run = Callable[[int, int, int], float]
"""Orders a second of so many buyers, of so many goods, for so many seconds."""


@dataclass
class Row:
    """Both ways in one case, a figure a round."""

    part: str
    buyers: int
    goods: int
    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    def ratio(self) -> float:
        return statistics.median(ours / bare for ours, bare in zip(self.ours, self.bare, strict=True))

    def line(self) -> Line:
        figures = (f"{statistics.median(each):,.0f}" for each in (self.bare, self.ours))
        kinds = "one" if self.goods == 1 else f"{self.goods:,}"
        return (self.part, f"{self.buyers} buyers, {kinds} goods", *figures, f"{self.ratio():.2f}")


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=3, type=click.IntRange(1))
@click.option("--seconds", default=3, type=click.IntRange(1), help="Of each burst.")
@click.option("--only", type=click.Choice(["sqlite", "postgresql"]), help="Only this database.")
@click.option("--markdown", is_flag=True, help="Print the table for bench/README.md.")
def main(rounds: int, seconds: int, only: str | None, markdown: bool) -> None:
    """Order as fast as possible, in turn with the bare transaction, and check that stock and orders agree."""
    try:
        require_wrk()
    except LoadError as error:
        raise click.ClickException(str(error)) from error
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        work = Path(folder)
        if only != "postgresql":
            lines += measure(stack.enter_context(sqlite_database(work)), work, rounds, seconds)
        if only != "sqlite":
            try:
                database = stack.enter_context(postgres_database())
            except (OSError, asyncpg.PostgresError) as error:
                click.echo(f"SKIPPED: PostgreSQL cannot be used ({error}); set APP_TEST_POSTGRES_URL", err=True)
            else:
                lines += measure(database, work, rounds, seconds)
    headings = ("part", "case", "bare, orders/s", "us, orders/s", "times")
    click.echo(f"\n{machine.describe()}; medians of {rounds} × {seconds} s\n")
    click.echo(as_markdown(headings, lines, LEFT) if markdown else as_text(headings, lines, LEFT, group=1))


def measure(database: Database, work: Path, rounds: int, seconds: int) -> Iterator[Line]:
    """A line for each case."""
    click.echo(f"filling {GOODS:,} goods into {database.kind} …", err=True)
    prepare(database, GOODS)
    ask(database, f"UPDATE shopdemo_goods SET stock = {STOCK}, on_sale = true")
    with started_both(database, work) as (bare, ours):
        for goods in (1, GOODS):
            for buyers in BUYERS:
                row = Row(database.kind, buyers, goods)
                bare(buyers, goods, 1), ours(buyers, goods, 1)  # warm up
                for number in range(rounds):
                    turns = [(bare, row.bare), (ours, row.ours)]
                    for run, figures in turns if number % 2 == 0 else reversed(turns):
                        figures.append(run(buyers, goods, seconds))
                check(database)
                yield row.line()


@contextmanager
def started_both(database: Database, work: Path) -> Iterator[tuple[Run, Run]]:
    """The bare transaction, and this service started by its own command on the same database."""
    bare = bare_sqlite if database.kind == "sqlite" else partial(bare_postgres, work)
    with start_ours(f"orders-{database.kind}", Place(work, cores()[0], database)) as server:
        yield partial(bare, database), partial(orders, server)


def orders(server: Server, buyers: int, goods: int, seconds: int) -> float:
    """Every buyer is a connection; every order has a key of its own."""
    return run_load("us", server.origin, seconds, ["order", uuid4().hex, str(goods), admin_token()], buyers).rate


def bare_postgres(work: Path, database: Database, buyers: int, goods: int, seconds: int) -> float:
    """PostgreSQL's own load client, with prepared statements; with more connections it would only be slower."""
    script = work / "order.sql"
    script.write_text(BARE_POSTGRES)
    url = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    load = [
        f"--client={min(buyers, MAX_CONNECTIONS)}",
        "--jobs=1",
        f"--time={seconds}",
        f"--define=goods={goods}",
        f"--file={script}",
    ]
    command = ["pgbench", "--no-vacuum", "--protocol=prepared", *load, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found or "number of failed transactions: 0 " not in done.stdout:
        raise click.ClickException(f"pgbench failed: {done.stdout}{done.stderr}")
    return float(found[1])


def bare_sqlite(database: Database, buyers: int, goods: int, seconds: int) -> float:
    """One connection for all buyers: SQLite has one writer, and several would only wait for each other."""
    connection = sqlite3.connect(database.file, isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        placed, begin = 0, time.perf_counter()
        while time.perf_counter() < begin + seconds:
            place(connection, random.randint(1, goods))
            placed += 1
        return placed / (time.perf_counter() - begin)
    finally:
        connection.close()


def place(connection: sqlite3.Connection, goods_id: int) -> None:
    take, order, add = BARE_SQLITE
    now = datetime.now(UTC)
    created_at, expires_at = (moment.isoformat() for moment in (now, now + timedelta(minutes=30)))
    connection.execute("BEGIN IMMEDIATE")
    sku, name, price = connection.execute(take, (goods_id,)).fetchone()
    order_id = connection.execute(order, (price, created_at, created_at, expires_at)).fetchone()[0]
    connection.execute(add, (order_id, goods_id, sku, name, price))
    connection.execute("COMMIT")


def check(database: Database) -> None:
    """As many pieces must be gone as were ordered, one in each order."""
    placed, ordered, taken = ask(database, COUNTS)
    if not placed == ordered == taken:
        raise click.ClickException(f"{placed} orders of {ordered} pieces, but {taken} are gone")


def ask(database: Database, statement: str) -> Sequence[Any]:
    """Run one statement; answers the row that it returns, if any."""
    if database.kind == "sqlite":
        with closing(sqlite3.connect(database.file)) as connection, connection:
            return connection.execute(statement).fetchone() or ()
    return asyncio.run(_ask_postgres(database, statement))


async def _ask_postgres(database: Database, statement: str) -> Sequence[Any]:
    connection = await connect_postgres(database.url)
    try:
        return tuple(await connection.fetchrow(statement) or ())
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
