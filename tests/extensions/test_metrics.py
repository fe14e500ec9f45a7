"""Metrics of several workers: added up, whoever is asked, and right when workers are killed and replaced."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from extensions.metrics_files import FIRST_BYTES, SharedFile, tidied
from settings.metrics_folder import VARIABLE
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.metrics import Metrics
from tests.support.processes import PATIENCE, ROOT, Gunicorn, Process, Serve, environment_of, needs_proc, wait_until

WORKERS = 2
COUNT = "http_server_request_duration_seconds_count"


# -- the files ---------------------------------------------------------------------------------------------------------


def dead_pid() -> int:
    """The id of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(folder: Path, pid: int, requests: float) -> None:
    """Leave the files that a worker has when it ends: a counter, a histogram, a gauge."""
    keys: dict[str, list[tuple[str, str, list[str], list[str]]]] = {
        "counter": [("said", "said_total", [], [])],
        "histogram": [("took", "took_sum", [], []), ("took", "took_bucket", ["le"], ["1.0"])],
        "gauge_livesum": [("open", "open", [], [])],
    }
    for kind, metrics in keys.items():
        file = MmapedDict(str(folder / f"{kind}_{pid}.db"))
        for name, sample, labels, values in metrics:
            file.write_value(mmap_key(name, sample, labels, values, "text"), requests, 0.0)
        file.close()


def read(folder: Path) -> tuple[float, ...]:
    """Counter, sum and number of the histogram, and gauge."""
    registry = CollectorRegistry()
    with tidied(folder):
        MultiProcessCollector(registry, str(folder))
        metrics = Metrics(generate_latest(registry).decode())
    return tuple(metrics.value(name) for name in ("said_total", "took_sum", "took_count", "open"))


def test_of_a_worker_that_has_gone_the_counts_stay_and_the_gauges_go(tmp_path: Path) -> None:
    leave(tmp_path, os.getpid(), 5)
    leave(tmp_path, dead_pid(), 2)
    assert read(tmp_path) == (7, 7, 7, 5)


def test_the_fullest_worker_is_seen_beside_others(tmp_path: Path) -> None:
    """Of those that live."""
    for pid, full in ((os.getpid(), 0.2), (os.getppid(), 0.9), (dead_pid(), 1.0)):
        with closing(MmapedDict(str(tmp_path / f"gauge_livemax_{pid}.db"))) as file:
            file.write_value(mmap_key("full", "full", [], [], "text"), full, 0.0)
    registry = CollectorRegistry()
    with tidied(tmp_path):
        MultiProcessCollector(registry, str(tmp_path))
        assert Metrics(generate_latest(registry).decode()).value("full") == 0.9


def test_files_do_not_become_more_with_each_worker(tmp_path: Path) -> None:
    for generation in range(1, 5):
        for _ in range(2):
            leave(tmp_path, dead_pid(), 3)
        assert read(tmp_path) == (generation * 6, generation * 6, generation * 6, 0)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_0.db", "histogram_0.db"]


@pytest.mark.parametrize("length", [0, 3, 40])
def test_a_file_that_a_dead_worker_has_left_unfinished_is_passed_over(tmp_path: Path, length: int) -> None:
    """Cut in the head, and in the first value."""
    leave(tmp_path, os.getpid(), 5)
    pid = dead_pid()
    leave(tmp_path, pid, 2)
    os.truncate(tmp_path / f"counter_{pid}.db", length)
    assert [read(tmp_path) for _ in range(2)] == [(5, 7, 7, 5)] * 2
    assert list(tmp_path.glob(f"*_{pid}.db")) == []


