"""PostgreSQL servers of a test's own, which may be stopped and frozen."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.engine import URL

from tests.support.databases import miss, why_unreachable
from tests.support.processes import PATIENCE, free_port, wait_until

USER = "postgres"


class OwnPostgres:
    """A server in a folder of its own; nobody but the test's machine may connect, and nothing is synced to disk."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.port = free_port()
        self.url = URL.create("postgresql+asyncpg", USER, host="127.0.0.1", port=self.port, database="postgres")
        self._programs, self._folder = programs, folder
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, USER)
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        self._run("initdb", *options)

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50"
        self._run("pg_ctl", "--wait", "--log", str(self._folder / "log"), "--options", options, "start")
        wait_until(lambda: why_unreachable(self.url) is None, PATIENCE, "PostgreSQL does not answer")

    def stop(self, mode: str = "immediate") -> None:
        """Stop as pg_ctl does; `immediate` is as good as a power failure."""
        self._run("pg_ctl", "--mode", mode, "stop")

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Leave nothing of it, whatever has become of it."""
        with suppress(OSError):
            self.thaw()
        with suppress(subprocess.CalledProcessError):
            self.stop()

    def _signal(self, number: signal.Signals) -> None:
        main = int((self._folder / "postmaster.pid").read_text().split()[0])
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(main)], capture_output=True, check=False, text=True)
        for pid in (main, *map(int, found.stdout.split())):
            with suppress(ProcessLookupError):  # a connection that just ended
                os.kill(pid, number)

    def _run(self, program: str, *options: str) -> None:
        command = [str(self._programs / program), "--pgdata", str(self._folder), *options]
        if os.getuid() == 0:
            command = ["runuser", "-u", USER, "--", *command]
        subprocess.run(command, cwd="/", check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A server that the test may stop and start again."""
    found = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
    if found is None:
        miss("postgres", "no initdb on this machine")
        return
    # Not in a folder of pytest's, which another user may not enter.
    with TemporaryDirectory() as folder:
        server = OwnPostgres(Path(found).parent, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.end()
