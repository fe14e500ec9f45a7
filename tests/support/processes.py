"""Services in processes of their own, as in production: they can be killed, stopped and measured."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds until something that does not happen counts as missing
READY_SECONDS = 30.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.02  # between two looks at something that tells nobody when it changes
WORKER = re.compile(r"Started server process \[(\d+)\]")
FAILURE = re.compile(r"Traceback|\bERROR\b|\bCRITICAL\b")

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")


class Process:
    """A server that this test started, and its port."""

    port_option = "--port={port}"

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path, cwd: Path = ROOT) -> None:
        self.port = free_port()
        self._log = log
        with log.open("wb") as said:
            self.popen = subprocess.Popen(
                [sys.executable, *command, self.port_option.format(port=self.port)],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its workers can be ended with it
            )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def said(self) -> str:
        """All it has written so far."""
        return self._log.read_text("utf-8")

    def worker_pids(self) -> list[int]:
        """All that were ever started, in a server whose log says so."""
        return [int(pid) for pid in WORKER.findall(self.said())]

    def wait_until_ready(self) -> None:
        """uvicorn listens when the service is up."""
        wait_until(self._is_ready, READY_SECONDS, f"{self.popen.args!r} does not listen")

    def _is_ready(self) -> bool:
        assert self.popen.poll() is None, self.said()
        return is_listening(self.port)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> None:
        """Leave nothing of it, whatever has become of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def terminate(self) -> None:
        self.popen.terminate()

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self.popen.wait(STOP_SECONDS)

    def memory(self) -> int:
        """Bytes of it that are in memory."""
        pages = (Path("/proc") / str(self.popen.pid) / "statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def open_sockets(self) -> int:
        """How many connections it holds, and what it listens on."""
        return open_sockets(self.popen.pid)


class Serve(Process):
    """`python main.py serve`."""

    def __init__(self, options: Sequence[str], environment: dict[str, str], log: Path) -> None:
        super().__init__(["main.py", "serve", *options], environment, log)


class Gunicorn(Process):
    """gunicorn by deploy/gunicorn.conf.py."""

    port_option = "--bind=127.0.0.1:{port}"

    def __init__(self, options: Sequence[str], environment: dict[str, str], log: Path) -> None:
        command = ["-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "main:app", *options]
        super().__init__(command, environment, log)


@contextmanager
def running(number: int, command: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[list[Process]]:
    """So many processes at once."""
    processes = [Process(command, environment, folder / f"process-{index}.log") for index in range(number)]
    try:
        for process in processes:
            process.wait_until_ready()
        yield processes
    finally:
        for process in processes:
            process.end()


def environment_of(projects: str, database_url: str, broker_url: str = "memory://", **settings: str) -> dict[str, str]:
    """These sub-projects, on this database and broker."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("APP_")},
        "APP_ENV": "testing",
        "APP_PROJECTS": projects,
        "APP_DATABASE_URL": database_url,
        "APP_BROKER_URL": broker_url,
        "APP_LOG_DIR": "",
        "APP_LOG_LEVEL": "WARNING",
        "NO_COLOR": "1",
        **settings,
    }


@contextmanager
def services(number: int, environment: dict[str, str], folder: Path, *options: str) -> Iterator[list[Process]]:
    """So many processes of `python main.py serve`.

    Those that the test leaves must stop when they are told to, and none may have said that anything failed.
    """
    with running(number, ["main.py", "serve", *options], environment, folder) as processes:
        yield processes
        left = [process for process in processes if process.popen.poll() is None]
        for process in left:
            process.terminate()
        assert [process.wait() for process in left] == [0] * len(left)
        assert [said for process in processes if FAILURE.search(said := process.said())] == []


def open_sockets(pid: int) -> int:
    return sum(_target(file).startswith("socket:") for file in (Path("/proc") / str(pid) / "fd").iterdir())


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_until(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Look again and again; in an async test by `asyncio.to_thread`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, otherwise
        time.sleep(LOOK_SECONDS)
