"""The limit: an ASGI callable that answers ready bytes, without framework, database or routing."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Bodies(dict[str, tuple[Message, Message]]):
    """The two messages of each answer, by the last word of the path; read at its first request."""

    def __missing__(self, name: str) -> tuple[Message, Message]:
        body = (Path(os.environ["BENCH_BODIES"]) / f"{name}.json").read_bytes()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        status = 201 if name == "create" else 200
        self[name] = (
            {"type": "http.response.start", "status": status, "headers": headers},
            {"type": "http.response.body", "body": body},
        )
        return self[name]


def make_app() -> App:
    """Answer the files of the folder BENCH_BODIES: `/…/one` with `one.json`."""
    bodies = Bodies()

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return
        start, body = bodies[scope["path"].rpartition("/")[2]]
        while scope["method"] == "POST" and (await receive()).get("more_body"):
            pass
        await send(start)
        await send(body)

    return app
