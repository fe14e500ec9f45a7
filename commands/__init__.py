"""What `python main.py` offers to people; without a command it serves."""

import click

from api.projects import ProjectError
from commands.inspect import doctor, openapi, routes, settings
from commands.serve import serve
from commands.tables import migrate, seed
from commands.token import token
from settings import SettingsError
from utils.custom_exc import NotReady


class Commands(click.Group):
    """Shows what is wrong with settings, sub-projects and the database as a sentence, not as a traceback."""

    def invoke(self, context: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(context)
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


for command in (serve, migrate, seed, token, openapi, routes, settings, doctor):
    cli.add_command(command)
