"""Finding the sub-projects: every package in `api/` that offers a `router` is one."""

import importlib
import importlib.util
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from fastapi import APIRouter
from sqlalchemy import MetaData
from starlette.datastructures import State

from extensions.migrations import Migrations

Resource = Callable[[State], AbstractAsyncContextManager[Any]]
Seed = Callable[[State], Awaitable[str | None]]

API_FOLDER = Path(__file__).parent


class ProjectError(Exception):
    """A sub-project is unknown or broken; the text names it and says what to do."""


@dataclass(frozen=True)
class Project:
    """One sub-project: its routes, the resources it needs open, and its migrations if it has tables."""

    name: str
    router: APIRouter
    requires: tuple[Resource, ...]
    summary: str

    @property
    def migrations(self) -> Migrations | None:
        """Its Alembic migrations, or None when it has no `database.py`, and so no tables.

        Raises ProjectError when that cannot be imported or has no `Base`.
        """
        if importlib.util.find_spec(f"api.{self.name}.database") is None:
            return None
        base = getattr(_import(self.name, f"api.{self.name}.database"), "Base", None)
        if base is None:
            raise ProjectError(
                f"The sub-project api/{self.name} must have a class `Base` of its tables in database.py."
            )
        metadata: MetaData = base.metadata
        return Migrations(self.name, API_FOLDER / self.name / "migrations", metadata)

    @property
    def seed(self) -> Seed | None:
        """What fills its empty tables with demo data, if it has any."""
        if importlib.util.find_spec(f"api.{self.name}.seed") is None:
            return None
        seed: Seed = importlib.import_module(f"api.{self.name}.seed").seed
        return seed


def project_names() -> list[str]:
    """Every sub-project there is, by name."""
    return sorted(module.name for module in pkgutil.iter_modules([str(API_FOLDER)]) if module.ispkg)


def find_projects(wanted: tuple[str, ...] = ()) -> list[Project]:
    """Import the wanted sub-projects, or all; raises ProjectError for an unknown or broken one."""
    known = project_names()
    for name in wanted:
        if name not in known:
            hint = "".join(f"; did you mean {nearest}?" for nearest in get_close_matches(name, known, n=1, cutoff=0))
            raise ProjectError(f"APP_PROJECTS: there is no sub-project “{name}”{hint}")
    return [_load(name) for name in known if not wanted or name in wanted]


def find_commands() -> list[click.Command]:
    """What sub-projects add to `python main.py`: `commands` in a module of that name; the others are not imported.

    Raises ProjectError for a broken one.
    """
    found: list[click.Command] = []
    for name in project_names():
        if (API_FOLDER / name / "commands.py").is_file():
            found += _import(name, f"api.{name}.commands").commands
    return found


@asynccontextmanager
async def open_resources(state: State, *of_all: Resource) -> AsyncIterator[None]:
    """Open what all need, and the union of what `state.projects` require, once each, as `state.<name>`.

    It is closed in reverse.
    """
    state.resources = {}
    required = dict.fromkeys((*of_all, *(resource for project in state.projects for resource in project.requires)))
    async with AsyncExitStack() as stack:
        for resource in required:
            name = resource.__name__.removeprefix("open_")
            opened = await stack.enter_async_context(resource(state))
            state.resources[name] = opened
            setattr(state, name, opened)
        yield


def _load(name: str) -> Project:
    package = _import(name, f"api.{name}")
    router = getattr(package, "router", None)
    if not isinstance(router, APIRouter):
        raise ProjectError(f"The sub-project api/{name} must offer a `router` (an APIRouter) in its __init__.py.")
    return Project(name, router, tuple(getattr(package, "requires", ())), (package.__doc__ or "").partition("\n")[0])


def _import(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ProjectError(f"The sub-project api/{name} cannot be imported: {error!r}") from error
