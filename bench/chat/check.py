"""Before anything is measured: a chat must tell the right people the right thing."""

import json
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from bench.chat.client import Dialect
from bench.http.load import LoadError
from bench.http.server import Server

ROOM, OTHER_ROOM = 900_001, 900_002
MESSAGES = 20
PATIENCE_SECONDS = 10.0


def check(server: Server, dialect: Dialect) -> None:
    """Raise LoadError unless it does."""
    try:
        _talk(server, dialect)
    except (OSError, WebSocketException) as error:  # a TimeoutError is an OSError
        raise LoadError(f"{server.name}: {error!r} while three people talked") from error


def _talk(server: Server, dialect: Dialect) -> None:
    """Three people in two rooms: what one says comes to both of the room, in order, and to nobody else."""
    with ExitStack() as stack:
        people = [
            stack.enter_context(connect(dialect.address(server.port, room, user), open_timeout=PATIENCE_SECONDS))
            for user, room in enumerate((ROOM, ROOM, OTHER_ROOM))
        ]
        for user, room in enumerate((ROOM, ROOM, OTHER_ROOM)):
            if dialect.hello:
                people[user].recv(PATIENCE_SECONDS)
                people[user].send(dialect.greeting(room, user))
            _hear(people[user], dialect)  # that it has come in itself
        said = [f"Nr. {number}: 你好 & <hi>" for number in range(MESSAGES)]
        for text in said:
            people[0].send(f"{dialect.head}{text}{dialect.tail}")
        for listener in people[:2]:
            _expect(server.name, listener, dialect, "u0", said)
        people[2].send(f"{dialect.head}alone{dialect.tail}")
        _expect(server.name, people[2], dialect, "u2", ["alone"])


def _expect(name: str, listener: ClientConnection, dialect: Dialect, user: str, said: list[str]) -> None:
    heard: list[dict[str, Any]] = []
    while len(heard) < len(said):
        frame = _hear(listener, dialect)
        if frame["message"] not in ("进入聊天", "离开"):
            heard.append(frame)
    if [(frame["user"], frame["message"]) for frame in heard] != [(user, text) for text in said]:
        raise LoadError(f"{name}: {heard} is not what {user} said")


def _hear(listener: ClientConnection, dialect: Dialect) -> dict[str, Any]:
    """The next frame of the chat; TimeoutError when there is none."""
    while True:
        text = str(listener.recv(PATIENCE_SECONDS))
        if not dialect.hello:
            return dict(json.loads(text))
        if text.startswith("42"):
            return dict(json.loads(text[2:])[1])
        if text == "2":
            listener.send("3")
