"""Every command that a page shows is run, here or where `RUN_ELSEWHERE` says; every link leads somewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [path for pattern in ("*.md", "bench/**/*.md", "docs/**/*.md", "deploy/**/*.md") for path in ROOT.glob(pattern)]

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<markdown>[^)\s]+)[^)]*\)|(?:src|href)=\"(?P<html>[^\"]+)\"")
RUNNING = re.compile(r"Uvicorn running on (http://[\d.:]+)")
EXAMPLE_ADDRESS = "http://127.0.0.1:8010"
MAIN = ".venv/bin/python main.py"
SILENT = ("migrate", "seed")  # where there is nothing to do
CODE = ("api", "commands", "extensions", "main.py", "settings", "utils")

# A command, and a file that runs it with the text that shows that it does.
RUN_ELSEWHERE = {
    r"git clone .*": (".ci/fresh_clone.py", '"git", "clone"'),
    r"cd .*": (".ci/fresh_clone.py", "cwd=clone"),
    r"make run": (".ci/fresh_clone.py", '"make", "run"'),
    r"make test": (".ci/run", "make test"),
    r"make faults": (".ci/run", "make faults"),
    r"make (check|lint|types)": (".ci/run", "make check"),
    r"make bench( .*)?": ("Makefile", "bench.http"),
    r"make|make (format|lock|vendor|install|ci|clean|migrate|seed)": ("Makefile", "##@ Work on it"),
    r"python -m bench\..*": ("Makefile", "bench.http"),
    r"\.venv/bin/python main\.py migrate --project hello .*": (
        "tests/commands/test_first_migration.py",
        "type_in(REVISE)",
    ),
    r"\.venv/bin/python main\.py createadmin \w+": (
        "tests/accounts/test_createadmin.py",
        '["createadmin", *arguments]',
    ),
    r"pipenv sync --dev": ("Makefile", "$(SYNC) --dev"),
    r"pipenv run python main\.py": (".ci/fresh_clone.py", '"make", "run"'),
    r"pipenv run pytest": (".ci/run", "make test"),
}


def commands(page: Path) -> Iterator[str]:
    """What a page tells its reader to type; output has no `$ ` before it."""
    for block in FENCE.finditer(page.read_text("utf-8")):
        text = re.sub(r"\\\n(?:> )?\s*", "", block["text"])
        lines = [line.strip() for line in text.splitlines()]
        if block["language"] == "console":
            yield from (line.removeprefix("$ ") for line in lines if line.startswith("$ "))
        elif block["language"] in ("bash", "sh", "shell"):
            yield from (line for line in lines if line and not line.startswith("#"))


# tests/test_operations.py types these, one after the other on a machine of its own.
OPERATIONS = ROOT / "docs" / "operations.md"

# As the pages have them: who reads on has typed what stands before.
COMMANDS = list(
    dict.fromkeys(
        command.partition("  #")[0].strip() for page in PAGES if page != OPERATIONS for command in commands(page)
    )
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the code as `make` leaves it for a newcomer: with `.venv`, without settings and data."""
    for name in CODE:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


class Terminal:
    """Where commands are typed as they stand on a page; what they set stays set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        foreign = ("APP_", "VIRTUAL_ENV", "PYTHON")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment |= {"APP_PORT": "0", "NO_COLOR": "1"}

    def type(self, command: str) -> str:
        """What it printed; it must not fail."""
        sets = re.fullmatch(r"(?P<name>[A-Z]+)=\$\((?P<command>.*)\)", command)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", sets["command"] if sets else command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        if sets:
            self.environment[sets["name"]] = done.stdout.strip()
        return done.stdout

    def ask(self, command: str, server: str) -> None:
        """curl must get what it asked for, from that server."""
        there = command.replace(EXAMPLE_ADDRESS, server)
        answer, _, status = self.type(f"{there} --write-out '\\n%{{http_code}}'").rpartition("\n")
        assert answer, command
        assert re.fullmatch(r"2\d\d", status), f"{command}: {status} {answer}"

    @contextmanager
    def serving(self, command: str) -> Iterator[str]:
        """The address of a server."""
        server = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.stderr is not None
        said = []
        try:
            for line in server.stderr:
                said.append(line)
                if found := RUNNING.search(line):
                    yield found[1]
                    break
            else:
                pytest.fail("".join(said))
        finally:
            server.terminate()
            server.communicate(timeout=30)


@pytest.mark.slow
def test_every_command_works(folder: Path) -> None:
    """One test, so that one server is filled, however many workers run the tests."""
    terminal = Terminal(folder)
    with terminal.serving(f"{MAIN} serve") as server:
        for command in COMMANDS:
            if is_run_elsewhere(command):
                continue
            if command.startswith("curl "):
                terminal.ask(command, server)
            elif re.fullmatch(rf"(\w+=\S+ )*{re.escape(MAIN)}( serve.*)?", command):
                with terminal.serving(command) as address:
                    assert address
            elif MAIN in command:
                assert terminal.type(command) or command.split()[2] in SILENT or command.startswith("TOKEN=")
            else:
                pytest.fail(f"Say in RUN_ELSEWHERE what runs `{command}`, or teach this test to run it.")
    assert len(terminal.environment["TOKEN"]) > 20


def is_run_elsewhere(command: str) -> bool:
    for pattern, (file, text) in RUN_ELSEWHERE.items():
        if re.fullmatch(pattern, command):
            assert text in (ROOT / file).read_text("utf-8"), f"{file} does not run `{command}` any more."
            return True
    return False


def test_pages_show_commands() -> None:
    assert {page.name for page in PAGES} >= {"README.md"}
    assert len(COMMANDS) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [found["markdown"] or found["html"] for found in LINK.finditer(FENCE.sub("", page.read_text("utf-8")))]
    own = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in own if not (page.parent / link).exists()] == []
