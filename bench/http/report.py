"""The rows as one table, for a terminal or for Markdown, and the targets they reach or miss."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import tables
from bench.http.measure import Row

BASE = "seed"
HEADINGS = ("part", "case", "way", "req/s", "p50 ms", "p99 ms", "CPU µs", f"× {BASE}, req/s", f"× {BASE}, CPU")
LEFT = 3


@dataclass(frozen=True)
class Target:
    """What one way must reach in one case, as a multiple of another's requests a second."""

    part: str
    case: str
    times: float
    name: str = "us"
    base: str = BASE

    def verdict(self, rows: Sequence[Row]) -> str | None:
        """A sentence; None when the run did not measure it."""
        found = {row.name: row for row in rows if (row.part, row.case) == (self.part, self.case)}
        if self.name not in found or self.base not in found:
            return None
        faster, leaner = found[self.name].faster(found[self.base]), found[self.name].leaner(found[self.base])
        return (
            f"{'reached' if faster >= self.times else 'MISSED':<8}{self.part:<11}{self.case:<12} {self.name} / "
            f"{self.base}: wanted {self.times:.2f}×, {faster:.2f}× by requests/s, {leaner:.2f}× by CPU"
        )


TARGETS = (
    Target("envelope", "one", 1 / 1.08, "route", "plain"),
    Target("envelope", "one", 1 / 1.30, "us", "plain"),
    Target("envelope", "page", 1 / 1.08, "route", "plain"),
    Target("envelope", "page", 7.0, "route"),
    Target("envelope", "page", 7.0),
    *(
        target
        for part in ("sqlite", "postgresql")
        for target in (
            Target(part, "get one", 4.0, "us, no cache"),
            Target(part, "page", 4.0, "us, no cache"),
            Target(part, "get again", 10.0),
            Target(part, "page again", 10.0),
            Target(part, "home", 10.0),
        )
    ),
)


def table(rows: Sequence[Row]) -> list[tables.Line]:
    """A line of texts for each row; the ratios are those to the base of the same part and case."""
    bases = {(row.part, row.case): row for row in rows if row.name == BASE}
    return [
        (
            row.part,
            row.case,
            row.name,
            f"{row.median(lambda sample: sample.rate):,.0f}",
            f"{row.median(lambda sample: sample.p50):.2f}",
            f"{row.median(lambda sample: sample.p99):.2f}",
            f"{row.median(lambda sample: sample.cpu):.0f}",
            f"{row.faster(bases[row.part, row.case]):.2f}",
            f"{row.leaner(bases[row.part, row.case]):.2f}",
        )
        for row in rows
    ]


def as_text(rows: Sequence[Row]) -> str:
    return tables.as_text(HEADINGS, table(rows), LEFT, group=2)


def as_markdown(rows: Sequence[Row]) -> str:
    return tables.as_markdown(HEADINGS, table(rows), LEFT)
