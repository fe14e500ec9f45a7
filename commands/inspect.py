"""`python main.py openapi`, `routes`, `settings` and `doctor`: what the service is, and what is wrong with it."""

import asyncio
import json

import click
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import WebSocketRoute

from api import create_app
from commands.problems import find_doubts, find_problems, newer_schemas
from settings import PREFIX, Settings, examine_settings, get_settings
from utils.log_text import mask


@click.command()
def openapi() -> None:
    """Print the OpenAPI document as JSON."""
    click.echo(json.dumps(create_app(get_settings()).openapi(), ensure_ascii=False, indent=2))


@click.command()
def routes() -> None:
    """List every route: methods, path, name."""
    for route in iter_route_contexts(create_app(get_settings()).routes):
        click.echo(f"{_methods(route):8} {route.path:48} {route.name}")


def _methods(route: RouteContext) -> str:
    if isinstance(route.original_route, WebSocketRoute):
        return "WS"
    methods = route.methods or {"MOUNT"}
    return ",".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))  # HEAD is GET without the body


@click.command()
def settings() -> None:
    """List every setting with its value now and what it is for; secrets are not shown."""
    found, _ = examine_settings()
    for name, field in Settings.model_fields.items():
        value = mask(str(getattr(found, name)))
        click.echo(f"{PREFIX + name.upper():28} {value:44} {field.description}")


@click.command()
def doctor() -> None:
    """Say what is wrong with settings and database and how to mend it; exits with 1 if anything is."""
    found, problems = examine_settings()
    problems = find_problems(found, problems)
    for problem in problems:
        click.echo(f"✗ {problem.setting} {problem.reason}\n    → {problem.mend}")
    if problems:
        raise SystemExit(1)
    newer = asyncio.run(newer_schemas(found))
    for doubt in (*find_doubts(found), *newer):
        click.echo(f"! {doubt.setting} {doubt.reason}\n    → {doubt.mend}")
    schema = "newer" if newer else "current"
    click.echo(f"✓ The settings for {found.env} are usable, the database answers and its schema is {schema}.")
