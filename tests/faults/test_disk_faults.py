"""Disks that are full or read-only, and a database file that somebody else holds: writes are refused in time."""

import asyncio
import io
import itertools
import logging
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest
from loguru import logger

from extensions.logger import close_logging, configure_logging
from extensions.pictures import PictureStorage
from extensions.security import Tokens
from settings.base import MEBIBYTE
from settings.testing_config import TestingSettings
from tests.support.bystanders import (
    CHECKED,
    WRITES,
    Answer,
    Bystanders,
    all_is_well,
    are_refused,
    fault_environment,
    until_said,
)
from tests.support.catalogue import fill
from tests.support.chat_clients import Member, history_of, nothing_acknowledged_is_lost, together
from tests.support.databases import SqliteTemplate, run
from tests.support.envelopes import failure, success
from tests.support.metrics import Metrics
from tests.support.pictures import picture
from tests.support.processes import PATIENCE, Process, environment_of, services, wait_until
from tests.support.small_disks import SmallDisk, small_disk
from utils.custom_exc import NotReady
from utils.exception_handlers import NOT_KEPT

NO_ROOM = "Its disk takes nothing: No space left on device"
READ_ONLY = "Its disk takes nothing: Read-only file system"
AT_ONCE = 6  # if they waited one after the other, it would take half a minute

pytestmark = [pytest.mark.faults, pytest.mark.anyio]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 4096) as disk:
        yield disk


@contextmanager
def shop(
    template: SqliteTemplate, database: Path, folder: Path, **environment: str
) -> Iterator[tuple[Process, Bystanders]]:
    """A service with its database and its pictures in these folders."""
    with template.copy(database) as url:
        settings = TestingSettings(database_url=url)
        goods = run(fill(settings))["TEA-1"]
        with services(1, {**fault_environment(url, "memory://", folder), **environment}, folder) as (service,):
            yield service, Bystanders(service, Tokens.of(settings), goods)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Somebody else writes and never ends."""
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.slow
async def test_a_full_disk_under_the_database(disk: SmallDisk, sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    with shop(sqlite_template, disk.folder, tmp_path) as (service, bystanders):
        chatter = Member("User1", "tea", [service])
        async with together([chatter]):
            all_is_well(await bystanders.look())
            assert await chatter.say()
            with disk.full():
                are_refused(await bystanders.look(), WRITES, f"database: {NO_ROOM}")
                assert not await chatter.say()
            await bystanders.until_ready()
            all_is_well(await bystanders.look())
            await until_said(chatter)
            assert chatter.closed_with == []
        await bystanders.order_again()
        nothing_acknowledged_is_lost(await history_of(service, "tea"), [chatter])
        assert [message["message"] for message in await history_of(service, "lobby")] == bystanders.told


@pytest.mark.slow
async def test_a_database_that_another_process_holds(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    """All who wait give up together, not one after the other."""
    database = tmp_path / "database"
    database.mkdir()
    with shop(sqlite_template, database, tmp_path) as (service, bystanders):
        all_is_well(await bystanders.look())
        with held(database / "test.db"):
            for got in await asyncio.gather(*(bystanders.look({"cart"}) for _ in range(AT_ONCE))):
                are_refused(got, WRITES - {"cart"}, None)
        all_is_well(await bystanders.look())
        await bystanders.order_again()
        assert [message["message"] for message in await history_of(service, "lobby")] == bystanders.told


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "reason"), [("full", NO_ROOM), ("read_only", READ_ONLY)])
async def test_a_disk_of_pictures_that_takes_nothing(
    sqlite_template: SqliteTemplate, tmp_path: Path, fault: str, reason: str
) -> None:
    """Readiness says so, and sends nobody away: all but uploads goes on."""
    database = tmp_path / "database"
    database.mkdir()
    degraded = success({"status": "degraded", "checks": CHECKED, "problems": [f"pictures: {reason}"]})
    refused = failure(NotReady, "The picture could not be stored just now; send it again in a moment.")
    with (
        small_disk(tmp_path / "pictures", 1024) as pictures,
        shop(sqlite_template, database, tmp_path) as (_, bystanders),
    ):
        with getattr(pictures, fault)():
            assert await bystanders.upload(picture()) == Answer(503, "2", refused)
            got = await bystanders.look()
            assert got.pop("ready") == Answer(200, None, degraded)
            assert {answer.status for answer in got.values()} == {200, 201}
        await bystanders.until_ready()
        assert (await bystanders.upload(picture())).status == 201
        assert [path.suffix for path in pictures.folder.rglob("*.*")] == [".webp", ".webp"]


@pytest.mark.slow
async def test_a_disk_of_uploads_that_is_full(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    """Files lie in /tmp while they are read; small ones, and all that is no upload, never do."""
    database = tmp_path / "database"
    database.mkdir()
    large = picture().ljust(2 * MEBIBYTE, b"\0")
    with (
        small_disk(tmp_path / "uploads", 4096) as uploads,
        shop(sqlite_template, database, tmp_path, TMPDIR=str(uploads.folder)) as (service, bystanders),
    ):
        empty = uploads.free_bytes
        assert (await bystanders.upload(large)).status == 201  # Python looks for a disk with room at the first one
        await asyncio.to_thread(wait_until, lambda: uploads.free_bytes == empty, PATIENCE, "the file is kept")
        with uploads.full():
            assert await bystanders.upload(large) == Answer(503, "2", failure(NotReady, NOT_KEPT))
            assert (await bystanders.upload(picture())).status == 201
            all_is_well(await bystanders.look())
        assert (await bystanders.upload(large)).status == 201
        assert "A body could not be kept: [Errno 28] No space left on device" in service.said()


async def test_a_picture_that_cannot_be_removed_stays(disk: SmallDisk) -> None:
    """Nobody is led to it any more, so whoever removed it is told that it is gone."""
    storage = PictureStorage(disk.folder, 10_000)
    stored = await storage.save("1", io.BytesIO(picture()))
    with disk.read_only():
        await storage.delete("1", stored.name)
        assert storage.path("1", stored.name)
    await storage.delete("1", stored.name)
    assert storage.path("1", stored.name) is None


@pytest.mark.slow
async def test_a_read_only_disk_at_the_start(disk: SmallDisk, sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    """It does not start, and says why; whoever starts services starts it again."""
    with sqlite_template.copy(disk.folder) as url, disk.read_only():
        process = Process(["main.py", "serve"], fault_environment(url, "memory://", tmp_path), tmp_path / "log")
        assert process.wait() != 0
        assert "unable to open database file" in process.said()


def ask_all(service: Process) -> None:
    """As many different questions as make a worker's file of metrics grow; none is left without an answer."""
    with httpx2.Client(base_url=f"http://{service.address}", trust_env=False) as client:
        for path in ("/healthz", "/readyz", "/openapi.json", "/nothing", "/shopdemo/goods", "/shopdemo/goods/none"):
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                assert client.request(method, path, headers={"Connection": "close"}).status_code < 500


