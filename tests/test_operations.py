"""docs/operations.md, typed from top to bottom: what an operator does there works, on SQLite and on PostgreSQL."""

import getpass
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import URL

from settings import Settings
from tests.support.accounts import PASSWORD
from tests.support.databases import execute, miss, postgres_server, run, why_unreachable
from tests.support.processes import PATIENCE, Process, running, wait_until
from tests.support.redis_servers import redis_space
from tests.test_docs import FENCE, ROOT

PAGE = ROOT / "docs" / "operations.md"
UNIT = ROOT / "deploy" / "myfastapi.service"
AS_SERVICE = "sudo -u myfastapi "
SYSTEMCTL = re.compile(r"sudo systemctl (enable --now|start|stop|restart|reload) myfastapi")
SERVE = re.compile(r"\S+ main\.py serve --port 8011")
CRON = re.compile(r"(?:[\d*]+ ){5}(?P<command>.*)")
SETTING = re.compile(r"\bAPP_[A-Z_]*[A-Z]\b(?!_…)")
MAX_EXPOSURE = 20  # of 100, as `systemd-analyze security` counts

# A command that is not run here, and why.
NOT_RUN = {
    r"sudo useradd .*": "changes the users of the machine",
    r"sudo apt-get install .*": "installs packages",
    r"sudo make \.venv/\.packages-installed": ".ci/fresh_clone.py makes it by `make run`",
    r"sudo cp deploy/myfastapi\.service .*": "changes systemd; the test of the unit looks at the file",
    r"sudo systemctl daemon-reload": "changes systemd; the other systemctl commands do here what the unit says",
    r"sudo -u postgres create(user|db) .*": "needs PostgreSQL's own user; the database is made by SQL",
    r"sudo -u myfastapi \.venv/bin/gunicorn .*": "tests/commands/test_workers.py serves by it",
    r"sudo nginx -t .*": "tests/deploy/test_nginx.py serves by the file",
    r"sudo journalctl .*": "reads systemd's journal",
}


class Section:
    """A part of the page: what it tells to type, and the settings it tells to write."""

    def __init__(self, text: str) -> None:
        self.commands: list[str] = []
        self.settings: dict[str, str] = {}
        for block in FENCE.finditer(text):
            lines = block["text"].splitlines()
            if block["language"] == "ini":
                self.settings |= dict(line.split("=", 1) for line in lines)
            elif block["language"] == "console":
                self.commands += [line.removeprefix("$ ") for line in lines]
            else:
                self.commands += [found["command"] for line in lines if (found := CRON.fullmatch(line))]


