"""A backup of an SQLite database and the pictures it names: one archive of one moment, made while the service writes.

The archive is a gzipped tar of `pictures/<owner>/<name>` and, last, `database.db`; gzip's checksum is over all of it.
"""

import filecmp
import gzip
import os
import re
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from extensions.migrations import VERSION_TABLE

DATABASE = "database.db"
PICTURE = re.compile(r"pictures/\w[\w-]*/\w[\w.-]*")  # leads nowhere else, whatever it is
PRIVATE = 0o600
BUSY_SECONDS = 10.0  # how long a backup waits for whoever is writing
SPEED = 1  # of 1 to 9: pictures do not get smaller, whatever is tried
PIECE_BYTES = 1024 * 1024
IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class BackupError(Exception):
    """Why a backup was not made or not put back, as a sentence; what was there before is still there."""


@dataclass(frozen=True)
class Contents:
    """The number of picture files in a backup, and the revision of its tables by sub-project."""

    pictures: int
    revisions: dict[str, str]


def write_backup(target: Path, database: Path, pictures: Path) -> Contents:
    """Write `target`, which is whole or not there; raises BackupError, OSError and what sqlite3 raises."""
    if not database.is_file():
        raise BackupError(f"There is no database at {database}.")
    with TemporaryDirectory(prefix=".backup-", dir=target.parent) as folder:
        snapshot, draft = Path(folder) / DATABASE, Path(folder) / "archive"
        with _create(draft) as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=SPEED, dereference=True) as archive:
                number = _fill(archive, snapshot, database, pictures)
            _flush(file)
        contents = Contents(number, _examine(snapshot))
        if target.exists():
            raise BackupError(f"{target} exists already; a backup overwrites nothing.")
        draft.rename(target)
    _flush_folder(target.parent)
    return contents


def read_backup(archive: Path, draft: Path) -> Contents:
    """Read and verify all of an archive; write its database to `draft`. Raises BackupError and OSError."""
    number = 0
    with _files_of(archive) as files:
        for name, file in files:
            if name == DATABASE:
                if draft.exists():
                    raise BackupError(f"{archive} is no backup: there are two databases in it.")
                with _create(draft) as copy:
                    shutil.copyfileobj(file, copy, PIECE_BYTES)
                    _flush(copy)
            else:
                number += 1
    if not draft.exists():
        raise BackupError(f"{archive} has no database in it.")
    return Contents(number, _examine(draft))


def read_revisions(database: Path) -> dict[str, str]:
    """The revision of the tables by sub-project, in a database that may be in use; none of one that cannot be read."""
    has_log = Path(f"{database}-wal").exists()
    mode = "ro" if has_log else "ro&immutable=1"  # takes no log away, and leaves none behind
    try:
        with closing(_open(database, BUSY_SECONDS, mode)) as connection:
            return _revisions(connection)
    except sqlite3.DatabaseError:
        return {}


def put_back(archive: Path, draft: Path, database: Path, pictures: Path, former: Path) -> None:
    """Put the pictures back, then let `draft` be the database and the one that is there `former`.

    Raises BackupError while a server uses the database, and OSError. No picture is taken away: the former database
    needs those that it names.
    """
    with _alone_with(database):
        pictures.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".restore-", dir=pictures) as folder, _files_of(archive) as files:
            for name, file in files:
                if name != DATABASE:
                    _put_picture_back(pictures / name.removeprefix("pictures/"), file, Path(folder) / "draft")
        if database.exists():
            shutil.copymode(database, draft)
            os.link(database, former)  # so that there is a database at every moment
        for suffix in ("-wal", "-journal"):  # of a database that SQLite could not read: not to be applied to this one
            with suppress(FileNotFoundError):
                Path(f"{database}{suffix}").rename(f"{former}{suffix}")
        draft.replace(database)
        _flush_folder(database.parent)


def _fill(archive: tarfile.TarFile, snapshot: Path, database: Path, pictures: Path) -> int:
    # Pictures are written before the row that names them and removed behind it, so those of the moment of the snapshot
    # are all that the snapshot names. Most are read before it, so that writers wait only for the newest few.
    archived: set[str] = set()
    _add_new(archive, pictures, archived)
    _copy_database(database, snapshot, lambda: _add_new(archive, pictures, archived))
    archive.add(snapshot, DATABASE)
    return len(archived)


