"""Answers to GET that need no new work: 304 for what the client has, and bytes that are kept while data stays."""

from collections.abc import Hashable
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from starlette.types import Message, Receive, Scope, Send

from utils.etags import matches

Headers = list[tuple[bytes, bytes]]

_NOT_MODIFIED_HEADERS = frozenset({b"etag", b"cache-control", b"vary", b"content-location", b"expires"})
_ENTRY_OVERHEAD = 500  # bytes of keys and headers, about


class Cache(Protocol):
    """Keeps values for as long as the data has not changed (`extensions.cache`)."""

    def version(self) -> int | None: ...

    def get(self, key: Hashable) -> Any | None: ...

    def put(self, key: Hashable, value: Any, size: int, version: int | None) -> None: ...


class Answer(NamedTuple):
    """A whole answer of status 200."""

    headers: Headers
    etag: str
    body: bytes


class Recorder:
    """Stands between a route and `send`: gives the answer an ETag, turns it into 304, remembers it."""

    def __init__(self, send: Send, if_none_match: str | None) -> None:
        self.answer: Answer | None = None
        self._send = send
        self._if_none_match = if_none_match
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        """Hold the start of a 200 back until its body is there; let everything else through."""
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._start = message
        elif self._start is None:
            await self._send(message)
        elif message.get("more_body"):
            start, self._start = self._start, None
            await self._send(start)
            await self._send(message)
        else:
            self.answer = _answer(self._start["headers"], message.get("body", b""))
            await send_answer(self.answer, self._if_none_match, self._send)


async def send_answer(answer: Answer, if_none_match: str | None, send: Send) -> None:
    """Send a ready answer, or 304 when the client has it."""
    if if_none_match is not None and matches(if_none_match, answer.etag):
        headers = [header for header in answer.headers if header[0] in _NOT_MODIFIED_HEADERS]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


async def answer_from(cache: Cache, scope: Scope, receive: Receive, send: Send, route: Any) -> None:
    """Answer a GET from `cache`, or let `route` (an ASGI app) answer and keep that."""
    key = (scope["path"], scope["query_string"])
    if_none_match = header(scope, b"if-none-match")
    known: Answer | None = cache.get(key)
    if known is not None:
        await send_answer(known, if_none_match, send)
        return
    version = cache.version()
    recorder = Recorder(send, if_none_match)
    await route(scope, receive, recorder.send)
    if recorder.answer is not None:
        cache.put(key, recorder.answer, len(recorder.answer.body) + _ENTRY_OVERHEAD, version)


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def _answer(headers: Headers, body: bytes) -> Answer:
    for name, value in headers:
        if name == b"etag":
            return Answer(headers, value.decode("latin-1"), body)
    etag = f'"{blake2b(body, digest_size=9).hexdigest()}"'
    return Answer([*headers, (b"etag", etag.encode()), (b"cache-control", b"no-cache")], etag, body)
