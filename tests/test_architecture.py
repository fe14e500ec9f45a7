"""The rules of form that no linter knows, and that the linted ones can fail at all."""

import ast
import importlib
import json
import os
import pkgutil
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from importlinter.api import read_configuration
from importlinter.cli import lint_imports_command

from api.projects import project_names
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from utils.custom_exc import ServiceError

ROOT = Path(__file__).parents[1]
PACKAGES = ("commands", "api", "extensions", "settings", "utils")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in [*SOURCES, ROOT / "main.py"]}

MAX_FILE_LINES = 300
LONG_FUNCTION_LINES = 25
MAX_FUNCTION_LINES = 40
MAX_LONG_SHARE = 0.02
MAX_MEDIAN_LINES = 10

OWN_TEXTS = ("*.py", "*.md", "*.toml", "*.html", "*.css", "*.js", "*.sh")
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X{3})\b")  # written so that it does not find itself
BROAD = {"Exception", "BaseException"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "load_dotenv", "dotenv_values"}


class Planted(NamedTuple):
    """A line at the end of a file that breaks a contract."""

    contract: str
    path: str
    line: str


PLANTED = (
    Planted("direction", "utils/planted.py", "import settings.base"),
    Planted("direction", "settings/base.py", "import extensions.logger"),
    Planted("direction", "extensions/cache.py", "import api.health"),
    Planted("direction", "api/health.py", "import commands.serve"),
    Planted("main", "utils/planted.py", "import main"),
    Planted("main", "api/planted.py", "import tests.support"),
    Planted("main", "commands/planted.py", "import bench.tables"),
    Planted("projects", "api/planted/__init__.py", "import api.shopdemo.schemas"),
    Planted("cycles", "utils/custom_exc.py", "import utils.exception_handlers"),
    Planted("module", "api/shopdemo/goods/errors.py", "import api.shopdemo.goods.service"),
    Planted("module", "api/shopdemo/goods/service.py", "import api.shopdemo.goods.store"),
    Planted("module", "api/shopdemo/goods/store.py", "import api.shopdemo.goods.dependencies"),
    Planted("service", "api/shopdemo/goods/service.py", "import fastapi"),
    Planted("service", "api/shopdemo/goods/service.py", "import sqlalchemy"),
    Planted("store", "api/shopdemo/home/home.py", "import api.shopdemo.goods.store"),
    Planted("store", "api/shopdemo/goods/goods.py", "import api.shopdemo.goods.store"),
    Planted("store", "api/shopdemo/goods/service.py", "import api.shopdemo.categories.store"),
)


def lint(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The import contracts, in a process of their own: the graph is built from what lies in `folder`."""
    script = "from importlinter.cli import lint_imports_command as lint; lint()"
    command = [sys.executable, "-P", "-c", script, "--no-logo", "--no-cache", "--config", "pyproject.toml", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages without what is no code, to plant something in."""
    for package in PACKAGES:
        no_code = shutil.ignore_patterns("__pycache__", "static", "templates")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=no_code)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_of_imports_are_kept() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.contract}: {planted.path}: {planted.line}")
def test_each_contract_of_imports_can_be_broken(copy: Path, planted: Planted) -> None:
    path = copy / planted.path
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{path.read_text('utf-8') if path.exists() else ''}\n{planted.line}\n", "utf-8")
    found = lint(copy, "--contract", planted.contract)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "1 broken" in found.stdout


def test_every_contract_of_imports_is_planted_against() -> None:
    contracts = {contract["id"] for contract in read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]}
    assert {planted.contract for planted in PLANTED} == contracts, "Plant a violation of each contract in PLANTED."


def test_the_linter_is_the_one_that_make_lint_runs() -> None:
    assert "lint_imports_command" in (ROOT / "Makefile").read_text("utf-8")
    assert "--contract" in CliRunner().invoke(lint_imports_command, ["--help"]).output


def all_errors() -> set[type[ServiceError]]:
    """Every error of the service; what tests derive from ServiceError does not count."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not module.name.startswith("extensions.alembic") and ".migrations" not in module.name:
                importlib.import_module(module.name)

    def below(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
        for child in error.__subclasses__():
            yield child
            yield from below(child)

    return {error for error in below(ServiceError) if error.__module__.partition(".")[0] in PACKAGES}


def test_error_codes_are_unique() -> None:
    codes = Counter(error.code for error in all_errors())
    twice = {code: sorted(e.__name__ for e in all_errors() if e.code == code) for code in codes if codes[code] > 1}
    assert twice == {}, "Give each error a code of its own: status × 100 + a number nobody has yet."


def test_error_codes_agree_with_their_status() -> None:
    wrong = {
        error.__name__: (error.status_code, error.code)
        for error in all_errors()
        if error.status_code not in (error.code, error.code // 100)
    }
    assert wrong == {}


def test_errors_have_a_sentence_for_people_and_one_for_openapi() -> None:
    assert [e.__name__ for e in all_errors() if not e.message.endswith((".", "is."))] == []
    assert [e.__name__ for e in all_errors() if not (e.__doc__ or "").strip()] == []


START = """
import json, sys
from fastapi.testclient import TestClient
from api.projects import project_names
from main import app
with TestClient(app) as client:
    answer = client.get("/readyz")
