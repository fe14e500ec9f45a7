"""Tables that newer code has changed: between a migration and its code, and after the way back to the former code."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from starlette.testclient import TestClient

from api import create_app
from commands import cli
from extensions.logger import configure_logging
from settings import SettingsError, get_settings
from settings.production_config import ProductionSettings
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import success

NEWER = "the schema of shopdemo is newer than this code"
SECRET = "a-secret-of-more-than-thirty-two-characters"

pytestmark = only_sqlite


@pytest.fixture
def newer(settings: TestingSettings) -> TestingSettings:
    """Of a database that the next migration has changed already."""
    migrate_to(settings, "shopdemo_0099")
    return settings


@pytest.fixture
def here(newer: TestingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder without .env, where commands find this database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_ENV", "testing")
    monkeypatch.setenv("APP_DATABASE_URL", newer.database_url)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
    configure_logging(TestingSettings(log_level="ERROR"))


def migrate_to(settings: TestingSettings, revision: str) -> None:
    with closing(sqlite3.connect(settings.database_url.partition(":///")[2])) as database, database:
        database.execute("UPDATE alembic_version_shopdemo SET version_num = ?", [revision])


def in_production(settings: TestingSettings) -> ProductionSettings:
    return ProductionSettings(
        secret_key=SecretStr(SECRET),
        database_url=settings.database_url,
        pictures_dir=settings.pictures_dir,
        log_dir=None,
    )


def test_production_starts_and_says_so(newer: TestingSettings) -> None:
    with TestClient(create_app(in_production(newer))) as client:
        ready = client.get("/readyz")
        assert client.get("/shopdemo/goods").status_code == 200
    checks = ready.json()["data"]["checks"]
    assert "schema" in checks
    assert ready.json() == success({"status": "degraded", "checks": checks, "problems": [NEWER]})


@pytest.mark.parametrize("revision", ["shopdemo_0001", "accounts_0099", "0099", "f3a9"])
def test_what_is_older_or_of_other_code_is_refused(settings: TestingSettings, revision: str) -> None:
    migrate_to(settings, revision)
    app = create_app(in_production(settings))
    with pytest.raises(SettingsError, match="the schema of shopdemo is out of date"), TestClient(app):
        pass


@pytest.mark.usefixtures("here")
def test_doctor_says_so() -> None:
    found = CliRunner().invoke(cli, ["doctor"])
    assert found.output == (
        "! the schema of shopdemo is newer than this code\n"
        "    → put the newer code in place, unless you went back to this one\n"
        "✓ The settings for testing are usable, the database answers and its schema is newer.\n"
    )
    assert found.exit_code == 0


@pytest.mark.usefixtures("here")
def test_migrate_leaves_it_alone() -> None:
    found = CliRunner().invoke(cli, ["migrate"])
    assert found.exit_code == 0
    assert "The tables of shopdemo are newer than this code and stay as they are." in found.stderr
