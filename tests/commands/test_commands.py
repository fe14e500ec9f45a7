"""What people type: `python main.py …`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result

import api
import api.projects
from api.projects import find_projects
from commands import cli
from extensions.logger import configure_logging
from extensions.security import Tokens
from settings import Settings, get_settings
from settings.testing_config import TestingSettings
from tests.support.databases import sqlite_url
from tests.support.guards import ROOT
from utils.custom_exc import NotAuthenticated

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command in an empty folder, with the settings given as the environment."""

    def invoke(*arguments: str, **environment: str) -> Result:
        get_settings.cache_clear()
        return CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_ENV", "testing")
    yield invoke
    get_settings.cache_clear()
    configure_logging(TestingSettings(log_level="ERROR"))


def test_doctor_finds_nothing_wrong(run: Run, database_url: str) -> None:
    found = run("doctor", APP_DATABASE_URL=database_url)
    assert found.output == "✓ The settings for testing are usable, the database answers and its schema is current.\n"
    assert found.exit_code == 0


def test_doctor_tells_all_that_is_wrong_with_the_settings(run: Run) -> None:
    found = run("doctor", APP_ENV="production", APP_DEBUG="true", APP_PROT="1")
    assert found.exit_code == 1
    assert found.output.splitlines() == [
        "✗ APP_PROT is not a setting",
        "    → did you mean APP_PORT?",
        "✗ APP_SECRET_KEY is missing",
        '    → set it to the output of: python -c "import secrets; print(secrets.token_urlsafe(48))"',
        "✗ APP_DATABASE_URL is missing",
        "    → set it to postgresql+asyncpg://user:password@host/name, or to sqlite+aiosqlite:////absolute/path.db",
        "✗ APP_DEBUG is on",
        "    → remove it or set it to false",
    ]


def test_doctor_sees_tables_that_are_out_of_date(run: Run, tmp_path: Path) -> None:
    found = run("doctor", APP_DATABASE_URL=sqlite_url(tmp_path / "new.db"))
    assert found.exit_code == 1
    assert "schema" in found.output
    assert "shopdemo" in found.output
    assert "python main.py migrate" in found.output


def test_doctor_sees_a_database_that_is_away(run: Run) -> None:
    found = run("doctor", APP_DATABASE_URL="postgresql+asyncpg://user:the-password@127.0.0.1:1/shop")
    assert found.exit_code == 1
    assert found.output.startswith("✗ APP_DATABASE_URL cannot be reached")
    assert "the-password" not in found.output


@pytest.mark.parametrize("command", ["migrate", "migrate --check", "migrate --revise more --project shopdemo", "seed"])
def test_a_database_that_is_away_is_told_as_a_sentence(run: Run, command: str) -> None:
    found = run(*command.split(), APP_DATABASE_URL="postgresql+asyncpg://user:the-password@127.0.0.1:1/shop")
    assert found.exit_code == 1
    assert found.output.startswith("Error: The database is not ready: ")
    assert len(found.output.splitlines()) == 1
    assert "the-password" not in found.output


def test_migrate_and_check(run: Run, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new.db")
    assert run("migrate", "--check", APP_DATABASE_URL=url).exit_code == 1
    assert run("migrate", APP_DATABASE_URL=url).exit_code == 0
    assert run("migrate", APP_DATABASE_URL=url).exit_code == 0
    assert run("migrate", "--check", APP_DATABASE_URL=url).exit_code == 0
    assert run("doctor", APP_DATABASE_URL=url).exit_code == 0
    assert run("migrate", "--revise", "more", APP_DATABASE_URL=url).exit_code == 2


def test_who_has_no_tables_has_nothing_to_revise(
    run: Run, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.projects, "API_FOLDER", tmp_path)
    monkeypatch.setattr(api, "__path__", [*api.__path__, str(tmp_path)])
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "__init__.py").write_text("from fastapi import APIRouter\nrouter = APIRouter()", "utf-8")
    found = run("migrate", "--project", "plain", "--revise", "First tables", APP_DATABASE_URL=database_url)
    assert found.exit_code == 1
    assert found.output == "Error: plain has no tables: they belong in api/plain/database.py.\n"


def test_unknown_projects_are_told_as_a_sentence(run: Run) -> None:
    sentence = "Error: APP_PROJECTS: there is no sub-project “shop”; did you mean shopdemo?\n"
    for arguments in (["routes"], ["openapi"], ["doctor"], ["seed"], ["migrate"]):
        found = run(*arguments, APP_PROJECTS="shop")
        assert (found.exit_code, found.output) == (1, sentence)
    assert run("migrate", "--project", "nothing").exit_code == 1


def test_unusable_settings_are_told_as_sentences(run: Run) -> None:
    for command in ("serve", "migrate", "seed", "token x", "openapi", "routes"):
        found = run(*command.split(), APP_PROT="1")
        assert found.exit_code == 1
        assert found.output == (
            "Error: The settings are not usable:\n  - APP_PROT: is not a setting → did you mean APP_PORT?\n"
        )


def test_token(run: Run) -> None:
    tokens = Tokens("testing-only-secret-known-to-everyone")
    user = tokens.verify(run("token", "爱丽丝", "--role", "admin", "--role", "push").output.strip())
    assert (user.name, sorted(user.roles)) == ("爱丽丝", ["admin", "push"])
    assert tokens.verify(run("token", "bob").output.strip()).roles == frozenset()
    with pytest.raises(NotAuthenticated):
        Tokens("k" * 40).verify(run("token", "bob").output.strip())
    assert run("token").exit_code == run("token", "bob", "--minutes", "0").exit_code == 2


