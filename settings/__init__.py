"""Settings: `get_settings()` picks the class by `APP_ENV` and refuses what is unknown or unsafe."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

from dotenv import dotenv_values
from pydantic import ValidationError

from settings.base import Problem, Settings
from settings.development_config import DevelopmentSettings
from settings.production_config import ProductionSettings
from settings.testing_config import TestingSettings

__all__ = ["Problem", "Settings", "SettingsError", "TestingSettings", "examine_settings", "get_settings"]

FILE = ".env"
PREFIX = "APP_"
TEST_PREFIX = "APP_TEST_"  # where the tests find their servers; no settings of the service

ENVIRONMENTS: dict[str, type[Settings]] = {
    "development": DevelopmentSettings,
    "testing": TestingSettings,
    "production": ProductionSettings,
}


class SettingsError(Exception):
    """The settings are unusable; carries every reason at once."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(["The settings are not usable:", *(f"  - {problem}" for problem in problems)]))


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once; raises SettingsError with every reason not to use them."""
    settings, problems = examine_settings()
    if problems:
        raise SettingsError(problems)
    return settings


def examine_settings() -> tuple[Settings, list[Problem]]:
    """Read the settings and judge them; a value that cannot be read is a problem and counts as its default.

    Raises SettingsError when .env cannot be read: then nothing is known.
    """
    file = _read_file()
    name = os.environ.get("APP_ENV") or file.get("APP_ENV") or "development"
    if name not in ENVIRONMENTS:
        problem = Problem("APP_ENV", f"is “{name}”", f"use one of {', '.join(ENVIRONMENTS)}")
        return DevelopmentSettings.model_construct(), [problem]
    settings_class = ENVIRONMENTS[name]
    keys = [*os.environ, *(file if settings_class.model_config.get("env_file") else ())]
    problems = _unknown_keys(keys, settings_class)
    try:
        settings = settings_class()
    except ValidationError as error:
        fields = {str(detail["loc"][0]): detail["msg"] for detail in error.errors()}
        problems += [_invalid_value(field, message) for field, message in fields.items()]
        settings = settings_class(**{field: settings_class.model_fields[field].default for field in fields})
    named = {problem.setting for problem in problems}  # a default stands in for what could not be read
    return settings, problems + [problem for problem in settings.problems() if problem.setting not in named]


def _read_file() -> dict[str, str | None]:
    try:
        return dotenv_values(FILE)
    except OSError as error:
        mend = "run this as the service's user, such as: sudo -u myfastapi …"
        raise SettingsError([Problem(FILE, f"cannot be read ({error.strerror})", mend)]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([Problem(FILE, "is not UTF-8", "save it in this encoding")]) from error


def _unknown_keys(keys: Iterable[str], settings_class: type[Settings]) -> list[Problem]:
    known = [PREFIX + field.upper() for field in settings_class.model_fields]
    problems = []
    for key in sorted({key.upper() for key in keys}):
        if key.startswith(PREFIX) and not key.startswith(TEST_PREFIX) and key not in known:
            nearest = get_close_matches(key, known, n=1, cutoff=0)
            problems.append(Problem(key, "is not a setting", f"did you mean {nearest[0]}?"))
    return problems


def _invalid_value(field: str, message: str) -> Problem:
    key = PREFIX + field.upper()
    return Problem(key, message.removeprefix("Value error, "), "`python main.py settings` lists what it may be")
