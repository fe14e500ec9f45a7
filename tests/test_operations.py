"""docs/operations.md, typed from top to bottom: what an operator does there works, on SQLite and on PostgreSQL."""

import re
import secrets
import shutil
import socket
from ast import literal_eval
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from settings import Settings, TestingSettings
from tests.support.catalogue import fill
from tests.support.databases import execute, miss, postgres_server, run, why_unreachable
from tests.support.machines import AS_SERVICE, Machine, Step
from tests.support.pictures import picture
from tests.support.redis_servers import redis_space
from tests.test_docs import FENCE, ROOT

PAGE = ROOT / "docs" / "operations.md"
CRON = re.compile(r"(?:[\d*]+ ){5}(?P<command>.*)")
PASSFILE = re.compile(r"[\w.]+:\d+:\*:\w+:\w+")
OF_THE_SERVICE = re.compile(r"main\.py|gunicorn|/var/(lib|log|backups)/myfastapi")
SETTING = re.compile(r"\bAPP_[A-Z_]*[A-Z]\b(?!_…)")
PROGRAMS = ("createdb", "dropdb", "pg_dump", "pg_restore", "psql", "rsync")

# A command that is not run here, and why.
NOT_RUN = {
    r"sudo useradd .*": "changes the users of the machine",
    r"sudo apt-get install .*": "installs packages",
    r"sudo make \.venv/\.packages-installed": ".ci/fresh_clone.py makes it by `make run`",
    r"sudo cp deploy/myfastapi\.service .*": "changes systemd; tests/deploy/test_unit.py looks at the file",
    r"sudo systemctl daemon-reload": "changes systemd; the other systemctl commands do here what the unit says",
    r"sudo -u postgres createuser --pwprompt .*": "asks a terminal for the password; the user is made by SQL",
    r"sudo -u myfastapi \.venv/bin/gunicorn .*": "tests/commands/test_workers.py serves by it",
    r"sudo nginx -t .*": "tests/deploy/test_nginx.py serves by the file",
    r"sudo journalctl .*": "reads systemd's journal",
}


class Section:
    """A part of the page: what it tells to type, and the settings it tells to write, one after the other."""

    def __init__(self, text: str) -> None:
        self.steps: list[Step] = []
        for block in FENCE.finditer(text):
            lines = block["text"].splitlines()
            if block["language"] == "ini":
                self.steps.append(dict(line.split("=", 1) for line in lines))
            elif block["language"] == "console":
                self.steps += [line.removeprefix("$ ") for line in lines]
            else:
                self.steps += [command for line in lines for command in _of_file(line)]

    @property
    def commands(self) -> list[str]:
        return [step for step in self.steps if isinstance(step, str)]

    @property
    def settings(self) -> dict[str, str]:
        return {name: value for step in self.steps if isinstance(step, dict) for name, value in step.items()}


def _of_file(line: str) -> Iterator[str]:
    """What a line does that is written into a crontab or a file of passwords; both are the service's."""
    if found := CRON.fullmatch(line):
        yield f"{AS_SERVICE}{found['command']}"
    elif PASSFILE.fullmatch(line):
        yield f"{AS_SERVICE}echo '{line}' > /var/lib/myfastapi/.pgpass"