@pytest.mark.slow
def test_a_full_disk_under_what_workers_share(disk: SmallDisk, sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    """They go on, and so does one that starts meanwhile; what they count is told when there is room."""
    with sqlite_template.copy(tmp_path) as url:
        folders = {"APP_PICTURES_DIR": str(tmp_path / "pictures"), "TMPDIR": str(disk.folder)}
        environment = environment_of("shopdemo", url, APP_LOG_LEVEL="INFO", APP_ACCESS_LOG="false", **folders)
        with services(1, environment, tmp_path, "--workers=2") as (service,):

            def count(path: str) -> float:
                assert httpx2.get(f"http://{service.address}{path}", trust_env=False).status_code == 200
                metrics = Metrics(httpx2.get(f"http://{service.address}/metrics", trust_env=False).text)
                return metrics.value("http_server_request_duration_seconds_count", http_route=path)

            wait_until(lambda: service.said().count("startup complete") == 2, PATIENCE, "a worker is missing")
            with disk.full():
                ask_all(service)
                os.kill(service.worker_pids()[-1], signal.SIGKILL)
                wait_until(lambda: service.said().count("startup complete") == 3, PATIENCE, "it is not replaced")
                ask_all(service)
                for _ in range(AT_ONCE):
                    count("/docs")
            asked = itertools.count(AT_ONCE + 1)
            wait_until(lambda: count("/docs") == next(asked), PATIENCE, "not all is told")
            assert service.said().count("startup complete") == 3
            assert 1 <= service.said().count("There is no room for new metrics") <= 3


@pytest.fixture
def log(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What stderr gets, while errors also go to a file on the disk."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(TestingSettings(log_dir=disk.folder / "logs"), stream)
    yield stream
    configure_logging(TestingSettings(log_level="ERROR"))
    logging.captureWarnings(False)
    root.handlers, root.level = before


@pytest.mark.parametrize("fault", ["full", "read_only"])
def test_a_disk_of_logs_that_takes_nothing(
    disk: SmallDisk, log: io.StringIO, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """Every line still goes to stderr, which says what is wrong, and the file goes on when the disk does."""
    with getattr(disk, fault)():
        logger.error("during")
        logger.complete()
    logger.error("after")
    close_logging()
    assert [line.rpartition(" - ")[2] for line in log.getvalue().splitlines()] == ["during", "after"]
    assert os.strerror({"full": 28, "read_only": 30}[fault]) in capsys.readouterr().err
    (file,) = (disk.folder / "logs").iterdir()
    assert file.read_text().endswith("after\n")
