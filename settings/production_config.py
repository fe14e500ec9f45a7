"""Settings of a real deployment: it refuses to start while any of them is unsafe."""

from pathlib import Path
from typing import Literal

from settings.addresses import trusts_anybody
from settings.base import MEND_DATABASE, MEND_SECRET, Problem, Settings
from settings.development_config import DevelopmentSettings
from settings.testing_config import TestingSettings

MIN_SECRET_LENGTH = 32
MIN_SECRET_CHARACTERS = 8  # different ones; of 32 random hexadecimal digits so few are seen once in 26 million times
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
        keys = [
            ("APP_SECRET_KEY", self.secret_key),
            *(("APP_ACCEPTED_KEYS", key) for key in self.accepted_keys),
            ("APP_PAYMENT_SECRET", self.payment_secret),
        ]
        found = []
        for setting, key in keys:
            secret = key.get_secret_value()
            if secret in KNOWN_SECRETS:
                found.append(Problem(setting, "is a default that everyone knows", MEND_SECRET))
            elif 0 < len(secret) < MIN_SECRET_LENGTH:
                found.append(Problem(setting, f"is shorter than {MIN_SECRET_LENGTH} characters", MEND_SECRET))
            elif secret and len(set(secret)) < MIN_SECRET_CHARACTERS:
                reason = f"has fewer than {MIN_SECRET_CHARACTERS} different characters"
                found.append(Problem(setting, reason, MEND_SECRET))
        return found

    def _exposure_problems(self) -> list[Problem]:
        found = []
        if self.debug:
            found.append(Problem("APP_DEBUG", "is on", "remove it or set it to false"))
        if trusts_anybody(self.trusted_proxies):
            reason = f"is {self.trusted_proxies}: any client can forge its address"
            found.append(Problem("APP_TRUSTED_PROXIES", reason, "name the addresses of your reverse proxies"))
        return found

    def _database_problems(self) -> list[Problem]:
        if not self.database_url.startswith("sqlite") or Path(self.database_url.partition(":///")[2]).is_absolute():
            return []
        reason = "is a relative path: it depends on the folder of the start"
        return [Problem("APP_DATABASE_URL", reason, MEND_DATABASE)]
