"""Everything that speaks against starting: unsafe or unreadable settings, and tables that are not of this code."""

import asyncio
from urllib.parse import urlsplit

from api.projects import find_projects
from commands.tables import open_migrations
from extensions.broker import open_broker
from extensions.http_client import THIS_PROCESS, open_http_client
from settings import Problem, Settings
from utils.custom_exc import NotReady

UNREACHABLE = Problem("APP_DATABASE_URL", "cannot be reached", "start the database, or correct the URL")
MEND_BROKER = "set APP_BROKER_URL=redis://127.0.0.1:6379/0, or APP_WORKERS=1"
MEND_GATEWAY = "set it to where the payment gateway runs, such as https://pay.example.com"
MEND_CALLBACK = (
    "set it to where the gateway reaches the shop, such as https://shop.example.com/shopdemo/payments/webhook"
)
MEND_CODE = "put the newer code in place, unless you went back to this one"
SIMULATED = "paymentdemo"
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


def unreachable_gateway(settings: Settings) -> list[Problem]:
    """The host `self` is this process: what is asked there must run here."""
    projects = find_projects(settings.projects)
    if not any(open_http_client in project.requires for project in projects):
        return []
    gateway, callback = urlsplit(settings.payment_url), urlsplit(settings.payment_callback_url)
    asked = gateway.path.split("/")[1] if gateway.path else ""
    if gateway.hostname == THIS_PROCESS and asked not in {project.name for project in projects}:
        return [
            Problem("APP_PAYMENT_URL", f"is {settings.payment_url}, which does not run in this process", MEND_GATEWAY)
        ]
    if gateway.hostname != THIS_PROCESS and callback.hostname == THIS_PROCESS:
        reason = f"is {settings.payment_callback_url}, which the gateway would take for itself"
        return [Problem("APP_PAYMENT_CALLBACK_URL", reason, MEND_CALLBACK)]
    return []


def find_doubts(settings: Settings) -> list[Problem]:
    """What does not keep the service from starting, but is hardly meant."""
    doubts = unreachable_gateway(settings)
    if settings.env == "production" and urlsplit(settings.payment_url).path.endswith(f"/{SIMULATED}"):
        doubts.append(
            Problem("APP_PAYMENT_URL", "is the simulated gateway: orders are paid with test cards", MEND_GATEWAY)
        )
    return doubts


def find_problems(settings: Settings, problems: list[Problem]) -> list[Problem]:
    """The problems of the settings and those of the schema; the database is only asked if it is clear which one."""
    if NEEDED_TO_ASK & {problem.setting for problem in problems}:
        return problems
    problems = problems + lonely_workers(settings)
    return problems + asyncio.run(_schema_problems(settings))


async def newer_schemas(settings: Settings) -> list[Problem]:
    """Tables that newer code has changed, which does not keep this code from its work."""
    async with open_migrations(settings) as (database, found):
        return [
            Problem(f"the schema of {migrations.project}", "is newer than this code", MEND_CODE)
            for migrations in found
            if await migrations.is_ahead(database)
        ]


async def _schema_problems(settings: Settings) -> list[Problem]:
    try:
        async with open_migrations(settings) as (database, found):
            return [
                Problem(f"the schema of {migrations.project}", "is out of date", "run `python main.py migrate`")
                for migrations in found
                if await migrations.is_out_of_date(database)
            ]
    except NotReady:
        return [UNREACHABLE]
