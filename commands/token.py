"""`python main.py token`: an access token for trying things out, and for machines."""

import click

from extensions.security import Tokens
from settings import get_settings


@click.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, help="A role of the token, such as admin; may be repeated.")
@click.option("--minutes", type=click.IntRange(1), help="How long it is valid (APP_TOKEN_MINUTES).")
def token(name: str, roles: tuple[str, ...], minutes: int | None) -> None:
    """Print an access token for NAME, to be sent as “Authorization: Bearer …”."""
    settings = get_settings()
    click.echo(Tokens.of(settings).sign(name, frozenset(roles), minutes or settings.token_minutes))