def sections() -> dict[str, Section]:
    """By the number in their heading, or by all of it where there is none."""
    _, *parts = re.split(r"^###? ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {re.match(r"\d+\.|.*", part)[0]: Section(part) for part in parts}  # type: ignore[index]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, stack, NOT_RUN)


@pytest.fixture
def on_postgres(machine: Machine) -> Iterator[Machine]:
    """The same with PostgreSQL, where the service is a plain user, and a part of Redis."""
    server = postgres_server()
    if reason := why_unreachable(server):
        miss("postgres", reason)
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        miss("postgres", f"{', '.join(missing)} is not installed")
    name, password = f"app_test_operations_{secrets.token_hex(4)}", secrets.token_hex(8)
    try:
        run(execute(server, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"))
    except asyncpg.InsufficientPrivilegeError as error:
        miss("postgres", f"the tests' user may make no other: {error}")
    address = f"{server.host}:{server.port or 5432}"
    own = {"PGHOST": server.host, "PGPORT": server.port, "PGUSER": server.username, "PGPASSWORD": server.password}
    machine.postgres_environment = {variable: str(value) for variable, value in own.items() if value}
    try:
        with redis_space() as redis:
            machine.places |= {
                "myfastapi:password@127.0.0.1:5432/shop": f"{name}:{password}@{address}/{name}",
                "myfastapi@127.0.0.1:5432/shop": f"{name}@{address}/{name}",
                "127.0.0.1:5432:*:myfastapi:password": f"{address}:*:{name}:{password}",
                "--owner=myfastapi shop": f"--owner={name} {name}",
                "dropdb shop": f"dropdb {name}",
                "redis://127.0.0.1:6379/0": redis,
            }
            yield machine
    finally:
        for database in (name, f"{name}_restored", f"{name}_drill"):
            run(execute(server, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
        run(execute(server, f"DROP ROLE {name}"))


@pytest.fixture
def telephone(machine: Machine) -> Iterator[socket.socket]:
    """Where others would be that the service talks to: whoever calls them, calls here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def others_at(telephone: socket.socket) -> dict[str, str]:
    """Settings of a service that has a payment gateway, Redis and a collector of traces."""
    address = f"127.0.0.1:{telephone.getsockname()[1]}"
    return {
        "APP_PAYMENT_URL": f"http://{address}/pay",
        "APP_PAYMENT_CALLBACK_URL": f"http://{address}/shopdemo/payments/webhook",
        "APP_BROKER_URL": f"redis://{address}/0",
        "APP_OTLP_ENDPOINT": f"http://{address}",
    }


class Business:
    """What somebody buys, and sees of it ever after."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        goods = run(fill(TestingSettings(database_url=machine.environment["APP_DATABASE_URL"])))["TEA-1"]
        address = f"/shopdemo/goods/{goods.id}/pictures"
        shown = machine.ask("POST", address, files={"file": ("a.png", picture(), "image/png")})
        body = {"items": [{"goods_id": goods.id, "quantity": 1}]}
        placed = machine.ask("POST", "/shopdemo/orders", json=body, headers={"Idempotency-Key": "1"})
        assert (shown.status_code, placed.status_code) == (201, 201), (shown.text, placed.text)
        self._order: dict[str, Any] = placed.json()["data"]
        self._addresses = [shown.headers["Location"], placed.headers["Location"]]

    @property
    def order(self) -> tuple[int, datetime]:
        """Its number and when it was made."""
        return self._order["id"], datetime.fromisoformat(self._order["created_at"])

    def see(self) -> list[bytes]:
        answers = [self._machine.ask("GET", address) for address in self._addresses]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.content for answer in answers]


def damage_pictures(machine: Machine) -> None:
    files = [path for path in Path(machine.places["/var/lib/myfastapi"], "pictures").rglob("*.webp") if path.is_file()]
    assert len(files) == 2
    for file in files:
        file.write_bytes(b"")


def restores(machine: Machine, section: Section) -> None:
    """Follow a section that makes backups, then restores one; all pictures are damaged meanwhile."""
    (number,) = [number for number, step in enumerate(section.steps) if str(step) == "sudo systemctl stop myfastapi"]
    machine.follow(section.steps[:number])
    damage_pictures(machine)
    machine.follow(section.steps[number:])


def drill(machine: Machine, section: Section, telephone: socket.socket) -> str:
    """What its look for the last order says. Nobody is called meanwhile, and nothing of the service is changed."""
    lib = Path(machine.places["/var/lib/myfastapi"])
    before, service = everything_in(lib), dict(machine.environment)
    machine.environment |= others_at(telephone)
    heard = []
    for step in section.commands:
        machine.follow([step])
        heard.append(machine.said)
    machine.environment = service
    with pytest.raises(BlockingIOError):
        telephone.accept()
    assert everything_in(lib) == before
    (found,) = [said for said, step in zip(heard, section.commands, strict=True) if "SELECT" in step]
    return found


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.faults
def test_one_machine_with_sqlite(machine: Machine, telephone: socket.socket) -> None:
    page = sections()
    for name in ("1.", "2.", "7."):
        machine.follow(page[name].steps)
    machine.systemctl("reload")
    business = Business(machine)
    seen = business.see()
    restores(machine, page["SQLite"])
    assert business.see() == seen
    machine.systemctl("stop")
    number, time = literal_eval(drill(machine, page["Drill with SQLite"], telephone))
    assert (number, datetime.fromisoformat(time)) == business.order


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.postgres
@pytest.mark.redis
def test_with_postgresql_and_redis(on_postgres: Machine, telephone: socket.socket) -> None:
    page = sections()
    machine = on_postgres
    machine.write_env({**page["1."].settings, "APP_SECRET_KEY": secrets.token_urlsafe(48)})
    machine.type(next(command for command in page["1."].commands if " install -d " in command).removeprefix("sudo "))
    for name in ("3.", "4.", "5.", "7."):
        machine.follow(page[name].steps)
        if name == "3.":
            assert '"ready"' in machine.said
    business = Business(machine)
    seen = business.see()
    restores(machine, page["PostgreSQL"])
    assert business.see() == seen
    machine.systemctl("stop")
    number, time = drill(machine, page["Drill with PostgreSQL"], telephone).split("|")
    assert (int(number), datetime.fromisoformat(time.strip())) == business.order


def test_every_section_is_followed() -> None:
    followed = {"1.", "2.", "3.", "4.", "5.", "7.", "SQLite", "PostgreSQL"}
    followed |= {"Drill with SQLite", "Drill with PostgreSQL"}
    assert {name for name, section in sections().items() if section.commands or section.settings} == followed


def test_what_is_not_run_stands_on_the_page() -> None:
    commands = [command for section in sections().values() for command in section.commands]
    assert [pattern for pattern in NOT_RUN if not any(re.fullmatch(pattern, command) for command in commands)] == []


def test_what_is_the_services_is_touched_by_its_user_or_by_root() -> None:
    """Its folders and `.env` are closed to others, and sudo takes no exported variables along."""
    commands = [command for section in sections().values() for command in section.commands]
    assert [found for found in commands if OF_THE_SERVICE.search(found) and not found.startswith("sudo ")] == []
    assert [found for found in commands if found.startswith("export ")] == []


def test_settings_on_the_page_exist() -> None:
    known = {f"APP_{name.upper()}" for name in Settings.model_fields}
    assert set(SETTING.findall(PAGE.read_text("utf-8"))) - known == set()
