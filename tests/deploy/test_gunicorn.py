"""gunicorn by deploy/gunicorn.conf.py refuses what `python main.py serve` refuses, and says its lines where all are."""

import json
import re
from pathlib import Path

import pytest

from tests.support.databases import only_sqlite, sqlite_url
from tests.support.processes import PATIENCE, Gunicorn, environment_of, wait_until

pytestmark = pytest.mark.slow


def refusal(environment: dict[str, str], log: Path, *options: str) -> str:
    """What it says at last, after it has ended by itself."""
    process = Gunicorn(options, environment, log)
    try:
        assert process.wait() == 1
        return process.said().partition("Error: ")[2]
    finally:
        process.end()


@only_sqlite
def test_several_workers_need_a_broker_between_them(database_url: str, tmp_path: Path) -> None:
    environment = environment_of("websocketdemo", database_url)
    assert refusal(environment, tmp_path / "log", "--workers=2") == (
        "The settings are not usable:\n"
        "  - APP_BROKER_URL: is memory:// with 2 workers: each would have a websocketdemo of its own → "
        "set APP_BROKER_URL=redis://127.0.0.1:6379/0, or APP_WORKERS=1\n"
    )


def test_production_is_refused_for_every_reason_at_once(tmp_path: Path) -> None:
    environment = environment_of(
        "shopdemo", sqlite_url(tmp_path / "new.db"), APP_ENV="production", APP_SECRET_KEY="short"
    )
    said = refusal({**environment, "APP_TRUSTED_PROXIES": "*"}, tmp_path / "log")
    assert re.findall(r"^  - ([^:]+): ", said, re.MULTILINE) == [
        "APP_SECRET_KEY",
        "APP_TRUSTED_PROXIES",
        "the schema of shopdemo",
    ]


@only_sqlite
def test_its_own_lines_are_in_our_log_once(database_url: str, tmp_path: Path) -> None:
    environment = environment_of("shopdemo", database_url, APP_LOG_LEVEL="INFO", APP_LOG_JSON="true", APP_DEBUG="true")
    process = Gunicorn([], environment, tmp_path / "log")
    try:
        wait_until(lambda: "startup complete" in process.said(), PATIENCE, "it does not start")
        process.terminate()
        assert process.wait() == 0
        lines = [json.loads(line) for line in process.said().splitlines()]
    finally:
        process.end()
    own = [re.sub(r"[\d.:/]+", "…", line["message"]) for line in lines if line["logger"] == "gunicorn.error"]
    assert sorted(own) == sorted(set(own))
    assert {
        "Starting gunicorn …",
        "Booting worker with pid… …",
        "Handling signal… term",
        "Shutting down… Master",
    } <= set(own)
