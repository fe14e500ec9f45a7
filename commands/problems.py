"""Everything that speaks against starting: unsafe or unreadable settings, and tables that are not of this code."""

import asyncio

from commands.tables import open_migrations
from settings import Problem, Settings
from utils.custom_exc import NotReady

UNREACHABLE = Problem("APP_DATABASE_URL", "cannot be reached", "start the database, or correct the URL")
NEEDED_TO_ASK = {"APP_ENV", "APP_DATABASE_URL", "APP_PROJECTS"}


def find_problems(settings: Settings, problems: list[Problem]) -> list[Problem]:
    """The problems of the settings and those of the schema; the database is only asked if it is clear which one."""
    if NEEDED_TO_ASK & {problem.setting for problem in problems}:
        return problems
    return problems + asyncio.run(_schema_problems(settings))


async def _schema_problems(settings: Settings) -> list[Problem]:
    try:
        async with open_migrations(settings) as (database, found):
            return [
                Problem(f"the schema of {migrations.project}", "is out of date", "run `python main.py migrate`")
                for migrations in found
                if not await migrations.is_current(database)
            ]
    except NotReady:
        return [UNREACHABLE]
