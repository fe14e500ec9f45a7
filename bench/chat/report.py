"""The rows as two tables, for a terminal or for Markdown, and the targets they reach or miss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import tables
from bench.chat.measure import CONNECT, FAN_OUT, IDLE, Row

US, TUTORIAL, WS = "us", "tutorial", "ws"
BUSY = 0.9  # of the client's core: with more it may be the client that is measured

HEADINGS = ("case", "chat", "deliveries/s", "CPU µs", "bytes", "client", f"× {TUTORIAL}", f"× {WS}")
STEADY_HEADINGS = ("p50 ms", "p99 ms", "steady CPU µs")
SOCKET_HEADINGS = ("chat", "connections/s", "CPU µs", "client", f"× {TUTORIAL}", "KiB idle", f"× {TUTORIAL}")

Show = Callable[[tables.Line, Sequence[tables.Line], int, int], str]


@dataclass(frozen=True)
class Target:
    """How many times as much, or as little, we want of a figure as another chat has."""

    case: str
    figure: str
    base: str
    at_least: float = 0.0
    at_most: float = float("inf")

    def verdict(self, rows: Sequence[Row]) -> str | None:
        """A sentence; None when the run did not measure it."""
        found = {row.name: row for row in rows if row.case == self.case}
        if US not in found or self.base not in found:
            return None
        times = found[US].times(found[self.base], self.figure)
        by_cpu = f", {found[self.base].times(found[US], 'cpu'):.2f}× by CPU" if self.figure == "rate" else ""
        wanted = f"at least {self.at_least:.2f}×" if self.at_least else f"at most {self.at_most:.2f}×"
        return (
            f"{'reached' if self.at_least <= times <= self.at_most else 'MISSED':<8}{self.case:<11}{self.figure:<12}"
            f"us / {self.base}: wanted {wanted}, got {times:.2f}×{by_cpu}"
        )


TARGETS = (
    Target("1000", "rate", TUTORIAL, at_least=20.0),
    Target("1000", "rate", WS, at_least=5.0),
    Target("100 rooms", "rate", TUTORIAL, at_least=3.0),
    Target("100 rooms", "rate", WS, at_least=1.0),
    *(Target(case.name, "p99", WS, at_most=1.0) for case in FAN_OUT),
    *(Target(case.name, "steady_cpu", WS, at_most=1.0) for case in FAN_OUT),
    Target(IDLE, "memory", TUTORIAL, at_most=0.5),
)


def number(row: Row | None, figure: str, form: str) -> str:
    """The median, or a dash when there is none."""
    found = row.median(figure) if row else None
    return "–" if found is None else format(found, form)


def times(row: Row | None, base: Row | None, figure: str) -> str:
    return f"{row.times(base, figure):.2f}" if row and base else "–"


def client_share(row: Row | None) -> str:
    share = row.median("client") if row else None
    return "–" if share is None else f"{share:.0%}" + " BUSY" * (share > BUSY)


def fan_out_lines(rows: Sequence[Row]) -> list[tables.Line]:
    found = {(row.case, row.name): row for row in rows}
    return [
        (
            row.case,
            row.name,
            number(row, "rate", ",.0f"),
            number(row, "cpu", ".2f"),
            number(row, "bytes", ".0f"),
            client_share(row),
            times(row, found.get((row.case, TUTORIAL)), "rate"),
            times(row, found.get((row.case, WS)), "rate"),
            number(row, "p50", ".2f"),
            number(row, "p99", ".2f"),
            number(row, "steady_cpu", ".2f"),
        )
        for row in rows
        if row.case not in (CONNECT, IDLE)
    ]


def socket_lines(rows: Sequence[Row]) -> list[tables.Line]:
    found = {(row.case, row.name): row for row in rows}
    names = dict.fromkeys(row.name for row in rows if row.case in (CONNECT, IDLE))
    lines: list[tables.Line] = []
    for name in names:
        connect, idle = found.get((CONNECT, name)), found.get((IDLE, name))
        lines.append(
            (
                name,
                number(connect, "rate", ",.0f"),
                number(connect, "cpu", ".0f"),
                client_share(connect),
                times(connect, found.get((CONNECT, TUTORIAL)), "rate"),
                number(idle, "memory", ".1f"),
                times(idle, found.get((IDLE, TUTORIAL)), "memory"),
            )
        )
    return lines


def report(rows: Sequence[Row], *, markdown: bool) -> str:
    """Both tables, as far as there are rows, and a line for each target."""
    texts = []
    for headings, lines, left in (
        ((*HEADINGS, *STEADY_HEADINGS), fan_out_lines(rows), 2),
        (SOCKET_HEADINGS, socket_lines(rows), 1),
    ):
        if lines:
            as_table = tables.as_markdown(headings, lines, left)
            texts.append(as_table if markdown else tables.as_text(headings, lines, left, group=left - 1))
    texts.append("\n".join(filter(None, (target.verdict(rows) for target in TARGETS))))
    return "\n\n".join(texts)
