"""Settings of a real deployment: it refuses to start while any of them is unsafe."""

from pathlib import Path
from typing import Literal

from settings.base import Problem, Settings
from settings.development_config import DevelopmentSettings
from settings.testing_config import TestingSettings

MIN_SECRET_LENGTH = 32
KNOWN_SECRETS = frozenset(
    settings.model_fields["secret_key"].default.get_secret_value()
    for settings in (DevelopmentSettings, TestingSettings)
)


class ProductionSettings(Settings):
    """Nothing secret has a default, and all reasons not to start are told at once."""

    env: Literal["production"] = "production"
    log_json: bool = True
    database_url: str = ""

    def problems(self) -> list[Problem]:
        """Every reason not to start, each with its mend."""
        return [*super().problems(), *self._secret_problems(), *self._exposure_problems(), *self._database_problems()]

    def _secret_problems(self) -> list[Problem]:
        secret = self.secret_key.get_secret_value()
        mend = 'set it to the output of: python -c "import secrets; print(secrets.token_urlsafe(48))"'
        if not secret:
            return [Problem("APP_SECRET_KEY", "is missing", mend)]
        if secret in KNOWN_SECRETS:
            return [Problem("APP_SECRET_KEY", "is a default that everyone knows", mend)]
        if len(secret) < MIN_SECRET_LENGTH:
            return [Problem("APP_SECRET_KEY", f"is shorter than {MIN_SECRET_LENGTH} characters", mend)]
        return []

    def _exposure_problems(self) -> list[Problem]:
        found = []
        if self.debug:
            found.append(Problem("APP_DEBUG", "is on", "remove it or set it to false"))
        if self.trusted_proxies.strip() == "*":
            mend = "name the addresses of your reverse proxies"
            found.append(Problem("APP_TRUSTED_PROXIES", "is *: any client can forge its address", mend))
        return found

    def _database_problems(self) -> list[Problem]:
        mend = "set it to postgresql+asyncpg://user:password@host/name, or to sqlite+aiosqlite:////absolute/path.db"
        if not self.database_url:
            return [Problem("APP_DATABASE_URL", "is missing", mend)]
        if not self.database_url.startswith("sqlite"):
            return []
        path = self.database_url.partition(":///")[2].partition("?")[0]
        if path in ("", ":memory:") or "mode=memory" in self.database_url:
            return [Problem("APP_DATABASE_URL", "is in memory: every restart and every worker loses all data", mend)]
        if not Path(path).is_absolute():
            return [Problem("APP_DATABASE_URL", "is a relative path: it depends on the folder of the start", mend)]
        return []
