"""How `python main.py serve` ends."""

import signal
from pathlib import Path

import pytest

from tests.support.databases import only_sqlite
from tests.support.processes import FAILURE, Process, environment_of, services

NO_WORKER_STARTS = 3

pytestmark = [only_sqlite, pytest.mark.slow]


def test_one_process_is_stopped_by_a_signal_to_restart(database_url: str, tmp_path: Path) -> None:
    """Without a supervisor there is nobody to start a new worker: whoever keeps the service running does."""
    environment = environment_of("shopdemo", database_url, APP_LOG_LEVEL="INFO")
    with services(1, environment, tmp_path) as (process,):
        process.popen.send_signal(signal.SIGHUP)
        assert process.wait() == 0
        assert "Application shutdown complete" in process.said()


def test_workers_that_cannot_start_end_the_server(database_url: str, tmp_path: Path) -> None:
    environment = environment_of("websocketdemo", database_url, "redis://127.0.0.1:not-a-port/0")
    process = Process(["main.py", "serve", "--workers=2"], environment, tmp_path / "server.log")
    try:
        assert process.wait() == NO_WORKER_STARTS
        assert FAILURE.search(process.said())
    finally:
        process.end()
