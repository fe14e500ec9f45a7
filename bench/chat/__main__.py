"""`python -m bench.chat`: compare our chat with others in one go and print what they did."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from bench.chat.client import compile_client
from bench.chat.contestants import CONTESTANTS, Contestant, versions
from bench.chat.measure import CONNECT, FAN_OUT, IDLE, STEADY_RATE, WINDOW, Row, connect, fan_out, idle
from bench.chat.report import report
from bench.http import machine
from bench.http.contestants import Place
from bench.http.load import LoadError
from bench.http.server import cores

CASES = (*(case.name for case in FAN_OUT), CONNECT, IDLE)
NAMES = tuple(who.name for who in CONTESTANTS)


@dataclass(frozen=True)
class Options:
    """How long, and what."""

    rounds: int
    seconds: int
    only: frozenset[str]

    def wanted(self, known: tuple[str, ...]) -> list[str]:
        """Those that were asked for, or all when none of their kind was."""
        return [name for name in known if name in self.only] or list(known)


@click.command(context_settings={"show_default": True})
@click.option("--only", multiple=True, type=click.Choice((*CASES, *NAMES)), help="Cases or chats; may be given often.")
@click.option("--rounds", default=5, type=click.IntRange(1), help="How often every chat has its turn in each case.")
@click.option("--seconds", default=3, type=click.IntRange(1), help="How long a burst lasts; each turn has two.")
@click.option("--quick", is_flag=True, help="One round of two seconds: does it work, not how fast is it.")
@click.option("--markdown", is_flag=True, help="Print the tables for bench/README.md.")
def main(only: tuple[str, ...], rounds: int, seconds: int, quick: bool, markdown: bool) -> None:
    """Compare this service's chat with its peers, every one on one core."""
    options = Options(1, 2, frozenset(only)) if quick else Options(rounds, seconds, frozenset(only))
    rows: list[Row] = []
    try:
        compile_client()
        run(options, rows)
    except (LoadError, KeyboardInterrupt) as error:
        raise click.ClickException(str(error) or "interrupted") from error
    finally:  # what was measured before an error is not lost
        click.echo(f"\n{machine.describe()}, {versions()};")
        click.echo(f"medians of {options.rounds} × {options.seconds} s; a window of {WINDOW} messages in each room,")
        click.echo(f"p50, p99 and the steady CPU at {STEADY_RATE:,} deliveries/s\n")
        click.echo(report(rows, markdown=markdown))


def run(options: Options, rows: list[Row]) -> None:
    """Every wanted case, with the servers on one core and everything else on the other."""
    server_core, own_core = cores()
    os.sched_setaffinity(0, {own_core})
    contestants = taking_part(options)
    wanted = options.wanted(CASES)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Place(Path(folder), server_core)
        for case in FAN_OUT:
            if case.name in wanted:
                click.echo(f"{case.sockets} sockets, rooms: {case.rooms} …", err=True)
                rows += fan_out(case, contestants, place, options.rounds, options.seconds)
        if CONNECT in wanted:
            click.echo("connections …", err=True)
            rows += connect(contestants, place, options.rounds)
        if IDLE in wanted:
            click.echo("idle sockets …", err=True)
            rows += idle(contestants, place, options.rounds)


def taking_part(options: Options) -> list[Contestant]:
    """The wanted chats that can run here; a line for each that cannot."""
    found = []
    for who in CONTESTANTS:
        if who.name in options.wanted(NAMES):
            if reason := who.missing():
                click.echo(f"SKIPPED: {who.name}: {reason}", err=True)
            else:
                found.append(who)
    return found


if __name__ == "__main__":
    main()
