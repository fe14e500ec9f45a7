"""Workers that cannot start or do not end, and signals that come at a bad moment."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.processes import (
    FAILURE,
    PATIENCE,
    ROOT,
    Gunicorn,
    Process,
    Serve,
    environment_of,
    needs_proc,
    wait_until,
)

WORKERS = 2
NO_WORKER_STARTS = 3
SECRET = "a-secret-of-more-than-thirty-two-characters"
OLDER = "shopdemo_0001"
SERVES = "startup complete"
BROKEN = {
    "import": 'raise RuntimeError("broken")\n',
    "start": "async def app(scope, receive, send):\n    await send({'type': 'lifespan.startup.failed'})\n",
}

pytestmark = [needs_proc, only_sqlite, pytest.mark.faults, pytest.mark.slow]


@pytest.fixture(params=[Serve])
def server(request: pytest.FixtureRequest, settings: TestingSettings, tmp_path: Path) -> Iterator[Process]:
    """The shop in production with two workers, which have a second to end."""
    environment = environment_of(
        "shopdemo",
        settings.database_url,
        APP_ENV="production",
        APP_SECRET_KEY=SECRET,
        APP_LOG_JSON="false",
        APP_LOG_LEVEL="INFO",
        APP_WORKERS=str(WORKERS),
        APP_GRACE_SECONDS="1",
    )
    server: Process = request.param([], environment, tmp_path / "log")
    try:
        wait_until(lambda: server.said().count(SERVES) == WORKERS, 3 * PATIENCE, "not all workers start")
        yield server
        server.terminate()
        assert server.wait() == 0
    finally:
        server.end()


def migrated_to(settings: TestingSettings, revision: str) -> str:
    """Change what the schema says of itself; what it said before."""
    with closing(sqlite3.connect(settings.database_url.partition(":///")[2])) as database, database:
        ((before,),) = database.execute("SELECT version_num FROM alembic_version_shopdemo").fetchall()
        database.execute("UPDATE alembic_version_shopdemo SET version_num = ?", [revision])
    return str(before)


@pytest.mark.parametrize("server", [Serve, Gunicorn], indirect=True)
def test_workers_that_serve_go_on_while_another_cannot_be_replaced(server: Process, settings: TestingSettings) -> None:
    """As between new code and its migration, when a worker is killed."""
    current = migrated_to(settings, OLDER)
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: server.said().count("could not start; the next attempt") >= 2, 2 * PATIENCE, "it does not try")
    assert httpx.get(f"http://{server.address}/healthz").status_code == 200
    assert server.said().count(SERVES) == WORKERS
    migrated_to(settings, current)
    wait_until(lambda: server.said().count(SERVES) == WORKERS + 1, 2 * PATIENCE, "it is not replaced")


def test_sigterm_ends_a_worker_that_hangs_too(server: Process) -> None:
    """With what is left of it; the fixture's own SIGTERM comes late."""
    os.kill(server.worker_pids()[0], signal.SIGSTOP)
    server.terminate()
    assert server.wait() == 0
    assert not any(lives(pid) for pid in server.worker_pids())
    assert "does not end and is killed" in server.said()


def test_sighup_replaces_a_worker_that_hangs_too(server: Process) -> None:
    before = server.worker_pids()
    os.kill(before[0], signal.SIGSTOP)
    server.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: not any(lives(pid) for pid in before), 3 * PATIENCE, "they are not replaced")
    wait_until(lambda: server.said().count(SERVES) == 2 * WORKERS, 2 * PATIENCE, "no others serve")


def test_sigterm_does_not_wait_for_a_restart(server: Process) -> None:
    """The next worker hangs in its start, for which the restart would wait."""
    server.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: len(server.worker_pids()) > WORKERS, 2 * PATIENCE, "no next worker starts")
    os.kill(server.worker_pids()[-1], signal.SIGSTOP)
    server.terminate()
    assert server.wait() == 0
    assert not any(lives(pid) for pid in server.worker_pids())
    assert "hangs" not in server.said()


def lives(pid: int) -> bool:
    return (Path("/proc") / str(pid) / "fd").exists()


@pytest.mark.parametrize(("workers", "ever_started"), [(1, 0), (2, 4)], ids=["one", "two"])
def test_sighup_at_the_start_waits_for_its_handler(
    settings: TestingSettings, tmp_path: Path, workers: int, ever_started: int
) -> None:
    """It would end the service, whose process is there a second before it can take a signal."""
    environment = environment_of("shopdemo", settings.database_url, APP_LOG_LEVEL="INFO")
    server = Serve([f"--workers={workers}"], environment, tmp_path / "log")
    try:
        wait_until(lambda: is_blocked(signal.SIGHUP, server.popen.pid), PATIENCE, "it takes the signal at once")
        server.popen.send_signal(signal.SIGHUP)
        if ever_started:
            wait_until(lambda: server.said().count(SERVES) == ever_started, 3 * PATIENCE, "there is no restart")
            server.terminate()
        assert server.wait() == 0
    finally:
        server.end()


def is_blocked(number: int, pid: int) -> bool:
    """Whether the process holds a signal back for now."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigBlk:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def serve_in(folder: Path, environment: dict[str, str]) -> Process:
    command = ["-c", "from commands import cli; cli()", "serve", f"--workers={WORKERS}"]
    return Process(command, environment, folder / "log", cwd=folder)


def gunicorn_in(folder: Path, environment: dict[str, str]) -> Process:
    return Gunicorn([f"--chdir={folder}"], environment, folder / "log")  # with one: if two fail, it fails to say so


@pytest.mark.parametrize("start", [serve_in, gunicorn_in])
@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_the_service_ends_when_no_worker_can_ever_start(
    settings: TestingSettings, tmp_path: Path, code: str, start: Callable[[Path, dict[str, str]], Process]
) -> None:
    (tmp_path / "main.py").write_text(code)  # found before ours
    server = start(tmp_path, environment_of("shopdemo", settings.database_url, PYTHONPATH=str(ROOT)))
    try:
        assert server.wait() == NO_WORKER_STARTS
        assert FAILURE.search(server.said())
    finally:
        server.end()
