"""A .env that cannot be read: nothing is known then, so nothing is guessed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import cli
from settings import get_settings

NOBODY = 65534
UNREADABLE = (
    "Error: The settings are not usable:\n"
    "  - .env: cannot be read (Permission denied) → run this as the service's user, such as: sudo -u myfastapi …\n"
)
LATIN = "Error: The settings are not usable:\n  - .env: is not UTF-8 → save it in this encoding\n"


@pytest.fixture(autouse=True)
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In the folder of a service, with production's settings in it."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    file = tmp_path / ".env"
    file.write_text("APP_ENV=production\n", encoding="utf-8")
    get_settings.cache_clear()
    yield file
    get_settings.cache_clear()


@contextmanager
def without_privileges() -> Iterator[None]:
    """Whoever is root may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(os.name != "posix", reason="there are no such modes")
@pytest.mark.parametrize("command", ["doctor", "settings", "migrate", "serve", "backup"])
def test_one_of_another_user_is_told_as_a_sentence(env_file: Path, command: str) -> None:
    """As when somebody forgets `sudo -u`."""
    env_file.chmod(0)
    with without_privileges():
        done = CliRunner().invoke(cli, [command])
    assert (done.exit_code, done.output) == (1, UNREADABLE)


def test_one_in_another_encoding_is_told_as_a_sentence(env_file: Path) -> None:
    env_file.write_bytes("APP_SECRET_KEY=schlüssel\n".encode("latin-1"))
    done = CliRunner().invoke(cli, ["doctor"])
    assert (done.exit_code, done.output) == (1, LATIN)