def sections() -> dict[str, Section]:
    """By the first word of their heading, such as `1.` or `PostgreSQL`."""
    _, *parts = re.split(r"^###? ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {part.split()[0]: Section(part) for part in parts}


class Machine:
    """A machine with the service, in a folder; `systemctl` does what the unit says."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
        self.environment |= {"NO_COLOR": "1"}
        self.said = ""
        self.places = {
            "/opt/myfastapi": str(ROOT),
            ".venv/bin/python": shlex.quote(sys.executable),
            "/var/lib/myfastapi": str(folder / "lib"),
            "/var/log/myfastapi": str(folder / "log"),
            "/var/backups/myfastapi": str(folder / "backups"),
            "/tmp/drill": str(folder / "drill"),
            "-o myfastapi -g myfastapi ": "",
            "curl -s ": "curl -sf ",
        }
        self._folder, self._stack = folder, stack
        self._service: tuple[ExitStack, Process] | None = None

    def write_env(self, settings: dict[str, str]) -> None:
        self.environment |= {name: self._here(value) for name, value in settings.items()}

    def follow(self, section: Section) -> None:
        self.write_env(section.settings)
        for command in section.commands:
            if any(re.fullmatch(pattern, command) for pattern in NOT_RUN):
                continue
            if found := SYSTEMCTL.fullmatch(command):
                self.systemctl(found[1])
            elif SERVE.fullmatch(command):
                address = self._stack.enter_context(self._serving("drill")).address
                self.places["127.0.0.1:8011"] = address
            else:
                self.type(command.removeprefix(AS_SERVICE).removeprefix("sudo "))

    def type(self, command: str) -> None:
        typed = ""
        if " createadmin " in command:  # a terminal is asked for it; a test has none
            command, typed = f"{command} --password-stdin", PASSWORD
        if command.startswith("export "):
            self.environment |= dict(word.split("=", 1) for word in shlex.split(self._here(command))[1:])
            return
        done = subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=ROOT,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        self.said = done.stdout
        if " secrets; " in command:
            self.environment["APP_SECRET_KEY"] = done.stdout.strip()
        if " backup " in command:
            self.places["20261126T031700Z.tar.gz"] = Path(done.stdout.partition(": ")[0]).name

    def systemctl(self, verb: str) -> None:
        if verb == "reload":
            self._reload()
            return
        if self._service and verb in ("stop", "restart"):
            self._service[0].close()
            self._service = None
        if verb != "stop":
            assert self._service is None
            stack = ExitStack()
            self._stack.callback(stack.close)
            self._service = stack, stack.enter_context(self._serving("service"))
            self.places["127.0.0.1:8010"] = self._service[1].address

    def _reload(self) -> None:
        """The unit's ExecReload; where there is one worker it ends, and `Restart` starts it again."""
        assert self._service
        stack, process = self._service
        if self._workers == 1:
            process.popen.send_signal(signal.SIGHUP)
            assert process.wait() == 0
            stack.close()
            self._service = None
            self.systemctl("start")
            return
        number = len(process.worker_pids()) + self._workers
        process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: len(process.worker_pids()) == number, PATIENCE, "the workers are not replaced")

    @contextmanager
    def _serving(self, name: str) -> Iterator[Process]:
        """What the unit starts, on a port of this test; it stops in good order."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        _, *arguments = self._here(unit()["ExecStart"]).split()
        with running(1, arguments, self.environment, folder) as (process,):
            wait_until(lambda: len(process.worker_pids()) == self._workers, PATIENCE, "not all workers start")
            wait_until(lambda: is_alive(process), PATIENCE, "it does not answer")
            yield process
            if process.popen.poll() is None:
                process.terminate()
                assert process.wait() == 0

    @property
    def _workers(self) -> int:
        return int(self.environment.get("APP_WORKERS", "1"))

    def _here(self, text: str) -> str:
        for there, here in self.places.items():
            text = text.replace(there, here)
        return text


def is_alive(process: Process) -> bool:
    return httpx.get(f"http://{process.address}/healthz").status_code == 200


def unit() -> dict[str, str]:
    """The lines of the unit; of those that stand twice the last."""
    return dict(line.split("=", 1) for line in UNIT.read_text("utf-8").splitlines() if re.match(r"\w+=", line))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, stack)


@pytest.fixture
def on_postgres(machine: Machine) -> Iterator[Machine]:
    """The same with a database and a part of Redis, both empty."""
    server = postgres_server()
    if reason := why_unreachable(server):
        miss("postgres", reason)
    if shutil.which("rsync") is None or shutil.which("pg_dump") is None:
        miss("postgres", "rsync or pg_dump is not installed")
    name = f"app_test_operations_{secrets.token_hex(4)}"
    run(execute(server, f"CREATE DATABASE {name}"))
    whole, plain = (place_of(url) for url in (server, server._replace(password=None)))
    if server.password:
        machine.environment["PGPASSWORD"] = str(server.password)
    try:
        with redis_space() as redis:
            machine.places |= {
                "shop_restored": f"{name}_again",
                "myfastapi:password@127.0.0.1:5432/shop": f"{whole}/{name}",
                "postgresql+asyncpg://myfastapi@127.0.0.1:5432": f"postgresql+asyncpg://{whole}",
                "myfastapi@127.0.0.1:5432/shop": f"{plain}/{name}",
                "myfastapi@127.0.0.1:5432": plain,
                "redis://127.0.0.1:6379/0": redis,
            }
            yield machine
    finally:
        for database in (name, f"{name}_again"):
            run(execute(server, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"))


def place_of(server: URL) -> str:
    """User and address."""
    return server.render_as_string(hide_password=False).partition("://")[2].rpartition("/")[0]


@pytest.mark.slow
@pytest.mark.faults
def test_one_machine_with_sqlite(machine: Machine) -> None:
    page = sections()
    for name in ("1.", "2.", "7."):
        machine.follow(page[name])
    machine.systemctl("reload")
    machine.follow(page["SQLite"])


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.postgres
@pytest.mark.redis
def test_with_postgresql_and_redis(on_postgres: Machine) -> None:
    page = sections()
    machine = on_postgres
    machine.write_env({**page["1."].settings, "APP_SECRET_KEY": secrets.token_urlsafe(48)})
    machine.type(next(command for command in page["1."].commands if " install -d " in command).removeprefix("sudo "))
    for name in ("3.", "4.", "5.", "7.", "PostgreSQL"):
        machine.follow(page[name])
        if name == "3.":
            assert '"ready"' in machine.said


def test_every_section_is_followed() -> None:
    followed = {"1.", "2.", "3.", "4.", "5.", "7.", "SQLite", "PostgreSQL"}
    assert {name for name, section in sections().items() if section.commands or section.settings} == followed


def test_what_is_not_run_stands_on_the_page() -> None:
    commands = [command for section in sections().values() for command in section.commands]
    assert [pattern for pattern in NOT_RUN if not any(re.fullmatch(pattern, command) for command in commands)] == []


def test_settings_on_the_page_exist() -> None:
    known = {f"APP_{name.upper()}" for name in Settings.model_fields}
    assert set(SETTING.findall(PAGE.read_text("utf-8"))) - known == set()


# -- the unit ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The unit with a user and paths of this machine, which systemd would look for."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: the unit is not verified (on Debian: apt install systemd)")
    user = getpass.getuser()
    changes = {
        "/opt/myfastapi/.venv/bin/python": sys.executable,
        "/opt/myfastapi": str(ROOT),
        "=myfastapi\n": f"={user}\n",
    }
    text = UNIT.read_text("utf-8")
    for there, own in changes.items():
        text = text.replace(there, own)
    file = tmp_path / UNIT.name
    file.write_text(text)
    return file


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_understands_the_unit(here: Path) -> None:
    found = analyze("verify", here)
    assert (found.returncode, [line for line in found.stderr.splitlines() if UNIT.name in line]) == (0, [])
    here.write_text(here.read_text().replace("Restart=always", "Restrat=always"))
    assert "Restrat" in analyze("verify", here).stderr


def test_the_unit_keeps_the_service_in_bounds(here: Path) -> None:
    command = ("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", here)
    found = analyze(*command)
    assert found.returncode == 0, found.stdout
    here.write_text(here.read_text().replace("ProtectSystem=strict\n", "").replace("CapabilityBoundingSet=\n", ""))
    assert analyze(*command).returncode != 0


def test_systemd_waits_longer_than_the_service_needs_to_stop() -> None:
    grace = Settings.model_fields["grace_seconds"].default
    assert int(unit()["TimeoutStopSec"]) >= grace + 5
    assert unit()["KillMode"] == "mixed"
