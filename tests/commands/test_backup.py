"""`python main.py backup` and `restore`: all of it comes back, or nothing is changed."""

import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient

from api import create_app
from api.shopdemo.schemas import Goods
from commands import cli
from settings import get_settings
from settings.testing_config import TestingSettings
from tests.support.databases import execute, miss, only_postgres, only_sqlite, postgres_server, run, sqlite_url
from tests.support.guards import ROOT
from tests.support.pictures import picture
from tests.support.shopping import GOODS, ORDERS, Headers, items

Catalogue = dict[str, Goods]
Main = Callable[..., str]
Seen = dict[str, Any]

NEWEST = "schema accounts_0001, paymentdemo_0001, shopdemo_0002, websocketdemo_0001"
LOST = "UPDATE alembic_version_shopdemo SET version_num = 'shopdemo_9999'"


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Main]:
    """What a command says, in the folder of the test; settings are given as the environment."""

    def invoke(*arguments: str | Path, **environment: str) -> str:
        get_settings.cache_clear()
        done = CliRunner().invoke(cli, [str(argument) for argument in arguments], env=environment)
        assert done.exit_code == (1 if done.output.startswith("Error: ") else 0), done.output
        return done.output

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_ENV", "testing")
    monkeypatch.setenv("APP_PICTURES_DIR", str(tmp_path / "pictures"))
    yield invoke
    get_settings.cache_clear()
    shutil.rmtree(tmp_path / "var", ignore_errors=True)  # pytest will remove it by a name that looks like our own


