"""`python main.py createadmin`: the first administrator, and the way back in."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

import api.projects
from api.accounts.errors import PasswordTooGuessable, UsernameInvalid
from commands import cli
from extensions.logger import configure_logging
from extensions.security import Tokens
from settings import get_settings
from settings.testing_config import TestingSettings
from tests.support.accounts import OTHER_PASSWORD, PASSWORD, log_in, refresh, register, try_login
from tests.support.databases import only_sqlite, sqlite_url

CreateAdmin = Callable[..., Result]


@pytest.fixture
def create_admin(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CreateAdmin]:
    """Runs the command on the test's database, with what is typed."""

    def invoke(*arguments: str, typed: str, url: str = database_url) -> Result:
        get_settings.cache_clear()
        environment = {"APP_ENV": "testing", "APP_DATABASE_URL": url}
        return CliRunner().invoke(
            cli, ["createadmin", *arguments], input=typed, env=environment, catch_exceptions=False
        )

    monkeypatch.chdir(tmp_path)
    yield invoke
    get_settings.cache_clear()
    configure_logging(TestingSettings(log_level="ERROR"))


def test_the_first_administrator(create_admin: CreateAdmin, client: TestClient, tokens: Tokens) -> None:
    done = create_admin("爱丽丝", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "爱丽丝 is an administrator now, with the id 1.")
    assert PASSWORD not in done.output
    assert tokens.verify(log_in(client, "爱丽丝")["access_token"]).roles == {"admin"}


def test_the_way_back_in(create_admin: CreateAdmin, client: TestClient, tokens: Tokens) -> None:
    user_id = register(client, "Alice")
    pair = log_in(client, "Alice")
    admin = {"Authorization": f"Bearer {tokens.sign('operator', frozenset({'admin'}), 5)}"}
    change = {"roles": ["push"], "is_active": False}
    assert client.patch(f"/accounts/users/{user_id}", headers=admin, json=change).status_code == 200
    done = create_admin("alice", "--password-stdin", typed=f"{OTHER_PASSWORD}\n")
    assert (done.exit_code, done.output) == (0, f"Alice is an administrator now, with the id {user_id}.\n")
    assert try_login(client, "alice").status_code == 401
    assert tokens.verify(log_in(client, "alice", OTHER_PASSWORD)["access_token"]).roles == {"admin", "push"}
    assert refresh(client, pair).status_code == 401


@only_sqlite
def test_the_same_rules_are_told_as_sentences(create_admin: CreateAdmin) -> None:
    for name, password, sentence in (
        ("a b", PASSWORD, UsernameInvalid.message),
        ("alice", "password" * 3, PasswordTooGuessable.message),
        ("alice", "short", "The password must have at least 15 characters; several words make a good one."),
        ("alice", "a" * 129, "The password has more than 128 characters; choose a shorter one."),
    ):
        done = create_admin(name, "--password-stdin", typed=f"{password}\n")
        assert (done.exit_code, done.output) == (1, f"Error: {sentence}\n")


@only_sqlite
def test_two_different_passwords_are_asked_for_again(create_admin: CreateAdmin) -> None:
    done = create_admin("alice", typed=f"{PASSWORD}\n{OTHER_PASSWORD}\n{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0
    assert "do not match" in done.output


@only_sqlite
def test_tables_that_are_missing_are_told(create_admin: CreateAdmin, tmp_path: Path) -> None:
    done = create_admin("alice", "--password-stdin", typed=PASSWORD, url=sqlite_url(tmp_path / "new.db"))
    sentence = "Error: The tables of accounts are missing or old; run `python main.py migrate` first.\n"
    assert (done.exit_code, done.output) == (1, sentence)


@only_sqlite
def test_without_the_sub_project_there_is_no_command(
    create_admin: CreateAdmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "createadmin" in CliRunner().invoke(cli, ["--help"]).output
    without = tmp_path / "api"
    shutil.copytree(api.projects.API_FOLDER, without, ignore=shutil.ignore_patterns("accounts", "static"))
    monkeypatch.setattr(api.projects, "API_FOLDER", without)
    assert "createadmin" not in CliRunner().invoke(cli, ["--help"]).output
    assert create_admin("alice", typed="").exit_code == 2