def _add_new(archive: tarfile.TarFile, pictures: Path, archived: set[str]) -> None:
    for path in _picture_files(pictures):
        name = f"pictures/{path.parent.name}/{path.name}"
        if name in archived or not PICTURE.fullmatch(name) or not path.is_file():
            continue
        with suppress(FileNotFoundError), path.open("rb") as file:  # it may just have been removed
            archive.addfile(archive.gettarinfo(arcname=name, fileobj=file), file)
            archived.add(name)


def _picture_files(pictures: Path) -> Iterator[Path]:
    for owner in pictures.iterdir() if pictures.exists() else ():
        with suppress(FileNotFoundError, NotADirectoryError):  # goods that were just removed; a file that is not ours
            yield from list(owner.iterdir())


def _copy_database(database: Path, copy: Path, at_that_moment: Callable[[], None]) -> None:
    """Copy what is committed now; nobody commits until `at_that_moment` is done, everybody may afterwards."""
    with (
        closing(_open(database, BUSY_SECONDS)) as gate,
        closing(_open(database, BUSY_SECONDS)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        gate.execute("BEGIN IMMEDIATE")
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_schema").fetchone()  # with this its view of the database is fixed
        at_that_moment()
        gate.execute("ROLLBACK")
        source.backup(target)


def _examine(database: Path) -> dict[str, str]:
    """The revisions of the tables; raises BackupError when anything is wrong with the file."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise BackupError(f"The database in the backup is damaged: {found}.")
            if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
                raise BackupError(f"The database in the backup is damaged: a row of {broken[0]} refers to none.")
            return _revisions(connection)
    except sqlite3.DatabaseError as error:
        raise BackupError(f"The database in the backup is damaged: {error}.") from error


def _revisions(connection: sqlite3.Connection) -> dict[str, str]:
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    return {
        table.removeprefix(VERSION_TABLE): revision
        for (table,) in tables
        if table.startswith(VERSION_TABLE)
        for (revision,) in connection.execute(f'SELECT version_num FROM "{table}"')  # noqa: S608
    }


@contextmanager
def _files_of(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The files in an archive, by name, to be read one after the other; raises BackupError when it is damaged."""
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as members:
            yield (_checked(archive, members, member) for member in members)
            while stream.read(PIECE_BYTES):  # the checksum comes at the end
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BackupError(f"{archive} is damaged or no backup: {error}.") from error


def _checked(archive: Path, members: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[str, IO[bytes]]:
    """Only what a backup has: plain files with its names, which lead out of no folder."""
    file = members.extractfile(member) if member.isreg() else None
    if file is None or not (member.name == DATABASE or PICTURE.fullmatch(member.name)):
        raise BackupError(f"{archive} is no backup: there is {member.name!r} in it.")
    return member.name, file


@contextmanager
def _alone_with(database: Path) -> Iterator[None]:
    """Nobody else has the database open or can open it; its file is all of it. Raises BackupError.

    In WAL mode every connection holds a lock for as long as it lives, so a server that is idle is noticed too.
    """
    if not database.exists():
        yield
        return
    with closing(_open(database, 0.0)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            is_in_use = mode != "delete"  # a server started just now; its mode does not lock readers out
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in IN_USE | DAMAGED:
                raise
            is_in_use = error.sqlite_errorcode & 0xFF in IN_USE  # damaged, nobody can use it: it is kept as it is
        if is_in_use:
            raise BackupError(f"{database} is in use: stop the server first.")
        yield


def _put_picture_back(path: Path, file: IO[bytes], draft: Path) -> None:
    """One that is the same already stays as it is: whoever keeps copies would see another file."""
    with draft.open("wb") as copy:
        shutil.copyfileobj(file, copy, PIECE_BYTES)
        copy.flush()
        if path.exists() and filecmp.cmp(draft, path, shallow=False):
            return
        _flush(copy)
    path.parent.mkdir(exist_ok=True)
    draft.replace(path)


def _open(database: Path, busy_seconds: float, mode: str = "rw") -> sqlite3.Connection:
    uri = f"{database.absolute().as_uri()}?mode={mode}"  # makes none where there is none
    return sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None)


def _create(path: Path) -> IO[bytes]:
    path.touch(PRIVATE, exist_ok=False)
    return path.open("wb")


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Let a new name outlive a power failure."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