def test_what_finds_no_room_is_counted_and_shared_as_soon_as_there_is_some(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    name = folder / "counter_1.db"

    def written_again() -> bool:
        file.write_value("said", 5.0, 0.0)
        return name.exists()

    with closing(SharedFile(str(name))) as file:
        assert file.read_value("said") == (0.0, 0.0)
        file.write_value("said", 4.0, 0.0)
        folder.mkdir()
        wait_until(written_again, PATIENCE, "it is not tried again")
        assert file.read_value("said") == (5.0, 0.0)
    assert [value[:2] for value in MmapedDict.read_all_values_from_file(str(name))] == [("said", 5.0)]


def test_a_file_grows_with_what_is_in_it(tmp_path: Path) -> None:
    name = tmp_path / "counter_1.db"
    expected = {f"{number} {'x' * 500}": float(number) for number in range(300)}
    with closing(SharedFile(str(name))) as file:
        for key, value in expected.items():
            file.write_value(key, value, 0.0)
    assert {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(str(name))} == expected
    assert name.stat().st_size == 4 * FIRST_BYTES


# -- the folder --------------------------------------------------------------------------------------------------------

SHARE = """
import os, sys
from settings.metrics_folder import metrics_folder, share_between_workers
share_between_workers()
folder = metrics_folder()
share_between_workers()
assert metrics_folder() == folder
if child := os.fork():
    os.waitpid(child, 0)
    print(folder, folder.is_dir())
"""


def share(**environment: str) -> tuple[Path, bool]:
    """The folder that a process with a forked worker has chosen, and whether it outlived the worker."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    said = subprocess.run(
        [sys.executable, "-c", SHARE],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    folder, is_dir = said.stdout.split()
    return Path(folder), is_dir == "True"


@needs_proc
def test_the_folder_lives_as_long_as_who_made_it(tmp_path: Path) -> None:
    folder, outlived_worker = share(TMPDIR=str(tmp_path))
    assert (folder.parent, outlived_worker, folder.exists()) == (tmp_path, True, False)


@needs_proc
def test_a_folder_of_somebody_elses_choice_stays(tmp_path: Path) -> None:
    assert share(**{VARIABLE: str(tmp_path)}) == (tmp_path, True)
    assert tmp_path.is_dir()


@needs_proc
def test_the_folder_of_an_old_master_is_not_taken_over(tmp_path: Path) -> None:
    old = tmp_path / "myfastapi-metrics-1-abc"
    old.mkdir()
    folder, _ = share(**{VARIABLE: str(old)}, TMPDIR=str(tmp_path))
    assert folder != old
    assert old.is_dir()


# -- real workers ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[Serve, Gunicorn], ids=["serve", "gunicorn"])
def server(request: pytest.FixtureRequest, settings: TestingSettings, tmp_path: Path) -> Iterator[Process]:
    """The shop with two workers, all of whose folders are in `tmp_path`."""
    environment = environment_of(
        "shopdemo",
        settings.database_url,
        APP_WORKERS=str(WORKERS),
        APP_LOG_LEVEL="INFO",
        APP_PICTURES_DIR=str(tmp_path / "pictures"),
        TMPDIR=str(tmp_path),
    )
    environment.pop(VARIABLE, None)
    server: Process = request.param([], environment, tmp_path / "server.log")
    try:
        wait_until(lambda: starts(server) == WORKERS, PATIENCE, "not all workers start")
        yield server
    finally:
        server.end()


def starts(server: Process) -> int:
    """How many workers have ever started."""
    return server.said().count("startup complete")


def scrape(server: Process) -> Metrics:
    """What any of the workers says, on a connection of its own."""
    with httpx2.Client(base_url=f"http://{server.address}", trust_env=False) as client:
        return Metrics.of(client.get)


def folders(folder: Path) -> list[Path]:
    return list(folder.glob("myfastapi-metrics-*"))


def worker_pids(folder: Path) -> set[int]:
    """Those that have a histogram of their own."""
    found = (re.fullmatch(r"histogram_(\d+)\.db", path.name) for path in folder.iterdir())
    return {int(name[1]) for name in found if name} - {0}


@needs_proc
@only_sqlite
@pytest.mark.faults
@pytest.mark.slow
def test_workers_count_together_and_a_killed_one_leaves_only_its_counts(server: Process, tmp_path: Path) -> None:
    for _ in range(40):
        assert httpx2.get(f"http://{server.address}/healthz", trust_env=False).status_code == 200
    assert [scrape(server).value(COUNT, http_route="/healthz") for _ in range(6)] == [40] * 6
    wait_until(lambda: scrape(server).value("service_workers") == WORKERS, PATIENCE, "workers are missing")

    (folder,) = folders(tmp_path)
    victim = max(worker_pids(folder) - {server.popen.pid})
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: starts(server) == WORKERS + 1, PATIENCE, "the worker is not replaced")
    wait_until(lambda: scrape(server).value("service_workers") == WORKERS, PATIENCE, "the dead one still counts")
    metrics = scrape(server)
    assert metrics.value(COUNT, http_route="/healthz") == 40
    assert not any(name.startswith("chat_") for name in metrics.families), "the chat does not run here"
    assert victim not in worker_pids(folder)

    server.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: starts(server) >= 2 * WORKERS + 1, PATIENCE, "the workers are not replaced")
    wait_until(lambda: scrape(server).value("service_workers") == WORKERS, PATIENCE, "the old ones still count")
    assert scrape(server).value(COUNT, http_route="/healthz") == 40
    server.terminate()
    assert (server.wait(), folders(tmp_path)) == (0, [])