@pytest.fixture
def file(settings: TestingSettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of the settings, for the commands too."""
    monkeypatch.setenv("APP_DATABASE_URL", settings.database_url)
    return Path(str(make_url(settings.database_url).database))


@pytest.fixture
def backup(main: Main, file: Path, tmp_path: Path) -> Path:
    """A backup of a database without rows, and with one picture."""
    owner = tmp_path / "pictures" / "1"
    owner.mkdir(parents=True)
    (owner / "abc.webp").write_bytes(picture())
    assert file.exists()
    main("backup", "backup.tar.gz")
    return tmp_path / "backup.tar.gz"


def see(client: TestClient, headers: Headers) -> Seen:
    """All that is asked for in these tests, with the pictures themselves."""
    goods = client.get(f"{GOODS}?size=100").json()
    urls = [
        shown[kind] for item in goods["data"]["items"] for shown in item["pictures"] for kind in shown if "url" in kind
    ]
    answers = [client.get(url) for url in urls]
    assert {answer.status_code for answer in answers} <= {200}
    pictures = {url: answer.content for url, answer in zip(urls, answers, strict=True)}
    return {"goods": goods, "orders": client.get(ORDERS, headers=headers).json(), "pictures": pictures}


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def archive_of(path: Path, **files: bytes) -> Path:
    """An archive with just these files; `__` in a name stands for a slash."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("_DB", ".db"))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def database_in(backup: Path) -> bytes:
    with tarfile.open(backup) as archive:
        file = archive.extractfile("database.db")
        assert file
        return file.read()


def changed(database: bytes, sql: str, draft: Path) -> bytes:
    """The database of a backup after a statement; `draft` is a file that may be made for this."""
    draft.write_bytes(database)
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute(sql)
        connection.commit()
    database = draft.read_bytes()
    draft.unlink()
    return database


def rows_of(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def limited(kibibytes: int, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """A command that may write no file larger than this."""
    environment = {**os.environ, "APP_ENV": "testing", "APP_PICTURES_DIR": str(cwd / "pictures")}
    program = [sys.executable, str(ROOT / "main.py"), *arguments]
    command = ["bash", "-c", f'ulimit -f {kibibytes}; exec "$@"', "bash", *program]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


# -- what comes back --------------------------------------------------------------------------------------------------


@only_sqlite
def test_all_comes_back_in_another_place(
    main: Main, file: Path, client: TestClient, admin: Headers, customer: Headers, catalogue: Catalogue, tmp_path: Path
) -> None:
    tea = catalogue["TEA-1"]
    client.post(f"{GOODS}/{tea.id}/pictures", files={"file": ("a.png", picture(), "image/png")}, headers=admin)
    client.post(ORDERS, json=items((tea, 2)), headers={**customer, "Idempotency-Key": "1"})
    there = see(client, customer)
    assert (len(there["pictures"]), there["orders"]["data"]["total"]) == (2, 1)
    said = main("backup", "a.tar.gz")
    client.post(ORDERS, json=items((tea, 3)), headers={**customer, "Idempotency-Key": "2"})

    size = (tmp_path / "a.tar.gz").stat().st_size
    assert said == f"a.tar.gz: {size} bytes, 2 picture files, {NEWEST}\n"
    other = TestingSettings(database_url=sqlite_url(tmp_path / "other/shop.db"), pictures_dir=tmp_path / "other/pics")
    environment = {"APP_DATABASE_URL": other.database_url, "APP_PICTURES_DIR": str(other.pictures_dir)}
    said = main("restore", "a.tar.gz", **environment)
    assert said == f"{tmp_path}/other/shop.db is what it was in a.tar.gz: 2 picture files, {NEWEST}\n"
    with TestClient(create_app(other)) as elsewhere:
        assert see(elsewhere, customer) == there
        assert client.get("/readyz").status_code == 200
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@only_sqlite
@pytest.mark.parametrize("arguments", [["backup"], ["backup", "mine"]], ids=" ".join)
def test_a_backup_has_a_name_of_its_time_and_only_its_owner_reads_it(
    main: Main, file: Path, tmp_path: Path, arguments: list[str]
) -> None:
    assert file.exists()
    (tmp_path / "mine").mkdir()
    folder = Path(*arguments[1:] or ("var", "backups"))
    said = main(*arguments)
    (path,) = folder.iterdir()
    assert re.fullmatch(r"\d{8}T\d{6}Z\.tar\.gz", path.name)
    assert said.startswith(f"{path}: ")
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


@only_sqlite
def test_what_is_in_the_folder_of_pictures_and_is_none_stays_out(main: Main, backup: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "note.txt").write_text("not in a folder of an owner")
    (pictures / "1" / ".abc.tmp").write_text("being written")
    (pictures / "1" / "folder").mkdir()
    (pictures / "1" / "linked.webp").hardlink_to(pictures / "1" / "abc.webp")
    backup.unlink()
    main("backup", backup)
    with tarfile.open(backup) as archive:
        found = {member.name: member.type for member in archive}
    assert found == dict.fromkeys(("pictures/1/abc.webp", "pictures/1/linked.webp", "database.db"), tarfile.REGTYPE)


@only_sqlite
def test_the_former_database_is_put_aside_and_its_pictures_stay(
    main: Main,
    backup: Path,
    file: Path,
    settings: TestingSettings,
    catalogue: Catalogue,
    admin: Headers,
    tmp_path: Path,
) -> None:
    """It can be taken into use again by its new name."""
    with TestClient(create_app(settings)) as client:
        address = f"{GOODS}/{catalogue['TEA-1'].id}/pictures"
        client.post(address, files={"file": ("a.png", picture(), "image/png")}, headers=admin)
        there = see(client, admin)
    refused = main("restore", backup)
    assert refused == f"Error: There is a database at {file}; with --force it is put aside.\n"
    said = main("restore", "--force", backup).splitlines()
    (former,) = tmp_path.glob("test.db.before-*")
    assert said == [f"{file} is what it was in {backup}: 1 picture files, {NEWEST}", f"The former one is {former}"]
    with TestClient(create_app(settings)) as client:
        assert see(client, admin)["goods"]["data"]["items"] == []
    with TestClient(create_app(settings.model_copy(update={"database_url": sqlite_url(former)}))) as client:
        assert see(client, admin) == there


@only_sqlite
def test_an_older_schema_is_migrated(main: Main, file: Path, backup: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE alembic_version_accounts")
        connection.executescript("DROP TABLE accounts_users; DROP TABLE IF EXISTS accounts_throttle")
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'accounts_%'").fetchall():
            connection.execute(f"DROP TABLE IF EXISTS {table}")
    backup.unlink()
    main("backup", backup)
    said = main("restore", "--force", backup)
    assert said.endswith("The schema of accounts is older than this code: run `python main.py migrate`.\n")
    main("migrate")
    assert main("doctor").startswith("✓")


@only_sqlite
def test_pictures_are_what_they_were(main: Main, backup: Path, tmp_path: Path) -> None:
    """Also one that was damaged; one that is right stays the same file."""
    owner = tmp_path / "pictures" / "1"
    right = owner / "abc.webp"
    for name in ("cut.webp", "other.webp", "lost.webp"):
        (owner / name).write_bytes(right.read_bytes())
    backup.unlink()
    main("backup", backup)
    there, inode = everything_in(owner), right.stat().st_ino
    (owner / "cut.webp").write_bytes(b"")
    (owner / "other.webp").write_bytes(bytes(len(picture())))
    (owner / "lost.webp").unlink()
    (owner / "new.webp").write_bytes(b"of the former database")
    main("restore", "--force", backup)
    assert everything_in(tmp_path / "pictures" / "1") == {**there, "new.webp": b"of the former database"}
    assert right.stat().st_ino == inode
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["1"]


# -- what is refused --------------------------------------------------------------------------------------------------


@only_sqlite
def test_a_backup_overwrites_nothing(main: Main, file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_text("precious")
    before = everything_in(tmp_path)
    assert main("backup", "a.tar.gz") == "Error: a.tar.gz exists already; a backup overwrites nothing.\n"
    assert everything_in(tmp_path) == before
    assert file.exists()


def test_there_must_be_a_database_to_back_up(main: Main, tmp_path: Path) -> None:
    said = main("backup", "a.tar.gz", APP_DATABASE_URL=sqlite_url(tmp_path / "no.db"))
    assert said == f"Error: There is no database at {tmp_path}/no.db.\n"
    assert everything_in(tmp_path) == {}


@only_sqlite
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_no_broken_database_is_backed_up(main: Main, file: Path, tmp_path: Path, journal: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("INSERT INTO shopdemo_categories (slug, name, parent_id) VALUES ('a', 'a', 17)")
        connection.commit()
    said = main("backup", "a.tar.gz")
    assert said == "Error: The database in the backup is damaged: a row of shopdemo_categories refers to none.\n"
    assert not (tmp_path / "a.tar.gz").exists()


@only_sqlite
@pytest.mark.slow
@pytest.mark.parametrize(("size", "kibibytes"), [(100, 64), (400_000, 300)], ids=["database", "archive"])
def test_a_full_disk_leaves_nothing_behind(
    file: Path, settings: TestingSettings, tmp_path: Path, size: int, kibibytes: int
) -> None:
    """The limit, which stands for it, stops the copy of the database or the archive."""
    owner = tmp_path / "pictures" / "1"
    owner.mkdir(parents=True)
    (owner / "abc.webp").write_bytes(os.urandom(size))
    before = everything_in(tmp_path)
    done = limited(kibibytes, "backup", "a.tar.gz", cwd=tmp_path)
    assert (done.returncode, done.stderr.partition(":")[0], done.stderr.count("\n")) == (1, "Error", 1), done.stderr
    assert everything_in(tmp_path) == before
    assert file.exists()


@only_sqlite
@pytest.mark.slow
def test_a_disk_that_is_too_full_for_a_picture_leaves_no_half_of_it(
    main: Main, file: Path, backup: Path, tmp_path: Path
) -> None:
    large = tmp_path / "pictures" / "1" / "large.webp"
    large.write_bytes(os.urandom(2_000_000))
    backup.unlink()
    main("backup", backup)
    large.write_bytes(b"")
    before = everything_in(tmp_path), rows_of(file)
    done = limited(1500, "restore", "--force", backup.name, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "Error: [Errno 27] File too large\n")
    after = everything_in(tmp_path), rows_of(file)
    assert ({**after[0], file.name: b""}, after[1]) == ({**before[0], file.name: b""}, before[1])


@only_sqlite
def test_what_another_service_had_is_no_backup_of_this_one(main: Main, file: Path, backup: Path) -> None:
    without_the_shop(backup)
    said = main("restore", "--force", backup, APP_PROJECTS="shopdemo")
    assert said == f"Error: {DAMAGES[of_something_else]}\n"
    file.unlink()
    said = main("restore", backup, APP_PROJECTS="accounts,websocketdemo")
    assert said == f"{file} is what it was in {backup}: 0 picture files, {NEWEST.replace('shopdemo_0002, ', '')}\n"


@only_sqlite
def test_a_server_that_uses_the_database_is_noticed(
    main: Main, backup: Path, file: Path, settings: TestingSettings, tmp_path: Path
) -> None:
    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 200
        assert main("restore", "--force", backup) == f"Error: {file} is in use: stop the server first.\n"
        assert client.get("/readyz").status_code == 200
    assert list(tmp_path.glob("*before*")) == []
    assert main("restore", "--force", backup).startswith(f"{file} is what it was")


def halved(backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])


def without_its_end(backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:-4])


def other_than_its_checksum_says(backup: Path) -> None:
    data = bytearray(backup.read_bytes())
    data[-8] ^= 1
    backup.write_bytes(data)


def a_text(backup: Path) -> None:
    backup.write_text("no archive at all")


def empty(backup: Path) -> None:
    backup.write_bytes(b"")


def gone(backup: Path) -> None:
    backup.unlink()


def without_database(backup: Path) -> None:
    archive_of(backup, pictures__1__b_webp=b"")


def broken_database(backup: Path) -> None:
    archive_of(backup, database_DB=b"SQLite format 3\0" + bytes(5000))


def traversing(backup: Path) -> None:
    archive_of(backup, pictures__1__x=b"x", **{"pictures__..__..__stolen": b"x"})


def with_two_databases(backup: Path) -> None:
    archive_of(backup, database_DB=database_in(backup), **{"database.db": b"another"})


def of_something_else(backup: Path) -> None:
    archive_of(backup, database_DB=changed(b"", "CREATE TABLE x (y)", backup.with_suffix(".db")))


def without_the_shop(backup: Path) -> None:
    sql = "DROP TABLE alembic_version_shopdemo"
    archive_of(backup, database_DB=changed(database_in(backup), sql, backup.with_suffix(".db")))


def hidden(backup: Path) -> None:
    archive_of(backup, pictures__1__x=b"x", **{"pictures__..__stolen": b"x"})


def absolute(backup: Path) -> None:
    archive_of(backup, __tmp__stolen=b"x")


def linked(backup: Path) -> None:
    with tarfile.open(backup, "w:gz") as archive:
        member = tarfile.TarInfo("pictures/1/x.webp")
        member.type, member.linkname = tarfile.SYMTYPE, "../../test.db"
        archive.addfile(member)


def of_newer_code(backup: Path) -> None:
    archive_of(backup, database_DB=changed(database_in(backup), LOST, backup.with_suffix(".db")))


DAMAGES: dict[Callable[[Path], None], str] = {
    halved: "is damaged or no backup: Compressed file ended before the end-of-stream marker was reached.",
    without_its_end: "is damaged or no backup: Compressed file ended before the end-of-stream marker was reached.",
    other_than_its_checksum_says: "is damaged or no backup: CRC check failed ",
    a_text: "is damaged or no backup: Not a gzipped file (b'no').",
    empty: "is damaged or no backup: empty file.",
    gone: "No such file or directory",
    without_database: "has no database in it.",
    with_two_databases: "is no backup: there are two databases in it.",
    of_something_else: "It is no backup of this service: it has no tables of the sub-projects in the settings.",
    without_the_shop: "There are no tables of shopdemo in the backup, but in the database: move its file away first",
    broken_database: "The database in the backup is damaged: ",
    traversing: "is no backup: there is 'pictures/../../stolen' in it.",
    hidden: "is no backup: there is 'pictures/../stolen' in it.",
    absolute: "is no backup: there is '/tmp/stolen' in it.",
    linked: "is no backup: there is 'pictures/1/x.webp' in it.",
    of_newer_code: "The schema of shopdemo (shopdemo_9999) is newer than this code: restore it with the newer one.",
}


@only_sqlite
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_is_no_whole_backup_changes_nothing(
    main: Main, file: Path, backup: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(backup)
    (tmp_path / "pictures" / "1" / "abc.webp").unlink()
    before = everything_in(tmp_path)
    said = main("restore", "--force", backup)
    assert said.startswith("Error: ")
    assert DAMAGES[damage] in said
    assert everything_in(tmp_path) == before
    assert file.exists()


@only_sqlite
def test_a_database_that_cannot_be_read_is_replaced_with_what_lies_beside_it(
    main: Main, file: Path, backup: Path, settings: TestingSettings
) -> None:
    """Its write-ahead log would be applied to the new one."""
    file.write_text("lost")
    wal = file.with_name(f"{file.name}-wal")
    wal.write_text("its log")
    main("restore", "--force", backup)
    assert not wal.exists()
    former = {path.name.partition("Z")[2]: path.read_text() for path in file.parent.glob("test.db.before-*")}
    assert former == {"": "lost", "-wal": "its log"}
    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 200


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


def test_postgresql_has_its_own_way_and_no_password_is_shown(main: Main) -> None:
    url = "postgresql+asyncpg://bob:hunter2@db:5433/shop?ssl=require"
    own = "postgresql://bob@db:5433/shop?sslmode=require"
    assert main("backup", APP_DATABASE_URL=url, APP_PICTURES_DIR="/srv/my pictures").splitlines() == [
        "Error: PostgreSQL has programs of its own for this:",
        f"    sh deploy/dump.sh '{own}' '/srv/my pictures' BACKUPS",
        "    The password is read from ~/.pgpass; docs/operations.md says more.",
    ]
    assert main("restore", "BACKUPS", APP_DATABASE_URL=url, APP_PICTURES_DIR="/srv/pictures").splitlines() == [
        "Error: PostgreSQL has programs of its own for this:",
        "    rsync --archive --checksum BACKUPS/pictures/ /srv/pictures/",
        f"    pg_restore --exit-on-error --single-transaction --no-owner --dbname='{own}' BACKUPS/TIME.dump",
        "    The password is read from ~/.pgpass; docs/operations.md says more.",
    ]


@only_postgres
@pytest.mark.slow
def test_the_commands_for_postgresql_bring_all_back(
    main: Main, client: TestClient, settings: TestingSettings, admin: Headers, catalogue: Catalogue, tmp_path: Path
) -> None:
    for program in ("pg_dump", "pg_restore", "rsync"):
        if shutil.which(program) is None:
            miss("postgres", f"{program} is not installed")
    tea = catalogue["TEA-1"]
    client.post(f"{GOODS}/{tea.id}/pictures", files={"file": ("a.png", picture(), "image/png")}, headers=admin)
    client.post(ORDERS, json=items((tea, 2)), headers={**admin, "Idempotency-Key": "1"})
    there = see(client, admin)
    backups = tmp_path / "backups"
    follow(main("backup", APP_DATABASE_URL=settings.database_url), backups)
    (dump,) = backups.glob("*.dump")
    assert re.fullmatch(r"\d{8}T\d{6}Z\.dump", dump.name)
    assert dump.stat().st_mode & 0o777 == 0o600

    server = postgres_server()
    name = f"app_test_restored_{os.getpid()}"
    run(execute(server, f"CREATE DATABASE {name}"))
    try:
        url = server.set(database=name).render_as_string(hide_password=False)
        other = settings.model_copy(update={"database_url": url, "pictures_dir": tmp_path / "other"})
        environment = {"APP_DATABASE_URL": url, "APP_PICTURES_DIR": str(other.pictures_dir)}
        follow(main("restore", "BACKUPS", **environment).replace("TIME.dump", dump.name), backups)
        with TestClient(create_app(other)) as elsewhere:
            assert see(elsewhere, admin) == there
            assert elsewhere.get("/readyz").status_code == 200
    finally:
        run(execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


def follow(advice: str, backups: Path) -> None:
    """Type the commands that are advised, in the folder of the code."""
    password = postgres_server().password
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    commands = [line.strip().replace("BACKUPS", str(backups)) for line in advice.splitlines()[1:-1]]
    assert commands
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), command
