"""`python -m bench.http`: run the parts in one go and print one table."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import click

from bench.databases import Database, postgres_database, sqlite_database
from bench.http import machine, micro
from bench.http.cases import CASES, GOODS
from bench.http.contestants import ENVELOPE, SHOP
from bench.http.load import CONNECTIONS, LoadError, require_wrk
from bench.http.measure import Row
from bench.http.parts import Options, envelope_part, shop_part
from bench.http.report import TARGETS, as_markdown, as_text
from bench.http.server import cores
from bench.prepare import prepare

PARTS = ("micro", "envelope", "sqlite", "postgresql")
NAMES = sorted({*PARTS, *(case.name for case in CASES), "one", *(who.name for who in (*ENVELOPE, *SHOP))})


@click.command(context_settings={"show_default": True})
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Parts, cases or ways; may be given many times.")
@click.option("--rounds", default=5, type=click.IntRange(1), help="How often every way has its turn in each case.")
@click.option("--seconds", default=3, type=click.IntRange(1), help="How long one turn lasts.")
@click.option("--quick", is_flag=True, help="One round of two seconds: does it work, not how fast is it.")
@click.option("--markdown", is_flag=True, help="Print the table for bench/README.md.")
def main(only: tuple[str, ...], rounds: int, seconds: int, quick: bool, markdown: bool) -> None:
    """Compare this service with its peers, every one on one core."""
    options = Options(1, 2, frozenset(only)) if quick else Options(rounds, seconds, frozenset(only))
    rows: list[Row] = []
    try:
        require_wrk()
        run(options, rows)
    except (LoadError, KeyboardInterrupt) as error:
        raise click.ClickException(str(error) or "interrupted") from error
    finally:  # what was measured before an error is not lost
        report(rows, options, markdown)


def report(rows: list[Row], options: Options, markdown: bool) -> None:
    click.echo(f"\n{machine.describe()}; {CONNECTIONS} connections, {GOODS:,} goods,")
    click.echo(f"medians of {options.rounds} × {options.seconds} s; base of the ratios: the seed's way\n")
    click.echo(as_markdown(rows) if markdown else as_text(rows))
    for sentence in filter(None, (target.verdict(rows) for target in TARGETS)):
        click.echo(sentence)


def run(options: Options, rows: list[Row]) -> None:
    """Every wanted part, with the servers on one core and everything else on the other."""
    server_core, own_core = cores()
    os.sched_setaffinity(0, {own_core})
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        if options.wants("micro", PARTS):
            click.echo(micro.report(options.rounds))
        if options.wants("envelope", PARTS):
            envelope_part(rows, work, server_core, options)
        if options.wants("sqlite", PARTS):
            with sqlite_database(work) as database:
                shop_part(rows, "sqlite", work, server_core, prepared(database), options)
        if options.wants("postgresql", PARTS):
            on_postgres(rows, work, server_core, options)


def prepared(database: Database) -> Database:
    click.echo(f"filling {GOODS:,} goods into {database.kind} …", err=True)
    prepare(database, GOODS)
    return database


def on_postgres(rows: list[Row], work: Path, core: int, options: Options) -> None:
    """The shop on PostgreSQL, or a line that says that there is none."""
    with ExitStack() as stack:
        try:
            database = stack.enter_context(postgres_database())
        except (OSError, asyncpg.PostgresError) as error:
            click.echo(f"SKIPPED: PostgreSQL cannot be used ({error}); set APP_TEST_POSTGRES_URL", err=True)
            return
        shop_part(rows, "postgresql", work, core, prepared(database), options)


if __name__ == "__main__":
    main()
