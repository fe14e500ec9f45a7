"""An application whose requests need the processor for 2 ms."""

from time import perf_counter

from starlette.types import Receive, Scope, Send

SECONDS = 0.002


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    end = perf_counter() + SECONDS
    while perf_counter() < end:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
