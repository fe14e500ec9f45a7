"""`python main.py openapi`, `routes`, `settings` and `doctor`: what the service is, and what is wrong with it."""

import asyncio
import json
from typing import Any

import click
from fastapi.routing import iter_route_contexts

from api import create_app
from api.health import schema_problems
from api.projects import open_resources
from settings import PREFIX, Problem, Settings, examine_settings, get_settings
from utils.custom_exc import NotReady


@click.command()
def openapi() -> None:
    """Print the OpenAPI document as JSON."""
    click.echo(json.dumps(create_app(get_settings()).openapi(), ensure_ascii=False, indent=2))


@click.command()
def routes() -> None:
    """List every route: methods, path, name."""
    for route in iter_route_contexts(create_app(get_settings()).routes):
        methods = ",".join(sorted(route.methods or {"WS" if "websocket" in str(route.endpoint) else "MOUNT"}))
        click.echo(f"{methods:8} {route.path:48} {route.name}")


@click.command()
def settings() -> None:
    """List every setting with its value now and what it is for; secrets are not shown."""
    found, _ = examine_settings()
    for name, field in type(found).model_fields.items():
        click.echo(f"{PREFIX + name.upper():24} {getattr(found, name)!s:44} {field.description or ''}".rstrip())


@click.command()
def doctor() -> None:
    """Say what is wrong with settings and database and how to mend it; exits with 1 if anything is."""
    found, problems = examine_settings()
    if not problems:
        problems = asyncio.run(_database_problems(found))
    for problem in problems:
        click.echo(f"✗ {problem.setting} {problem.reason}\n    → {problem.mend}")
    if problems:
        raise SystemExit(1)
    click.echo(f"✓ The settings for {found.env} are usable, the database answers and its schema is current.")


async def _database_problems(found: Settings) -> list[Problem]:
    state: Any = create_app(found).state
    try:
        async with open_resources(state):
            return [Problem("database", text, "python main.py migrate") for text in await schema_problems(state)]
    except (NotReady, OSError) as error:
        return [Problem("APP_DATABASE_URL", f"cannot be reached ({error})", "start the database, or correct the URL")]
