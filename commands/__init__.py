"""What `python main.py` offers to people; without a command it serves."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from api.projects import ProjectError, find_commands
from commands.backup import backup, restore
from commands.inspect import doctor, openapi, routes, settings
from commands.serve import serve, take_hang_ups
from commands.tables import migrate, seed
from commands.token import token
from settings import SettingsError
from utils.custom_exc import NotReady


class Commands(click.Group):
    """Our commands and those of the sub-projects, which are imported only when none of ours is meant.

    Shows what is wrong with settings, sub-projects and the database as a sentence, not as a traceback.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of all commands."""
        with told_as_sentences():
            return sorted([*super().list_commands(context), *(str(command.name) for command in find_commands())])

    def get_command(self, context: click.Context, cmd_name: str) -> click.Command | None:
        """One by its name."""
        if command := super().get_command(context, cmd_name):
            return command
        with told_as_sentences():
            return next((command for command in find_commands() if command.name == cmd_name), None)

    def invoke(self, context: click.Context) -> object:
        """Run the command."""
        with told_as_sentences():
            return super().invoke(context)


@contextmanager
def told_as_sentences() -> Iterator[None]:
    """What people can mend is told without a traceback."""
    try:
        yield
    except (SettingsError, ProjectError) as error:
        raise click.ClickException(str(error)) from error
    except NotReady as error:
        cause = error.__cause__ or error
        reason = str(cause).partition("\n")[0] or type(cause).__name__
        raise click.ClickException(f"The database is not ready: {reason}") from error


@click.group(cls=Commands, invoke_without_command=True)
@click.pass_context
def cli(context: click.Context) -> None:
    """Run and look after myFastAPI; alone it serves. Settings come from APP_… in the environment or .env."""
    if context.invoked_subcommand is None:
        context.invoke(serve)
    elif context.invoked_subcommand != serve.name:
        take_hang_ups()


for command in (serve, migrate, seed, token, openapi, routes, settings, doctor, backup, restore):
    cli.add_command(command)
