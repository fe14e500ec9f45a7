"""`python -m bench.overload`: more requests than can be answered, with our limits and without."""

import os
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncpg
import click

from bench.databases import postgres_database, sqlite_database
from bench.http import machine
from bench.http.contestants import Place, start_ours
from bench.http.load import LoadError, require_wrk, run_load
from bench.http.server import Server, cores
from bench.overload.client import PATIENCE_SECONDS, Seen, send
from bench.prepare import prepare
from bench.tables import Line, as_markdown, as_text

GOODS = 10_000
PAGES = 400
PEAK_CONNECTIONS = 32
LOADS = (1, 2, 3)
LEFT = 3

Start = Callable[..., AbstractContextManager[Server]]


def unlimited(start: Start) -> Start:
    return partial(start, APP_MAX_UNDER_WAY="1000000", APP_MAX_WAIT_SECONDS="60")


WAYS: dict[str, Start] = {
    "us": start_ours,
    "no limit": unlimited(start_ours),
}


@dataclass
class Case:
    """One way under one load, a burst a round."""

    way: str
    load: int
    rates: list[float] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    goodput: list[float] = field(default_factory=list)

    def line(self, kind: str) -> Line:
        accepted = sorted(seconds for seen in self.seen for seconds in seen.accepted)
        sent = sum(seen.sent for seen in self.seen)
        p50, p99 = (f"{accepted[int(len(accepted) * q)] * 1000:,.0f}" if accepted else "-" for q in (0.5, 0.99))
        refused = sum(seen.refused for seen in self.seen) / sent
        lost = sum(seen.failed + seen.given_up for seen in self.seen) / sent
        offered = statistics.median(self.rates)
        goodput = statistics.median(self.goodput)
        return (
            kind,
            self.way,
            f"{self.load}×",
            f"{offered:,.0f}",
            f"{goodput:.2f}",
            p50,
            p99,
            f"{refused:.0%}",
            f"{lost:.0%}",
        )


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=3, type=click.IntRange(1))
@click.option("--seconds", default=5, type=click.IntRange(1), help="That count, of each burst.")
@click.option("--only", type=click.Choice(["sqlite", "postgresql"]), help="Only this database.")
@click.option("--markdown", is_flag=True, help="Print the table for bench/README.md.")
def main(rounds: int, seconds: int, only: str | None, markdown: bool) -> None:
    """Find what one worker can carry, then send it one, two and three times as much."""
    try:
        require_wrk()
    except LoadError as error:
        raise click.ClickException(str(error)) from error
    lines: list[Line] = []
    server_core, own_core = cores()
    os.sched_setaffinity(0, {own_core})
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        if only != "postgresql":
            with sqlite_database(work) as database:
                lines += measure(Place(work, server_core, database), rounds, seconds)
        if only != "sqlite":
            try:
                with postgres_database() as database:
                    lines += measure(Place(work, server_core, database), rounds, seconds)
            except (OSError, asyncpg.PostgresError) as error:
                click.echo(f"SKIPPED: PostgreSQL cannot be used ({error}); set APP_TEST_POSTGRES_URL", err=True)
    headings = ("database", "way", "load", "sent/s", "goodput", "p50 ms", "p99 ms", "503", "lost")
    click.echo(f"\n{machine.describe()}; pages of 20 of {GOODS:,} goods, no cache; {rounds} × {seconds} s;")
    click.echo(
        f"goodput: answers of status 200 within {PATIENCE_SECONDS:.0f} s, as a part of the most the way can carry\n"
    )
    click.echo(as_markdown(headings, lines, LEFT) if markdown else as_text(headings, lines, LEFT, group=2))


def measure(place: Place, rounds: int, seconds: int) -> list[Line]:
    """A line for each way and load."""
    assert place.database is not None
    click.echo(f"filling {GOODS:,} goods into {place.database.kind} …", err=True)
    prepare(place.database, GOODS)
    cases = [Case(way, load) for way in WAYS for load in LOADS]
    for number in range(rounds):
        for way, start in WAYS.items():
            with start(f"{way}-{number}".replace(" ", "-"), place, APP_CACHE_BYTES="0") as server:
                measure_one(server, [case for case in cases if case.way == way], place.work, seconds)
    return [case.line(place.database.kind) for case in cases]


def measure_one(server: Server, cases: list[Case], work: Path, seconds: int) -> None:
    peak = peak_of(server, work, seconds)
    for case in cases:
        rate = peak * case.load
        seen = send(server.port, pages(server), rate, seconds)
        case.rates.append(rate)
        case.seen.append(seen)
        case.goodput.append(seen.counted / seconds / peak)
        click.echo(f"{server.name}: {rate:,.0f}/s → {seen.counted / seconds:,.0f}/s", err=True)


def peak_of(server: Server, work: Path, seconds: int) -> float:
    """The most it can carry: clients who wait for each answer, requests a second."""
    paths = work / "paths.txt"
    paths.write_text("\n".join(path for path, _ in zip(all_pages(), range(PAGES), strict=False)))
    run_load(server.name, server.origin, 1, ["read", str(paths), "1"], PEAK_CONNECTIONS)
    return run_load(server.name, server.origin, seconds, ["read", str(paths), "1"], PEAK_CONNECTIONS).rate


def all_pages() -> Iterator[str]:
    chance = random.Random(1)
    while True:
        yield f"/shopdemo/goods?size=20&page={chance.randrange(1, PAGES)}"


def pages(server: Server) -> Iterator[bytes]:
    for path in all_pages():
        yield f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()


if __name__ == "__main__":
    main()
