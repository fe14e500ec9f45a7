"""The tutorial's chat: a list of sockets in each room, and JSON written anew for every one of them."""

from collections import defaultdict
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect


class ConnectionManager:
    """The sockets of one room."""

    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []

    async def connect(self, socket: WebSocket) -> None:
        await socket.accept()
        self.sockets.append(socket)

    def disconnect(self, socket: WebSocket) -> None:
        self.sockets.remove(socket)

    async def broadcast(self, frame: dict[str, Any]) -> None:
        for socket in list(self.sockets):
            await socket.send_json(frame)


def make_app() -> FastAPI:
    app = FastAPI()
    rooms: defaultdict[str, ConnectionManager] = defaultdict(ConnectionManager)

    @app.websocket("/ws/{room}/{user}")
    async def chat(socket: WebSocket, room: str, user: str) -> None:
        manager = rooms[room]
        await manager.connect(socket)
        try:
            await manager.broadcast({"user": user, "message": "进入聊天"})
            while True:
                said = await socket.receive_json()
                await manager.broadcast({"user": user, "message": said["message"]})
        except WebSocketDisconnect:
            manager.disconnect(socket)
            await manager.broadcast({"user": user, "message": "离开"})

    return app
