"""How `python main.py serve` ends."""

import signal
from pathlib import Path

import httpx
import pytest

from tests.support.databases import only_sqlite
from tests.support.processes import PATIENCE, ROOT, Process, environment_of, services, wait_until

START_SECONDS = 60.0  # two processes on a machine that has much else to do
CLIENT = "203.0.113.7"

pytestmark = [only_sqlite, pytest.mark.slow]


def test_one_process_is_stopped_by_a_signal_to_restart(database_url: str, tmp_path: Path) -> None:
    """Without a supervisor there is nobody to start a new worker: whoever keeps the service running does."""
    environment = environment_of("shopdemo", database_url, APP_LOG_LEVEL="INFO")
    with services(1, environment, tmp_path) as (process,):
        process.popen.send_signal(signal.SIGHUP)
        assert process.wait() == 0
        assert "Application shutdown complete" in process.said()


def test_new_workers_believe_the_proxies_that_the_file_names_now(database_url: str, tmp_path: Path) -> None:
    """What the supervisor read at its start is not theirs."""
    environment = environment_of("accounts", database_url, APP_ENV="development", APP_LOG_LEVEL="INFO")
    file = tmp_path / ".env"
    file.write_text("APP_TRUSTED_PROXIES=10.0.0.1\n")
    command = [str(ROOT / "main.py"), "serve", "--workers=2"]
    process = Process(command, environment, tmp_path / "server.log", cwd=tmp_path)
    try:
        wait_until(lambda: process.said().count("startup complete") == 2, START_SECONDS, "not all workers start")
        assert client_in_the_log(process, "before") == "127.0.0.1"
        file.write_text("APP_TRUSTED_PROXIES=127.0.0.1\n")
        process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: process.said().count("Finished server process") == 2, START_SECONDS, "they are not replaced")
        assert client_in_the_log(process, "after") == CLIENT
        process.terminate()
        assert process.wait() == 0
    finally:
        process.end()


def client_in_the_log(process: Process, request: str) -> str:
    """Who asked, in the access line of a request that came through a proxy on this machine."""
    headers = {"X-Forwarded-For": CLIENT, "X-Request-ID": request}
    assert httpx.get(f"http://{process.address}/healthz", headers=headers).status_code == 200

    def lines() -> list[str]:
        return [line for line in process.said().splitlines() if f"| {request} | access" in line]

    wait_until(lambda: bool(lines()), PATIENCE, "there is no access line")
    (line,) = lines()
    return next(address for address in (CLIENT, "127.0.0.1") if address in line)
