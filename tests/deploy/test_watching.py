"""The dashboard and the alerts ask for what `/metrics` has, in PromQL that can be read."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import pytest
import yaml
from starlette.testclient import TestClient

from tests.support.databases import only_sqlite
from tests.support.metrics import Metrics
from tests.support.processes import needs_proc

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))
PROMETHEUS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))

GIVEN_BY_GRAFANA = {"$__rate_interval": "5m", "$instance": ".*"}
GIVEN_BY_PROMETHEUS = {"instance", "job"}  # labels of every scraped sample
OF_PROMETHEUS = {"up"}  # it makes this series itself

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]


class Asked(NamedTuple):
    """A metric, and a label by which it is chosen or added up."""

    metric: str
    label: str


def expressions() -> dict[str, str]:
    """Every PromQL expression, by where it stands."""
    found = {rule["alert"]: rule["expr"] for rule in RULES}
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in GIVEN_BY_GRAFANA.items():
                expression = expression.replace(name, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def asked(expression: Any, grouped_by: tuple[str, ...] = ()) -> Iterator[Asked]:
    """All metrics of an expression with their labels, those of the aggregations around them included."""
    if isinstance(expression, promql_parser.VectorSelector):
        labels = [matcher.name for matcher in expression.matchers.matchers]
        yield from (Asked(str(expression.name), label) for label in ("", *labels, *grouped_by))
    elif isinstance(expression, promql_parser.AggregateExpr):
        by = tuple(expression.modifier.labels) if expression.modifier else ()
        yield from asked(expression.expr, (*grouped_by, *by))
    else:
        for child in children(expression):
            yield from asked(child, grouped_by)


def children(expression: Any) -> list[Any]:
    if isinstance(expression, promql_parser.Call):
        return list(expression.args)
    if isinstance(expression, promql_parser.BinaryExpr):
        return [expression.lhs, expression.rhs]
    if isinstance(expression, promql_parser.ParenExpr):
        return [expression.expr]
    if isinstance(expression, promql_parser.MatrixSelector):
        return [expression.vector_selector]
    assert isinstance(expression, promql_parser.NumberLiteral), type(expression)
    return []


@pytest.fixture
def there_is(client: TestClient) -> dict[str, set[str]]:
    """The labels of each metric that a running service with all its sub-projects shows."""
    client.get("/healthz")
    with client.websocket_connect("/websocketdemo/ws/User1"):
        pass
    return Metrics.of(client.get).labels()


@needs_proc
@only_sqlite
def test_every_metric_and_label_that_is_asked_for_exists(there_is: dict[str, set[str]]) -> None:
    unknown = [
        f"{place}: {metric}{{{label}}}"
        for place, expression in expressions().items()
        for metric, label in asked(promql_parser.parse(expression))
        if metric not in OF_PROMETHEUS
        and (metric not in there_is or label not in there_is[metric] | GIVEN_BY_PROMETHEUS | {""})
    ]
    assert unknown == []


@needs_proc
@only_sqlite
def test_nothing_is_counted_that_no_panel_shows(there_is: dict[str, set[str]]) -> None:
    shown = {one.metric for text in expressions().values() for one in asked(promql_parser.parse(text))}
    histograms = {name.removesuffix("_bucket") for name in there_is if name.endswith("_bucket")}
    counted = {name for name in there_is if not name.startswith(tuple(histograms))} | histograms
    assert {name for name in counted if not any(one.startswith(name) for one in shown)} == set()


def test_what_a_legend_names_is_what_the_query_groups_by() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in target["legendFormat"].split("{{")[1:]:
                assert label.partition("}}")[0] in target["expr"], panel["title"]


def test_the_dashboard_can_be_imported_anywhere() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables.keys() == {"datasource", "instance"}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["instance"]["query"]["query"] == "label_values(service_workers, instance)"
    assert "id" not in DASHBOARD, "an id belongs to one Grafana"
    own = {"type": "prometheus", "uid": "${datasource}"}
    assert [panel["title"] for panel in PANELS if panel["datasource"] != own] == []


def test_panels_lie_side_by_side() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
        assert one["x"] + one["w"] <= 24


def test_alerts_say_what_happens_and_where_to_look() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}
        expression = promql_parser.parse(rule["expr"])
        assert isinstance(expression, promql_parser.BinaryExpr), f"{rule['alert']} has no threshold"
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_prometheus_reads_the_alerts_and_asks_the_service() -> None:
    assert [(DEPLOY / name).is_file() for name in PROMETHEUS["rule_files"]] == [True]
    (job,) = PROMETHEUS["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("myfastapi", "/metrics")
    assert 'up{job="myfastapi"} == 0' in [rule["expr"] for rule in RULES]
