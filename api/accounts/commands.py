"""`python main.py createadmin`: the first administrator, and the way back in."""

import asyncio
import sys
from pathlib import Path

import click
from starlette.datastructures import State

from api.accounts.database import Base
from api.accounts.passwords import open_passwords
from api.accounts.schemas import MAX_PASSWORD, User
from api.accounts.users.dependencies import make_registry
from extensions.database import open_database
from extensions.logger import configure_logging
from extensions.migrations import Migrations
from settings import Settings, get_settings
from utils.custom_exc import NotReady, ServiceError

MIGRATIONS = Migrations("accounts", Path(__file__).parent / "migrations", Base.metadata)


@click.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input, without asking.")
def createadmin(name: str, password_stdin: bool) -> None:
    """Make NAME an administrator with the password you type; a known NAME gets this password too, and is logged out."""
    settings = get_settings()
    configure_logging(settings)
    password = _read_line() if password_stdin else _ask()
    if len(password) > MAX_PASSWORD:
        raise click.ClickException(f"The password has more than {MAX_PASSWORD} characters; choose a shorter one.")
    try:
        user = asyncio.run(_appoint(settings, name, password))
    except NotReady:
        raise
    except ServiceError as error:
        raise click.ClickException(error.message) from error
    click.echo(f"{user.username} is an administrator now, with the id {user.id}.")


commands = (createadmin,)


async def _appoint(settings: Settings, name: str, password: str) -> User:
    state = State()
    state.settings = settings
    async with open_database(state) as state.database, open_passwords(state) as state.passwords:
        if await MIGRATIONS.is_out_of_date(state.database):
            raise click.ClickException("The tables of accounts are missing or old; run `python main.py migrate` first.")
        return await make_registry(state).appoint(name, password)


def _ask() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt="The same again"))


def _read_line() -> str:
    """The password without the end of its line."""
    return sys.stdin.read(MAX_PASSWORD * 4).removesuffix("\n").removesuffix("\r")
