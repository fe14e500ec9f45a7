"""`python -m bench.scale`: does a list stay as fast when the shop grows a hundredfold?"""

import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import asyncpg
import click

from bench.catalogue import LEAVES
from bench.databases import Database, postgres_database, sqlite_database
from bench.http import machine
from bench.http.contestants import Place, start_ours
from bench.http.ours import cursor_before
from bench.http.server import cores
from bench.prepare import prepare
from bench.tables import Line, as_markdown, as_text

LIMIT = 3.0
LEFT = 2
FILTERS = f"category={LEAVES[3]}&price_min=100&price_max=2000&in_stock=true"


@dataclass
class Shop:
    """The service over so many goods, asked one request after another, each on a connection that is open already."""

    goods: int
    connection: HTTPConnection
    times: dict[str, list[float]] = field(default_factory=dict)

    def paths(self) -> dict[str, str]:
        """What is asked, by name; the deep page lies at nine tenths of the list."""
        pages, numbered = "/shopdemo/goods?size=20&cursor=", "/shopdemo/goods?size=20&page=1"
        return {
            "page 1": pages,
            "page 1, with total": numbered,
            "deep cursor": pages + cursor_before(self.goods // 10),
            "filtered": f"{pages}&{FILTERS}",
            "filtered, with total": f"{numbered}&{FILTERS}",
            "sorted by price": f"{pages}&sort=price",
            "search, one good in 10": f"{pages}&q={quote('耳机')}",
            "search, one in 120": f"{pages}&q={quote('无线 键盘')}",
            "search, a single good": f"{pages}&q=BENCH-{self.goods // 2:07}",
            "search, with total": f"{numbered}&q={quote('无线 键盘')}",
        }

    def ask(self, name: str) -> None:
        """Keep how many milliseconds it takes until the whole answer is there; goods must be in it."""
        path = self.paths()[name]
        self.connection.connect()
        begin = time.perf_counter()
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        body = response.read()
        self.times.setdefault(name, []).append((time.perf_counter() - begin) * 1000)
        self.connection.close()
        if response.status != 200 or not json.loads(body)["data"]["items"]:
            raise click.ClickException(f"{path}: {response.status} {body[:300]!r}")

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])


@click.command(context_settings={"show_default": True})
@click.option("--small", default=10_000, type=click.IntRange(1000), help="Goods in the small shop.")
@click.option("--large", default=1_000_000, type=click.IntRange(1000), help="Goods in the large shop.")
@click.option("--times", default=100, type=click.IntRange(1), help="How often each question is asked.")
@click.option("--markdown", is_flag=True, help="Print the table for bench/README.md.")
def main(small: int, large: int, times: int, markdown: bool) -> None:
    """Ask the same of a small and a large shop in turn, without cache, and compare the medians."""
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        work = Path(folder)
        with sqlite_database(work) as first, sqlite_database(work) as second:
            lines += compare("sqlite", (first, second), (small, large), times, work)
        try:
            databases = stack.enter_context(postgres_database()), stack.enter_context(postgres_database())
        except (OSError, asyncpg.PostgresError) as error:
            click.echo(f"SKIPPED: PostgreSQL cannot be used ({error}); set APP_TEST_POSTGRES_URL", err=True)
        else:
            lines += compare("postgresql", databases, (small, large), times, work)
    headings = ("part", "question", f"{small:,} goods, ms", f"{large:,} goods, ms", "times", f"within {LIMIT:.0f}×")
    click.echo(f"\n{machine.describe()}; medians of {times}, one request at a time, no cache\n")
    click.echo(as_markdown(headings, lines, LEFT) if markdown else as_text(headings, lines, LEFT, group=1))


def compare(
    part: str, databases: tuple[Database, Database], sizes: tuple[int, int], times: int, work: Path
) -> list[Line]:
    """A line for each question."""
    with ExitStack() as stack:
        shops = []
        for database, goods in zip(databases, sizes, strict=True):
            click.echo(f"filling {goods:,} goods into {part} …", err=True)
            prepare(database, goods)
            place = Place(work, cores()[0], database)
            server = stack.enter_context(start_ours(f"{part}-{goods}", place, APP_CACHE_BYTES="0"))
            shops.append(Shop(goods, HTTPConnection("127.0.0.1", server.port, timeout=60)))
        for name in shops[0].paths():
            for _ in range(times):
                for shop in shops:
                    shop.ask(name)
        return [line(part, name, *shops) for name in shops[0].paths()]


def line(part: str, name: str, small: Shop, large: Shop) -> Line:
    times = large.median(name) / small.median(name)
    verdict = "yes" if times <= LIMIT else "NO"
    return (part, name, f"{small.median(name):.2f}", f"{large.median(name):.2f}", f"{times:.2f}", verdict)


if __name__ == "__main__":
    main()
