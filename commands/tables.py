"""`python main.py migrate` and `seed`: the tables, and what a new service is filled with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
from alembic.util.exc import CommandError
from loguru import logger
from starlette.datastructures import State

from api.projects import Project, ProjectError, find_projects, open_resources
from extensions.database import Database, connect
from extensions.logger import configure_logging
from extensions.migrations import Migrations
from settings import Settings, get_settings


@click.command()
@click.option("--check", is_flag=True, help="Only say whether the tables in code and database are the same.")
@click.option("--revise", metavar="MESSAGE", help="Write a new revision from the difference; needs --project.")
@click.option("--project", help="Only this sub-project.")
def migrate(check: bool, revise: str | None, project: str | None) -> None:
    """Bring the database to the newest schema of every sub-project."""
    settings = get_settings()
    configure_logging(settings)
    if revise and not project:
        raise click.UsageError("--revise needs --project NAME.")
    if revise:
        asyncio.run(_revise(settings, str(project), revise))
    elif check:
        asyncio.run(_check(settings, project))
    else:
        asyncio.run(upgrade(settings, project))


@click.command()
def seed() -> None:
    """Fill empty tables with the demo data."""
    settings = get_settings()
    configure_logging(settings)
    asyncio.run(_fill(settings))


async def upgrade(settings: Settings, project: str | None = None) -> None:
    """Bring the tables of all sub-projects, or of one, to the newest revision."""
    async with open_migrations(settings, project) as (database, found):
        for migrations in found:
            if migrations.are_missing:
                revise = f'python main.py migrate --project {migrations.project} --revise "First tables"'
                raise ProjectError(f"{migrations.project} has tables and no migration: `{revise}` writes one.")
            if await migrations.is_ahead(database):
                logger.warning("The tables of {} are newer than this code and stay as they are.", migrations.project)
            elif not await migrations.is_current(database):
                await migrations.upgrade(database.engine)
                logger.info("The tables of {} are up to date now.", migrations.project)


async def fill(settings: Settings) -> None:
    """Fill the empty tables of all sub-projects with their demo data."""
    state = State()
    state.settings = settings
    state.patient = True
    state.projects = [project for project in find_projects(settings.projects) if project.seed]
    async with open_resources(state):
        for project in state.projects:
            if project.seed and (done := await project.seed(state)):
                logger.info("{} was filled with {}.", project.name, done)


async def _fill(settings: Settings) -> None:
    async with open_migrations(settings):  # a database that is away is told before anything else is opened
        await fill(settings)


async def _check(settings: Settings, project: str | None) -> None:
    async with open_migrations(settings, project) as (database, found):
        for migrations in found:
            try:
                await migrations.check(database.engine)
            except CommandError as error:
                raise click.ClickException(f"{migrations.project}: {error}") from error


async def _revise(settings: Settings, project: str, message: str) -> None:
    async with open_migrations(settings, project) as (database, found):
        if not found:
            raise click.ClickException(f"{project} has no tables: they belong in api/{project}/database.py.")
        (migrations,) = found
        try:
            file = await migrations.revise(database.engine, message)
        except CommandError as error:
            raise click.ClickException(f"{project}: {error}") from error
    if file is None:
        raise click.ClickException(f"The tables of {project} in code and database are the same: nothing to revise.")
    click.echo(f"{file} was written: read it, then run `python main.py migrate`.")


@asynccontextmanager
async def open_migrations(
    settings: Settings, project: str | None = None
) -> AsyncIterator[tuple[Database, list[Migrations]]]:
    """The database, and the migrations of all sub-projects or of one."""
    projects: list[Project] = find_projects((project,) if project else settings.projects)
    database = await connect(settings, patient=True)
    try:
        await database.check()
        yield database, [found for one in projects if (found := one.migrations)]
    finally:
        await database.close()
