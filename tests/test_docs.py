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
    r"python main\.py createadmin \w+": ("tests/accounts/test_createadmin.py", '["createadmin", *arguments]'),
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

COMMANDS = sorted(
    {command.partition("  #")[0].strip() for page in PAGES if page != OPERATIONS for command in commands(page)}
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A development service with data of its own, filled as a newcomer's is."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("APP_")},
        "APP_ENV": "development",
        "APP_DATABASE_URL": f"sqlite+aiosqlite:///{(tmp_path / 'docs.db').as_posix()}",
        "APP_PICTURES_DIR": str(tmp_path / "pictures"),
        "APP_LOG_DIR": "",
        "APP_PORT": "0",
        "NO_COLOR": "1",
    }


@contextmanager
def serving(environment: dict[str, str], *arguments: str) -> Iterator[str]:
    """The address of a server that was started by `python main.py …`."""
    command = [sys.executable, "main.py", *arguments]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
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


def shell(command: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    arguments = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def run_curl(command: str, environment: dict[str, str], server: str) -> None:
    """Not only must curl get an answer: it must be none of a crash or an unknown path."""
    if "$TOKEN" in command:
        token = run_main("python main.py token alice --role admin", environment).strip()
        environment = {**environment, "TOKEN": token}
    command = command.replace(EXAMPLE_ADDRESS, server).replace("curl ", "curl --write-out '%{stderr}%{http_code}' ", 1)
    done = shell(command, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not re.search(r"5\d\d$", done.stderr), done.stdout
    assert '"code":404,' not in done.stdout


def run_main(command: str, environment: dict[str, str]) -> str:
    done = shell(re.sub(r"\bpython ", f"'{sys.executable}' ", command, count=1), environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_command_works(environment: dict[str, str]) -> None:
    """One test, so that one server is filled, however many workers run the tests."""
    here = [command for command in COMMANDS if not is_run_elsewhere(command)]
    with serving(environment, "serve") as server:
        for command in here:
            if re.match(r"(\w+=\S+ )*curl ", command):
                run_curl(command, environment, server)
            elif serve := re.fullmatch(r"(?:APP_PROJECTS=(\w+) )?python main\.py( serve.*)?", command):
                projects = {"APP_PROJECTS": serve[1]} if serve[1] else {}
                with serving(environment | projects, *(serve[2] or "serve").split(), "--port", "0") as address:
                    assert address
            elif command.startswith("python main.py "):
                assert run_main(command, environment) or command.split()[2] in ("migrate", "seed")
            else:
                pytest.fail(f"Say in RUN_ELSEWHERE what runs `{command}`, or teach this test to run it.")


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
