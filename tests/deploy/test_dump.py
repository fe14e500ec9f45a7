"""deploy/dump.sh makes a whole backup or none, and takes nothing from the one before."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from tests.support.databases import miss, only_postgres
from tests.support.guards import ROOT

NAME = re.compile(r"\d{8}T\d{6}Z\.dump")
VANISHED, PARTIAL = 24, 23  # rsync's statuses when a file was gone before it was read, and when one cannot be read

pytestmark = [only_postgres, pytest.mark.slow]


@pytest.fixture
def database(database_url: str) -> URL:
    for program in ("pg_dump", "rsync"):
        if shutil.which(program) is None:
            miss("postgres", f"{program} is not installed")
    return make_url(database_url).set(drivername="postgresql")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    owner = tmp_path / "pictures" / "1"
    owner.mkdir(parents=True)
    (owner / "a.webp").write_bytes(b"first")
    (owner / ".half.tmp").write_bytes(b"being written")
    return tmp_path / "pictures"


def dump(database: URL, pictures: Path, backups: Path, path: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
    if database.password:
        environment["PGPASSWORD"] = str(database.password)
    url = database.set(password=None).render_as_string()
    command = ["sh", "deploy/dump.sh", url, str(pictures), str(backups)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rsync_that_ends_with(status: int, folder: Path) -> str:
    """The folder of one that copies, and says this at its end."""
    program = folder / "rsync"
    program.write_text(f'#!/bin/sh\n{shutil.which("rsync")} "$@"\nexit {status}\n')
    program.chmod(0o755)
    return str(folder)


def test_a_dump_that_fails_leaves_the_one_before(database: URL, pictures: Path, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    done = dump(database, pictures, backups)
    first = Path(done.stdout.strip())
    assert (done.returncode, done.stderr, first.parent, bool(NAME.fullmatch(first.name))) == (0, "", backups, True)
    before = files_in(backups)
    assert before == {first.name: first.read_bytes(), "pictures/1/a.webp": b"first"}
    done = dump(database.set(database="app_test_there_is_none"), pictures, backups)
    assert (done.returncode, done.stdout, files_in(backups)) == (1, "", before)
    assert 'database "app_test_there_is_none" does not exist' in done.stderr


def test_what_is_damaged_or_taken_down_later_stays_in_the_backup(database: URL, pictures: Path, tmp_path: Path) -> None:
    (pictures / "1" / "b.webp").write_bytes(b"second")
    assert dump(database, pictures, tmp_path / "backups").returncode == 0
    (pictures / "1" / "a.webp").write_bytes(b"")
    (pictures / "1" / "b.webp").unlink()
    (pictures / "1" / "c.webp").write_bytes(b"third")
    assert dump(database, pictures, tmp_path / "backups").returncode == 0
    assert files_in(tmp_path / "backups" / "pictures") == {
        "1/a.webp": b"first",
        "1/b.webp": b"second",
        "1/c.webp": b"third",
    }


@pytest.mark.parametrize(("status", "ends_with"), [(VANISHED, 0), (PARTIAL, 1)], ids=["taken down", "unreadable"])
def test_a_picture_may_be_taken_down_meanwhile_but_not_be_unreadable(
    database: URL, pictures: Path, tmp_path: Path, status: int, ends_with: int
) -> None:
    path = rsync_that_ends_with(status, tmp_path)
    assert dump(database, pictures, tmp_path / "backups", path).returncode == ends_with
    assert len(list((tmp_path / "backups").glob("*.dump*"))) == 1 - ends_with
