"""`python main.py openapi`, `routes`, `settings` and `doctor`: what the service is, and what is wrong with it."""

import json

import click
from fastapi.routing import iter_route_contexts

from api import create_app
from commands.problems import find_doubts, find_problems
from settings import PREFIX, examine_settings, get_settings
from utils.log_text import mask


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
        click.echo(
            f"{PREFIX + name.upper():24} {mask(str(getattr(found, name))):44} {field.description or ''}".rstrip()
        )


@click.command()
def doctor() -> None:
    """Say what is wrong with settings and database and how to mend it; exits with 1 if anything is."""
    found, problems = examine_settings()
    problems = find_problems(found, problems)
    for problem in problems:
        click.echo(f"✗ {problem.setting} {problem.reason}\n    → {problem.mend}")
    if problems:
        raise SystemExit(1)
    for doubt in find_doubts(found):
        click.echo(f"! {doubt.setting} {doubt.reason}\n    → {doubt.mend}")
    click.echo(f"✓ The settings for {found.env} are usable, the database answers and its schema is current.")
