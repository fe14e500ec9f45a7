"""Every chat that is compared: how it is started, how one speaks to it, and why it cannot take part."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from bench.chat.client import CACHE, OURS, PLAIN, SOCKET_IO, Dialect
from bench.http.contestants import Place
from bench.http.load import LoadError
from bench.http.server import ROOT, Server, free_port, started

NODE_SOURCES = Path(__file__).with_name("node")
NODE_FOLDER = CACHE / "node"
Start = Callable[[str, Place], AbstractContextManager[Server]]


@dataclass(frozen=True)
class Contestant:
    """One chat."""

    name: str
    start: Start
    dialect: Dialect = PLAIN
    missing: Callable[[], str] = lambda: ""
    """Why it cannot take part; empty when it can."""


@contextmanager
def _run(
    name: str, place: Place, port: int, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Server]:
    """A server whose last words are added when it fails under load."""
    log = place.work / f"{name}.log"
    try:
        with started(name, command, port, place.core, environment, log) as server:
            yield server
    except LoadError as error:
        if str(error).startswith(f"{name}:"):
            raise LoadError(f"{error}\n{log.read_text(errors='replace')[-2000:]}".strip()) from error
        raise


def _uvicorn(factory: str, *options: str) -> Start:
    """A peer on uvicorn's own command, as its documentation starts it."""

    def start(name: str, place: Place) -> AbstractContextManager[Server]:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", f"bench.chat.peers.{factory}", "--factory", "--port", str(port)]
        command += ["--log-level", "warning", "--no-access-log", *options]
        return _run(name, place, port, command, os.environ)

    return start


def _command(*words: str) -> Start:
    """A peer that takes its port as the last argument."""

    def start(name: str, place: Place) -> AbstractContextManager[Server]:
        port = free_port()
        return _run(name, place, port, [*words, str(port)], os.environ)

    return start


def start_ours(name: str, place: Place) -> AbstractContextManager[Server]:
    """The real service by its own command: messages stored before they are told, ids, bounded queues; no limits."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("APP_")},
        "APP_ENV": "testing",
        "APP_PORT": str(port),
        "APP_PROJECTS": "websocketdemo",
        "APP_DATABASE_URL": f"sqlite+aiosqlite:///{place.work / f'chat-{port}.db'}",
        "APP_BROKER_URL": "memory://",
        "APP_LOG_DIR": "",
        "APP_LOG_LEVEL": "WARNING",
        "APP_CHAT_MESSAGES_PER_SECOND": "1000000",
        "APP_CHAT_SOCKETS_PER_ADDRESS": "100000",
        "APP_CHAT_SOCKETS_PER_USER": "100000",
    }
    command = [sys.executable, "main.py"]
    migrate = [*command, "migrate"]
    done = subprocess.run(migrate, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"{name}: main.py migrate failed:\n{done.stderr[-2000:]}")
    return _run(name, place, port, [*command, "serve"], environment)


def _no_socketio() -> str:
    return "" if importlib.util.find_spec("socketio") else "the package python-socketio is missing (make types)"


@cache
def _no_node() -> str:
    """Install the packages of the Node peers once, into the cache."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "node or npm is missing"
    for source in NODE_SOURCES.iterdir():
        if source.is_file():
            NODE_FOLDER.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, NODE_FOLDER)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    done = subprocess.run(command, cwd=NODE_FOLDER, capture_output=True, text=True, check=False)
    return f"npm install failed: {(done.stderr.splitlines() or ['?'])[0]}" if done.returncode else ""


def versions() -> str:
    """What the peers are, beside what `bench.http.machine` says."""
    found = [f"websockets {version('websockets')}"]
    if not _no_socketio():
        found.append(f"python-socketio {version('python-socketio')}")
    if not _no_node():
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        manifests = [json.loads((NODE_FOLDER / "node_modules" / name / "package.json").read_text()) for name in NODE]
        found += [f"Node {node.removeprefix('v')}", *(f"{one['name']} {one['version']}" for one in manifests)]
    return ", ".join(found)


NODE = ("ws", "socket.io")
NO_DEFLATE = ("--ws-per-message-deflate", "false")
CONTESTANTS = (
    Contestant("tutorial", _uvicorn("tutorial:make_app")),
    Contestant("tutorial, no deflate", _uvicorn("tutorial:make_app", *NO_DEFLATE)),
    Contestant("python-socketio", _uvicorn("rooms_of_socketio:make_app", *NO_DEFLATE), SOCKET_IO, _no_socketio),
    Contestant("socket.io", _command("node", str(NODE_FOLDER / "socketio.mjs")), SOCKET_IO, _no_node),
    Contestant("ws", _command("node", str(NODE_FOLDER / "ws.mjs")), PLAIN, _no_node),
    Contestant("us", start_ours, OURS),
    Contestant("limit", _command(sys.executable, "-m", "bench.chat.peers.limit")),
)
