"""Every alert fires when it should and is silent when it should be, as Prometheus' own promtool evaluates it."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from extensions.metrics import SECONDS
from extensions.sampler import LAG_SECONDS, lags
from tests.support.databases import miss
from tests.support.processes import ROOT

RULE_FILE = ROOT / "deploy" / "alerts.yml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULE_FILE.read_text("utf-8"))["groups"]
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}

INSTANCE = "10.1.2.3:8010"
STEP_SECONDS = 16
MINUTES = 40  # of each story

Series = dict[str, str]  # a series, and its values in promtool's notation


class Story(NamedTuple):
    """What is seen of a machine, and what its alert says at the end; None if it never fires."""

    alert: str
    when: str
    series: Series
    summary: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


def series(name: str, values: str, **labels: str) -> Series:
    chosen = ",".join(f'{label}="{value}"' for label, value in {"instance": INSTANCE, **labels}.items())
    return {f"{name}{{{chosen}}}": values}


def counted(name: str, each_step: float, **labels: str) -> Series:
    """A counter that grows."""
    return series(name, f"0+{each_step:g}x{MINUTES * 60 // STEP_SECONDS}", **labels)


def level(*levels: tuple[float, float], name: str, **labels: str) -> Series:
    """A gauge: so high for so many minutes, and then as at last."""
    parts = [f"{height:g}x{minutes * 60 / STEP_SECONDS:.0f}" for minutes, height in levels]
    return series(name, " ".join(parts), **labels)


def answers(route: str, status: int, each_step: float) -> Series:
    labels = {"http_request_method": "GET", "http_route": route, "http_response_status_code": str(status)}
    return counted("http_server_request_duration_seconds_count", each_step, **labels)


def durations(name: str, each_step: Iterable[float], **labels: str) -> Series:
    """The buckets of a histogram that sees these each step."""
    seen = list(each_step)
    found: Series = {}
    for bucket in (*SECONDS, float("inf")):
        limit = "+Inf" if bucket == float("inf") else str(bucket)
        found |= counted(f"{name}_bucket", sum(one <= bucket for one in seen), le=limit, **labels)
    return found


def blocked(seconds: float) -> list[float]:
    """What the event loop is seen to lag when something blocks it for so long each step."""
    on_time = [0.0] * round((STEP_SECONDS - seconds) / LAG_SECONDS)
    return [*on_time, *lags(seconds)]


GOODS = "/shopdemo/goods"
SLOW = {"http_request_method": "GET", "http_route": GOODS, "http_response_status_code": "200"}
TOOK = "http_server_request_duration_seconds"
POOL = {"db_client_connection_pool_name": "reads"}

STORIES = [
    Story(
        "ServiceDown",
        "no answer for long",
        level((5, 1), (35, 0), name="up", job="myfastapi"),
        f"{INSTANCE} does not answer.",
        (("job", "myfastapi"),),
    ),
    Story("ServiceDown", "it was restarted", level((5, 1), (0.5, 0), (34, 1), name="up", job="myfastapi")),
    Story(
        "NotReady",
        "the database is away",
        level((5, 0), (35, 2), name="service_readiness", status="unready"),
        f"{INSTANCE} is not ready: 2 of its workers lack something that they need.",
    ),
    Story(
        "NotReady",
        "the database was restarted",
        level((5, 0), (3, 2), (32, 0), name="service_readiness", status="unready"),
    ),
    Story("NotReady", "the disk of the pictures is full", level((40, 2), name="service_readiness", status="degraded")),
    Story(
        "PartlyReady",
        "the disk of the pictures is full",
        level((5, 0), (35, 1), name="service_readiness", status="degraded"),
        f"{INSTANCE} is degraded: 1 of its workers lack something that a part needs.",
    ),
    Story("PartlyReady", "an upgrade", level((5, 0), (10, 1), (25, 0), name="service_readiness", status="degraded")),
    Story(
        "ManyFailures",
        "5 of 100",
        {**answers(GOODS, 200, 95), **answers(GOODS, 503, 5)},
        f"5% of the requests to {INSTANCE} fail.",
    ),
    Story("ManyFailures", "5 of 1000", {**answers(GOODS, 200, 995), **answers(GOODS, 503, 5)}),
    Story("ManyFailures", "readiness is asked for", {**answers(GOODS, 200, 95), **answers("/readyz", 503, 5)}),
    Story(
        "SlowAnswers",
        "10 of 100",
        durations(TOOK, [0.1] * 90 + [2.0] * 10, **SLOW),
        f"1 of 100 answers of {INSTANCE} takes 2.35s or more.",
    ),
    Story("SlowAnswers", "5 of 1000", durations(TOOK, [0.1] * 995 + [2.0] * 5, **SLOW)),
    Story("SlowAnswers", "exports", durations(TOOK, [2.0] * 10, **{**SLOW, "http_route": f"{GOODS}/export"})),
    Story(
        "EventLoopLags",
        "it stands still for 4 of 16 seconds",
        durations("event_loop_lag_seconds", blocked(4)),
        f"Everything on {INSTANCE} waits for 4.733s.",
    ),
    Story("EventLoopLags", "it stands still for 0.2 of 16 seconds", durations("event_loop_lag_seconds", blocked(0.2))),
    Story(
        "DatabaseConnectionsWanted",
        "three wait",
        level((40, 3), name="db_client_connection_pending_requests", **POOL),
        f"Requests to {INSTANCE} wait for connections (reads).",
        tuple(POOL.items()),
    ),
    Story(
        "DatabaseConnectionsWanted", "none waits", level((40, 0), name="db_client_connection_pending_requests", **POOL)
    ),
    Story(
        "FilesRunOut",
        "one worker is full",
        level((5, 0.1), (35, 0.95), name="process_open_fds_ratio"),
        f"A worker of {INSTANCE} has 95% of the open files that it may have.",
    ),
    Story("FilesRunOut", "half of them", level((40, 0.5), name="process_open_fds_ratio")),
    Story(
        "ChatRefuses",
        "Redis is away",
        counted("chat_refusals_total", 3, code="503"),
        f"The chat of {INSTANCE} lets nobody in, or takes no messages.",
    ),
    Story("ChatRefuses", "Redis was away for 3 minutes", series("chat_refusals_total", "0+3x11 33x120", code="50311")),
    Story("ChatRefuses", "frames that are too large", counted("chat_refusals_total", 3, code="41311")),
    Story(
        "SlowClients",
        "four in 16 seconds",
        counted("chat_slow_clients_closed_total", 4),
        f"{INSTANCE} has closed 225 sockets that did not read what came.",
    ),
    Story("SlowClients", "one in 16 seconds", counted("chat_slow_clients_closed_total", 1)),
]


def expected(story: Story, minute: int) -> dict[str, Any]:
    """What promtool shall find at this time."""
    rule = RULES[story.alert]
    alert = {
        "exp_labels": {**rule["labels"], "instance": INSTANCE, **dict(story.labels)},
        "exp_annotations": {**rule["annotations"], "summary": story.summary},
    }
    return {"eval_time": f"{minute}m", "alertname": story.alert, "exp_alerts": [alert] if story.summary else []}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.alert}: {story.when}")
def test_an_alert(story: Story, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        miss("promtool", "no promtool: install it (on Debian: apt install prometheus)")
    minutes = [MINUTES - 5] if story.summary else range(1, MINUTES)
    test = {
        "interval": f"{STEP_SECONDS}s",
        "input_series": [{"series": name, "values": values} for name, values in story.series.items()],
        "alert_rule_test": [expected(story, minute) for minute in minutes],
    }
    file = tmp_path / "story.yml"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(RULE_FILE)], "tests": [test]}), "utf-8")
    result = subprocess.run([str(promtool), "test", "rules", str(file)], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_is_seen_to_fire_and_to_be_silent() -> None:
    for fires in (True, False):
        assert {story.alert for story in STORIES if bool(story.summary) is fires} == RULES.keys()
