"""What the tutorial's chat does, so that the fault tests can be seen to fail: it is no part of the service.

Everybody is in one list of one process, and is told one after the other.
"""

from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect


class ConnectionManager:
    """The sockets of this process."""

    def __init__(self) -> None:
        self._present: list[tuple[str, WebSocket]] = []

    async def add(self, user: str, socket: WebSocket) -> None:
        await socket.accept()
        self._present.append((user, socket))

    def drop(self, user: str, socket: WebSocket) -> None:
        self._present.remove((user, socket))

    async def tell_everybody(self, frame: dict[str, Any]) -> None:
        for _, socket in self._present:
            await socket.send_json(frame)

    async def tell(self, user: str, frame: dict[str, Any]) -> None:
        for name, socket in self._present:
            if name == user:
                await socket.send_json(frame)


app = FastAPI()
manager = ConnectionManager()


@app.websocket("/ws/{user}")
async def chat(socket: WebSocket, user: str) -> None:
    await manager.add(user, socket)
    await manager.tell_everybody({"user": user, "message": "进入聊天"})
    try:
        while True:
            said = await socket.receive_json()
            if to := said.get("send_user"):
                await socket.send_json(said)
                await manager.tell(to, said)
            else:
                await manager.tell_everybody({"user": user, "message": said["message"]})
    except WebSocketDisconnect:
        manager.drop(user, socket)
        await manager.tell_everybody({"user": user, "message": "离开"})
