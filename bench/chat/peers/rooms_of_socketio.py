"""A chat on python-socketio with its rooms."""

from typing import Any

import socketio


def make_app() -> socketio.ASGIApp:
    server = socketio.AsyncServer(async_mode="asgi", always_connect=True)  # so that a join can be told on connecting
    places: dict[str, tuple[str, str]] = {}

    async def tell(sid: str, message: str) -> None:
        room, user = places[sid]
        await server.emit("message", {"user": user, "message": message}, room=room)

    async def enter(sid: str, _environ: dict[str, Any], auth: dict[str, str]) -> None:
        places[sid] = auth["room"], auth["user"]
        await server.enter_room(sid, auth["room"])
        await tell(sid, "进入聊天")

    async def hear(sid: str, said: dict[str, str]) -> None:
        await tell(sid, said["message"])

    async def leave(sid: str, _reason: str) -> None:
        await tell(sid, "离开")
        del places[sid]

    server.on("connect", enter)
    server.on("message", hear)
    server.on("disconnect", leave)
    return socketio.ASGIApp(server)
