"""The load client: `client.c`, compiled for the run, and the ways of speaking that it is told."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.http.load import LoadError
from bench.http.server import ROOT, Server

SOURCE = Path(__file__).with_name("client.c")
CACHE = ROOT / ".cache" / "bench-chat"
EXECUTABLE = CACHE / "client"
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Dialect:
    """How one speaks to a server; the formats take the numbers of a room and of a user."""

    path: str
    hello: str = ""
    """What opens a session of Socket.IO; empty for a plain WebSocket."""
    head: str = '{"message": "'
    tail: str = '"}'

    def address(self, port: int, room: int, user: int) -> str:
        return f"ws://127.0.0.1:{port}{_filled(self.path, room, user)}"

    def greeting(self, room: int, user: int) -> str:
        return _filled(self.hello, room, user)


def _filled(format_: str, room: int, user: int) -> str:
    return format_ % (room, user) if "%d" in format_ else format_


PLAIN = Dialect("/ws/r%d/u%d")
OURS = Dialect("/websocketdemo/ws/r%d/u%d")
SOCKET_IO = Dialect(
    "/socket.io/?EIO=4&transport=websocket", '40{"room":"r%d","user":"u%d"}', '42["message",{"message": "', '"}]'
)


@dataclass(frozen=True)
class Heard:
    """What one command saw; times in seconds."""

    seconds: float
    heard: int
    finished: int
    bytes: int
    client: float
    """The client's own processor time as a share of its core."""
    p50: float
    p99: float


@dataclass(frozen=True)
class Client:
    """The client process of one server; it keeps its sockets alive between the commands."""

    name: str
    process: subprocess.Popen[str]

    def order(self, *words: object) -> Heard:
        """Give one command of `client.c` and wait until it is done."""
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):  # if it has gone, it has said why
            print(*words, file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or '{"error": "the load client has gone"}')
        if "error" in answer:
            raise LoadError(f"{self.name}: {answer['error']}")
        return Heard(**answer)


def compile_client() -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise LoadError("the load client is written in C, and there is no compiler `cc` (apt-get install gcc)")
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-o", str(EXECUTABLE), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"the load client does not compile:\n{done.stderr}")


@contextmanager
def client_of(server: Server, dialect: Dialect) -> Iterator[Client]:
    """A client without sockets, which drops those it opened when the block ends."""
    command = [str(EXECUTABLE), str(server.port), dialect.path, dialect.hello, dialect.head, dialect.tail]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield Client(server.name, process)
        finally:
            process.terminate()
