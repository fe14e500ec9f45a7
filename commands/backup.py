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
from extensions.backup import BackupError, Contents, put_back, read_backup, write_backup
from settings import Settings, get_settings
from settings.base import VAR
from utils.fields import utc_now

BACKUPS = VAR / "backups"
DUMP = (
    "rsync --archive {pictures}/ BACKUP/pictures/",
    "pg_dump --format=custom --file=BACKUP/database.dump --dbname={url}",
    "rsync --archive {pictures}/ BACKUP/pictures/   # what came meanwhile",
)
UNDUMP = (
    "rsync --archive BACKUP/pictures/ {pictures}/",
    "pg_restore --exit-on-error --single-transaction --no-owner --dbname={url} BACKUP/database.dump",
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
            advice = _judge(contents, settings)
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


def _judge(contents: Contents, settings: Settings) -> str:
    """What is left to do for this code to run on these tables; raises BackupError when newer code made them."""
    of_project = {found.project: found for project in find_projects() if (found := project.migrations)}
    newer = [
        f"{name} ({revision})"
        for name, revision in contents.revisions.items()
        if name in of_project and not of_project[name].knows(revision)
    ]
    if newer:
        raise BackupError(f"The schema of {', '.join(newer)} is newer than this code: restore it with the newer one.")
    wanted = [found for name, found in of_project.items() if not settings.projects or name in settings.projects]
    older = [found.project for found in wanted if not found.is_newest(contents.revisions.get(found.project))]
    return f"The schema of {', '.join(older)} is older than this code: run `python main.py migrate`." if older else ""


def _describe(contents: Contents) -> str:
    return f"{contents.pictures} picture files, schema {', '.join(contents.revisions.values()) or 'none'}"


def _stamp(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%SZ}"
