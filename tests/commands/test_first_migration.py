"""The first migration of a new sub-project, as the README tells to make it, in a copy of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guards import ROOT
from tests.test_docs import FENCE

CODE = ("api", "commands", "extensions", "settings", "utils", "main.py", "pyproject.toml")
README = (ROOT / "README.md").read_text("utf-8")
REVISE = '.venv/bin/python main.py migrate --project hello --revise "First tables"'
MIGRATE = ".venv/bin/python main.py migrate"
DOCTOR = ".venv/bin/python main.py doctor"
OUT_OF_DATE = "✗ the schema of hello is out of date\n    → run `python main.py migrate`\n"
USABLE = "✓ The settings for development are usable, the database answers and its schema is current.\n"
TABLES = '''"""The tables of hello."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Identity, Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from extensions.database_types import NAMING, BigId, JsonDocument, MoneyCents, UtcDateTime


class Base(DeclarativeBase):
    """Where the tables of this sub-project are registered."""

    metadata = MetaData(naming_convention=NAMING)


class GreetingRow(Base):
    """Somebody who was greeted."""

    __tablename__ = "hello_greetings"
    __table_args__ = (Index(None, "name", "at"),)

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    gift: Mapped[Decimal] = mapped_column(MoneyCents)
    more: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
'''
REVISION_HEAD = '''"""First tables.

Revision ID: hello_0001
Revises:
Create Date: '''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The code with the sub-project of the README, which has tables now; `make` has made `.venv`."""
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    hello = tmp_path / "api" / "hello"
    hello.mkdir()
    (package,) = (block["text"] for block in FENCE.finditer(README) if block["text"].startswith('"""Says hello."""'))
    needs_database = package.replace("\n\nfrom utils", "\n\nfrom extensions.database import open_database\nfrom utils")
    needs_database = needs_database.replace("\n\n\n", "\n\nrequires = (open_database,)\n\n\n", 1)
    (hello / "__init__.py").write_text(needs_database, encoding="utf-8")
    (hello / "database.py").write_text(TABLES, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_the_first_migration(folder: Path, database_url: str) -> None:
    assert REVISE in README
    quiet = {"APP_DEBUG": "false", "APP_LOG_LEVEL": "ERROR", "NO_COLOR": "1"}
    environment = {**os.environ, **quiet, "APP_DATABASE_URL": database_url}

    def type_in(command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    missing = f"Error: hello has tables and no migration: `{REVISE.removeprefix('.venv/bin/')}` writes one.\n"
    assert type_in(MIGRATE) == (1, missing)

    file = folder / "api" / "hello" / "migrations" / "0001_first_tables.py"
    code, said = type_in(REVISE)
    assert (code, said.splitlines()[-1]) == (0, f"{file} was written: read it, then run `python main.py migrate`.")
    assert file.read_text("utf-8").startswith(REVISION_HEAD)
    for lint in ("check", "format --check"):
        assert type_in(f".venv/bin/python -m ruff {lint} api/hello")[0] == 0
    assert type_in(REVISE) == (1, "Error: hello: Target database is not up to date.\n")

    assert type_in(DOCTOR) == (1, OUT_OF_DATE)
    assert type_in(MIGRATE) == (0, "")
    assert type_in(DOCTOR) == (0, USABLE)
    assert type_in(f"{MIGRATE} --check")[0] == 0
    same = "Error: The tables of hello in code and database are the same: nothing to revise.\n"
    assert type_in(REVISE.replace("First", "No more")) == (1, same)
    assert [path.name for path in file.parent.glob("*.py")] == [file.name]
