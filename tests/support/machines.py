"""A machine with the service as docs/operations.md sets it up: commands are typed, systemd is played by its unit."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.accounts import PASSWORD
from tests.support.processes import PATIENCE, ROOT, Process, running, wait_until

UNIT = ROOT / "deploy" / "myfastapi.service"
AS_SERVICE = "sudo -u myfastapi "
AS_POSTGRES = "sudo -u postgres "
SYSTEMCTL = re.compile(r"sudo systemctl (enable --now|start|stop|restart|reload) myfastapi")

Step = str | dict[str, str]  # a command, or settings to write


class Machine:
    """A machine with the service, in a folder; `systemctl` does what the unit says."""

    def __init__(self, folder: Path, stack: ExitStack, not_typed: Iterable[str]) -> None:
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
        self.environment |= {"NO_COLOR": "1", "HOME": str(folder / "lib")}
        self.postgres_environment: dict[str, str] = {}
        self.said = ""
        self.places = {
            "/opt/myfastapi": str(ROOT),
            ".venv/bin/python": shlex.quote(sys.executable),
            "/var/lib/myfastapi": str(folder / "lib"),
            "/var/log/myfastapi": str(folder / "log"),
            "/var/backups/myfastapi": str(folder / "backups"),
            "-o myfastapi -g myfastapi ": "",
            "curl -s ": "curl -sf ",
        }
        self._folder, self._stack, self._not_typed = folder, stack, list(not_typed)
        self._service: tuple[ExitStack, Process] | None = None

    def write_env(self, settings: dict[str, str]) -> None:
        self.environment |= {name: self._here(value) for name, value in settings.items()}

    def follow(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, dict):
                self.write_env(step)
            elif any(re.fullmatch(pattern, step) for pattern in self._not_typed):
                continue
            elif found := SYSTEMCTL.fullmatch(step):
                self.systemctl(found[1])
            elif step.startswith(AS_POSTGRES):
                self.type(step.removeprefix(AS_POSTGRES), self.postgres_environment)
            else:
                self.type(step.removeprefix(AS_SERVICE).removeprefix("sudo "))

    def type(self, command: str, more_environment: dict[str, str] | None = None) -> None:
        typed = ""
        if " createadmin " in command:  # a terminal is asked for it; a test has none
            command, typed = f"{command} --password-stdin", PASSWORD
        done = subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=ROOT,
            env={**self.environment, **(more_environment or {})},
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
        if "/dump.sh " in command:
            self.places["20261126T031700Z.dump"] = Path(done.stdout.strip()).name

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """What the running service answers to an administrator."""
        if "TOKEN" not in self.environment:
            self.type(".venv/bin/python main.py token alice --role admin --minutes 60")
            self.environment["TOKEN"] = self.said.strip()
        headers = {"Authorization": f"Bearer {self.environment['TOKEN']}", **options.pop("headers", {})}
        return httpx.request(method, f"http://{self.places['127.0.0.1:8010']}{path}", headers=headers, **options)

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