def test_openapi_and_routes(run: Run) -> None:
    document = json.loads(run("openapi").output)
    assert document["info"]["title"] == "myFastAPI"
    routes = run("routes").output
    listed = {(path, methods) for methods, path, *_ in map(str.split, routes.splitlines())}
    paths = {path for path, _ in listed}
    assert [path for path in document["paths"] if path not in paths] == []
    assert [(path, methods) for path, methods in listed if methods == "GET"] == []  # HEAD is answered with it
    assert {("/healthz", "GET,HEAD"), ("/docs", "GET,HEAD"), ("/shopdemo/goods/{goods_id}", "DELETE")} <= listed
    assert {path for path, methods in listed if methods == "MOUNT"} == {"/static", "/static/websocketdemo"}
    assert {path for path, methods in listed if methods == "WS"} == {
        "/websocketdemo/ws/{user}",
        "/websocketdemo/ws/{room}/{user}",
    }
    alone = run("openapi", APP_PROJECTS="shopdemo").output
    assert "/shopdemo/goods" in json.loads(alone)["paths"]


def test_settings_are_listed_and_secrets_are_not(run: Run) -> None:
    listed = run("settings", APP_SECRET_KEY="the-secret-of-the-service", APP_PORT="9000").output
    lines = {line.split()[0]: line for line in listed.splitlines()}
    fields = {f"APP_{name.upper()}": field.description for name, field in Settings.model_fields.items()}
    assert [name for name, use in fields.items() if not use or not lines[name].endswith(f"  {use}")] == []
    assert list(lines) == list(fields)
    assert "9000" in listed
    assert "the-secret" not in listed


def test_settings_show_no_password_of_the_database(run: Run) -> None:
    listed = run("settings", APP_DATABASE_URL="postgresql+asyncpg://bob:hunter2@db/shop").output
    assert "postgresql+asyncpg://bob:***@db/shop" in listed
    assert "hunter2" not in listed


def test_serve_passes_the_settings_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(uvicorn, "run", lambda *names, **options: served.append((names, options)))
    assert run(APP_PORT="9000", APP_HOST="0.0.0.0").exit_code == 0
    assert run("serve", "--port", "0", "--reload", APP_PROJECTS="shopdemo").exit_code == 0
    (names, first), (_, second) = served
    assert names == ("main:app",)
    assert (first["host"], first["port"], first["reload"]) == ("0.0.0.0", 9000, False)
    assert (second["host"], second["port"], second["reload"]) == ("127.0.0.1", 0, True)
    assert first["timeout_graceful_shutdown"] == 20
    assert (first["ws"], first["ws_per_message_deflate"]) == ("extensions.websocket_server:FrameProtocol", False)


@pytest.mark.parametrize(
    ("option", "range_"),
    [
        ("--workers=-1", "1<=x<=64"),
        ("--workers=0", "1<=x<=64"),
        ("--workers=65", "1<=x<=64"),
        ("--port=-5", "0<=x<=65535"),
        ("--port=99999", "0<=x<=65535"),
    ],
)
def test_serve_has_the_bounds_of_the_settings(run: Run, option: str, range_: str) -> None:
    refused = run("serve", option)
    name, value = option.split("=")
    assert refused.exit_code == 2
    assert f"Error: Invalid value for '{name}': {value} is not in the range {range_}.\n" in refused.output


def test_several_workers_need_a_broker_between_them(run: Run) -> None:
    refused = run("serve", "--workers", "2", APP_PROJECTS="websocketdemo")
    assert refused.exit_code == 1
    assert (
        "APP_BROKER_URL: is memory:// with 2 workers: each would have a websocketdemo of its own → "
        "set APP_BROKER_URL=redis://127.0.0.1:6379/0, or APP_WORKERS=1\n"
    ) in refused.output


def test_production_refuses_to_start_for_every_reason_at_once(run: Run, tmp_path: Path) -> None:
    database = tmp_path / "new.db"
    refused = run("serve", APP_ENV="production", APP_SECRET_KEY="short", APP_DATABASE_URL=sqlite_url(database))
    assert refused.exit_code == 1
    assert "APP_SECRET_KEY: is shorter than 32 characters" in refused.output
    assert "the schema of shopdemo: is out of date → run `python main.py migrate`" in refused.output


def test_help_names_every_command(run: Run) -> None:
    text = run("--help").output
    names = ("serve", "migrate", "seed", "token", "openapi", "routes", "doctor", "backup", "restore")
    assert [name for name in names if name not in text] == []
    assert find_projects()


@pytest.mark.slow
def test_two_who_migrate_at_the_same_time_take_turns(database_url: str, tmp_path: Path, backend: str) -> None:
    """Two processes, as when a deployment starts on two machines; on an empty SQLite file and a current PostgreSQL."""
    url = sqlite_url(tmp_path / "shared.db") if backend == "sqlite" else database_url
    environment = {**os.environ, "APP_ENV": "testing", "APP_DATABASE_URL": url}
    started = [
        subprocess.Popen(
            [sys.executable, ROOT / "main.py", "migrate"],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
