"""Settings of a developer's own machine: everything embedded, everything allowed."""

from typing import Literal

from pydantic import SecretStr

from settings.base import Origins, Settings

DEVELOPMENT_SECRET = "development-only-secret-known-to-everyone"  # noqa: S105  (production refuses it)


class DevelopmentSettings(Settings):
    """Runs with no configuration at all."""

    env: Literal["development"] = "development"
    debug: bool = True
    secret_key: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    cors_origins: Origins = ("*",)
    guests: bool = True
