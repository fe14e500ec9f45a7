"""Settings of the tests: they read no .env file and write no log files."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from settings.base import VAR, Settings


class TestingSettings(Settings):
    """A database and folders of their own, so that no test can touch the development data."""

    __test__ = False
    model_config = SettingsConfigDict(env_file=None)

    env: Literal["testing"] = "testing"
    database_url: str = "sqlite+aiosqlite:///var/testing/testing.db"
    pictures_dir: Path = VAR / "testing" / "pictures"
    log_dir: Path | None = None
    secret_key: SecretStr = SecretStr("testing-only-secret-known-to-everyone")
    password_memory_kib: int = 1024  # hashing is not what the tests are about
    max_wait_seconds: float = 30  # nor how busy the machine is meanwhile
    guests: bool = True