print(json.dumps({
    "status": answer.status_code,
    "body": answer.json(),
    "imported": [name for name in project_names() if f"api.{name}" in sys.modules],
    "described": sorted({path.split("/")[1] for path in app.openapi()["paths"]} & set(project_names())),
}))
"""


@only_sqlite
@pytest.mark.parametrize("projects", [(), *((name,) for name in project_names())], ids=",".join)
def test_each_sub_project_starts_alone_and_all_start_together(
    projects: tuple[str, ...], settings: TestingSettings
) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("APP_")}
    environment |= {
        "APP_ENV": "testing",
        "APP_PROJECTS": ",".join(projects),
        "APP_DATABASE_URL": settings.database_url,
        "APP_PICTURES_DIR": str(settings.pictures_dir),
    }
    command = [sys.executable, "-c", START]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    names = list(projects) or project_names()
    assert (found["status"], found["body"]["data"]["status"]) == (200, "ready"), found
    assert (found["imported"], found["described"]) == (names, names)


def where(wrong: Callable[[ast.AST], bool], *, outside: tuple[str, ...] = ()) -> list[str]:
    """Where in our code something stands that is not to stand there."""
    return [
        f"{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 0)}"
        for path, tree in TREES.items()
        if not path.relative_to(ROOT).as_posix().startswith(outside)
        for node in ast.walk(tree)
        if wrong(node)
    ]


def names_of(node: ast.AST) -> set[str]:
    """The names that an expression or an import uses."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {alias.name for alias in aliases}
    return set()


def test_only_settings_read_the_environment() -> None:
    # NO_COLOR is what terminals and programs agreed on (no-color.org), and no setting of ours.
    agreed = where(lambda node: isinstance(node, ast.Compare) and ast.unparse(node) == "'NO_COLOR' not in os.environ")
    assert where(lambda node: bool(names_of(node) & ENVIRONMENT), outside=("settings/",)) == agreed


def test_only_the_factory_and_commands_ask_for_the_settings() -> None:
    of_projects = tuple(f"api/{name}/commands.py" for name in project_names())
    allowed = ("settings/", "commands/", "main.py", "api/__init__.py", *of_projects)
    assert where(lambda node: bool(names_of(node) & {"get_settings", "examine_settings"}), outside=allowed) == []


def test_middleware_is_plain_asgi() -> None:
    assert where(lambda node: "BaseHTTPMiddleware" in names_of(node)) == []
    assert where(lambda node: isinstance(node, ast.Attribute) and ast.unparse(node) == "app.middleware") == []


def test_no_failure_is_passed_over() -> None:
    def is_silent(node: ast.AST) -> bool:
        if not isinstance(node, ast.ExceptHandler):
            return False
        names = {name for part in ast.walk(node.type) for name in names_of(part)} if node.type else BROAD
        nothing = all(isinstance(s, ast.Pass | ast.Continue) or ast.unparse(s) == "..." for s in node.body)
        return bool(names & BROAD) and nothing

    assert where(is_silent) == []


def test_no_annotations_are_strings_where_fastapi_reads_them() -> None:
    assert where(lambda node: isinstance(node, ast.ImportFrom) and node.module == "__future__") == []


def test_nothing_is_unfinished() -> None:
    folders = [*PACKAGES, "tests", "bench", "docs", ".ci", "deploy"]
    files = [ROOT / "main.py", ROOT / "Makefile", ROOT / "Pipfile", *ROOT.glob("*.md")]
    files += [path for folder in folders for pattern in OWN_TEXTS for path in (ROOT / folder).rglob(pattern)]
    own = [path for path in files if "vendor" not in path.parts]
    assert [str(path.relative_to(ROOT)) for path in own if UNFINISHED.search(path.read_text("utf-8"))] == []


def test_modules_and_public_classes_say_in_a_sentence_what_they_are() -> None:
    def is_silent(node: ast.AST) -> bool:
        public = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        return (public or isinstance(node, ast.Module)) and not ast.get_docstring(node)  # type: ignore[arg-type]

    assert where(is_silent) == []


def test_files_are_short() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in TREES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    """Migrations are lists of columns; everything else is to be read at a glance."""
    lengths = {
        f"{path.relative_to(ROOT).as_posix()}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in TREES.items()
        if "migrations" not in path.parts
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    long = {name: lines for name, lines in lengths.items() if lines > LONG_FUNCTION_LINES}
    assert len(long) <= MAX_LONG_SHARE * len(lengths), long
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN_LINES
