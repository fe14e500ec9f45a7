"""Everything that speaks against starting: unsafe or unreadable settings, and tables that are not of this code."""

import asyncio

from api.projects import find_projects
from commands.tables import open_migrations
from extensions.broker import open_broker
from settings import Problem, Settings
from utils.custom_exc import NotReady

UNREACHABLE = Problem("APP_DATABASE_URL", "cannot be reached", "start the database, or correct the URL")
MEND_BROKER = "set APP_BROKER_URL=redis://127.0.0.1:6379/0, or APP_WORKERS=1"
NEEDED_TO_ASK = {"APP_ENV", "APP_DATABASE_URL", "APP_PROJECTS"}


def lonely_workers(settings: Settings) -> list[Problem]:
    """Several workers need a broker between them, if a sub-project uses one."""
    if settings.workers == 1 or not settings.broker_url.startswith("memory:"):
        return []
    users = [project.name for project in find_projects(settings.projects) if open_broker in project.requires]
    if not users:
        return []
    reason = f"is memory:// with {settings.workers} workers: each would have a {' and '.join(users)} of its own"
    return [Problem("APP_BROKER_URL", reason, MEND_BROKER)]


def find_problems(settings: Settings, problems: list[Problem]) -> list[Problem]:
    """The problems of the settings and those of the schema; the database is only asked if it is clear which one."""
    if NEEDED_TO_ASK & {problem.setting for problem in problems}:
        return problems
    problems = problems + lonely_workers(settings)
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
