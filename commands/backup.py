"""`python main.py backup` and `restore`: an SQLite database and the pictures it names, while the service runs."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from sqlalchemy.engine import URL, make_url

from api.projects import find_projects
from extensions.backup import BackupError, Contents, put_back, read_backup, read_revisions, write_backup
from settings import Settings, get_settings
from settings.base import VAR
from utils.fields import utc_now

BACKUPS = VAR / "backups"
DUMP = ("sh deploy/dump.sh {url} {pictures} BACKUPS",)
UNDUMP = (
    "rsync --archive --checksum BACKUPS/pictures/ {pictures}/",
    "pg_restore --exit-on-error --single-transaction --no-owner --dbname={url} BACKUPS/TIME.dump",
)
PASSWORD = "The password is read from ~/.pgpass; docs/operations.md says more."  # noqa: S105

file_path = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=file_path, required=False)
def backup(file: Path | None) -> None:
    """Write database and pictures to FILE, or with the time as its name to a folder (var/backups). Servers may run."""
    settings = get_settings()
    with _told_as_sentences():
        database = _sqlite_file(settings, DUMP)
        if file is None:
            file = BACKUPS
            file.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            file /= f"{_stamp(utc_now())}.tar.gz"
        contents = write_backup(file, database, settings.pictures_dir)
        click.echo(f"{file}: {file.stat().st_size} bytes, {_describe(contents)}")


@click.command()
@click.argument("file", type=file_path)
@click.option("--force", is_flag=True, help="Also where there is a database; it is kept beside the new one.")
def restore(file: Path, force: bool) -> None:
    """Make the database of the settings what it was in the backup FILE, with its pictures. No server may run."""
    settings = get_settings()
    with _told_as_sentences():
        database = _sqlite_file(settings, UNDUMP)
        replaces = database.exists() and database.stat().st_size > 0
        if replaces and not force:
            raise BackupError(f"There is a database at {database}; with --force it is put aside.")
        former = database.with_name(f"{database.name}.before-{_stamp(utc_now())}")
        database.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".restore-", dir=database.parent) as folder:
            draft = Path(folder) / "draft"
            contents = read_backup(file, draft)
            advice = _judge(contents.revisions, read_revisions(database), settings)
            put_back(file, draft, database, settings.pictures_dir, former)
    click.echo(f"{database} is what it was in {file}: {_describe(contents)}")
    if replaces:
        click.echo(f"The former one is {former}")
    if advice:
        click.echo(advice)


@contextmanager
def _told_as_sentences() -> Iterator[None]:
    try:
        yield
    except (BackupError, OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error


def _sqlite_file(settings: Settings, on_postgres: tuple[str, ...]) -> Path:
    """The file of the database; raises BackupError with what to type on PostgreSQL."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        return Path(str(url.database)).resolve()
    values = {"url": shlex.quote(_client_url(url)), "pictures": shlex.quote(str(settings.pictures_dir))}
    lines = [line.format(**values) for line in (*on_postgres, PASSWORD)]
    raise BackupError("\n    ".join(["PostgreSQL has programs of its own for this:", *lines]))


def _client_url(url: URL) -> str:
    """As PostgreSQL's own programs read it, and without the password: everybody sees the arguments of a process."""
    tls = url.query.get("ssl") or url.query.get("sslmode")
    query = {"sslmode": tls} if tls else {}
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database, query).render_as_string()


def _judge(backed_up: dict[str, str], there: dict[str, str], settings: Settings) -> str:
    """What is left to do for this code to run on these tables; raises BackupError when that would lose any, or cannot.

    Both are revisions by sub-project, of the backup and of the database that it would replace.
    """
    of_project = {found.project: found for project in find_projects() if (found := project.migrations)}
    wanted = [name for name in of_project if not settings.projects or name in settings.projects]
    if not any(name in backed_up for name in wanted):
        raise BackupError("It is no backup of this service: it has no tables of the sub-projects in the settings.")
    if lost := [name for name in of_project if name in there and name not in backed_up]:
        reason = f"There are no tables of {', '.join(lost)} in the backup, but in the database"
        raise BackupError(f"{reason}: move its file away first if they are to be given up.")
    newer = [
        f"{name} ({revision})"
        for name, revision in backed_up.items()
        if name in of_project and not of_project[name].knows(revision)
    ]
    if newer:
        raise BackupError(f"The schema of {', '.join(newer)} is newer than this code: restore it with the newer one.")
    older = [name for name in wanted if not of_project[name].is_newest(backed_up.get(name))]
    return f"The schema of {', '.join(older)} is older than this code: run `python main.py migrate`." if older else ""


def _describe(contents: Contents) -> str:
    return f"{contents.pictures} picture files, schema {', '.join(contents.revisions.values()) or 'none'}"


def _stamp(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%SZ}"
