"""Sub-projects: found, wanted, broken, and each alone."""

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import APIRouter
from starlette.datastructures import State

import api
import api.projects
from api.projects import Project, ProjectError, find_commands, find_projects, open_resources, project_names
from tests.support.databases import run

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Adds a sub-project made of one file."""
    monkeypatch.setattr(api.projects, "API_FOLDER", tmp_path)
    monkeypatch.setattr(api, "__path__", [*api.__path__, str(tmp_path)])

    def write_project(name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text, encoding="utf-8")

    return write_project


def test_the_shop_is_found() -> None:
    assert "shopdemo" in project_names()
    (shop,) = find_projects(("shopdemo",))
    assert shop.summary == "A shop: goods with search, pictures, import and export; carts, orders and payments."
    assert shop.migrations is not None
    assert shop.seed is not None


def test_an_unknown_one_names_the_nearest(write: Write) -> None:
    write("shop_a", "from fastapi import APIRouter\nrouter = APIRouter()")
    with pytest.raises(ProjectError) as caught:
        find_projects(("shop_b",))
    assert str(caught.value) == "APP_PROJECTS: there is no sub-project “shop_b”; did you mean shop_a?"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "import nothing_like_this",
            "cannot be imported: ModuleNotFoundError(\"No module named 'nothing_like_this'\")",
        ),
        ("1 / 0", "cannot be imported: ZeroDivisionError('division by zero')"),
        ("router =", "cannot be imported: SyntaxError"),
        ("", "must offer a `router` (an APIRouter) in its __init__.py."),
        ("router = 5", "must offer a `router` (an APIRouter) in its __init__.py."),
    ],
)
def test_a_broken_one_is_named_and_never_skipped(write: Write, text: str, sentence: str) -> None:
    name = f"broken_{uuid4().hex}"  # a module is imported once
    write(name, text)
    for wanted in ((), (name,)):
        with pytest.raises(ProjectError) as caught:
            find_projects(wanted)
        assert str(caught.value).startswith(f"The sub-project api/{name} {sentence}")


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ("", "must have a class `Base` of its tables in database.py."),
        ("1 / 0", "cannot be imported: ZeroDivisionError('division by zero')"),
    ],
)
def test_tables_that_cannot_be_found_are_told(write: Write, tmp_path: Path, tables: str, sentence: str) -> None:
    name = f"with_tables_{uuid4().hex}"
    write(name, "from fastapi import APIRouter\nrouter = APIRouter()")
    (project,) = find_projects((name,))
    assert project.migrations is None
    (tmp_path / name / "database.py").write_text(tables, encoding="utf-8")
    importlib.invalidate_caches()
    with pytest.raises(ProjectError) as caught:
        _ = project.migrations
    assert str(caught.value) == f"The sub-project api/{name} {sentence}"


def test_commands_are_found_without_importing_the_others(write: Write, tmp_path: Path) -> None:
    write("broken_elsewhere", "1 / 0")
    assert find_commands() == []
    name = f"with_commands_{uuid4().hex}"
    write(name, "")
    (tmp_path / name / "commands.py").write_text("commands = (print,)", encoding="utf-8")
    assert find_commands() == [print]


def test_a_broken_command_is_named(write: Write, tmp_path: Path) -> None:
    name = f"broken_{uuid4().hex}"
    write(name, "")
    (tmp_path / name / "commands.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(ProjectError, match=f"The sub-project api/{name} cannot be imported: ZeroDivisionError"):
        find_commands()


def test_resources_are_opened_once_and_closed_in_reverse() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def open_first(state: State) -> AsyncIterator[str]:
        events.append("open first")
        yield "1"
        events.append("close first")

    @asynccontextmanager
    async def open_second(state: State) -> AsyncIterator[str]:
        events.append(f"open second with {state.first}")
        yield "2"
        events.append("close second")

    async def work() -> None:
        state = State()
        state.projects = [
            Project("a", APIRouter(), (open_first, open_second), ""),
            Project("b", APIRouter(), (open_second, open_first), ""),
        ]
        async with open_resources(state):
            events.append(f"work with {state.first} and {state.second}")

    run(work())
    assert events == [
        "open first",
        "open second with 1",
        "work with 1 and 2",
        "close second",
        "close first",
    ]
