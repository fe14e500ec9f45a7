"""What `GET /metrics` says, read as Prometheus reads it."""

from collections import defaultdict
from collections.abc import Callable
from typing import Self

from prometheus_client.parser import text_string_to_metric_families


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    @classmethod
    def of(cls, get: Callable[[str], "object"]) -> Self:
        """Of whoever answers `get("/metrics")`: a test client, or a real one."""
        return cls(get("/metrics").text)  # type: ignore[attr-defined]

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels; 0 if there are none."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self) -> dict[str, set[str]]:
        """The labels of each name there is."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for sample in self.samples:
            found[sample.name] |= sample.labels.keys()
        return dict(found)
