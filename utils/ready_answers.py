"""Answers to GET that need no new work: 304 for what the client has, and bytes that are kept while data stays."""

import asyncio
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.etags import matches

Headers = list[tuple[bytes, bytes]]

_NOT_MODIFIED_HEADERS = frozenset({b"etag", b"cache-control", b"vary", b"content-location", b"expires"})
MAX_QUERY = 1_000  # bytes; nobody asks the same long query twice
_ENTRY_OVERHEAD = 500  # bytes of keys and headers, about


class Cache(Protocol):
    """Keeps values for as long as the data has not changed (`extensions.cache`)."""

    under_way: dict[Hashable, asyncio.Event]

    def version(self) -> int | None: ...

    def get(self, key: Hashable) -> Any | None: ...

    def put(self, key: Hashable, value: Any, size: int, version: int | None) -> None: ...


class Answer(NamedTuple):
    """A whole answer of status 200, and which route gave it."""

    headers: Headers
    etag: str
    body: bytes
    route: Any = None


class Revalidation:
    """Stands between a route and `send`: an answer whose own ETag the client has becomes 304."""

    def __init__(self, send: Send, if_none_match: str) -> None:
        self._send = send
        self._if_none_match = if_none_match
        self._is_known = False

    async def send(self, message: Message) -> None:
        """Send the message, or nothing but the 304."""
        if message["type"] == "http.response.start" and message["status"] == 200:
            etag = _etag(message["headers"])
            self._is_known = etag is not None and matches(self._if_none_match, etag)
            if self._is_known:
                await _send_not_modified(message["headers"], self._send)
        if not self._is_known:
            await self._send(message)


class Recorder:
    """Stands between a cached route and `send`: gives the answer an ETag, turns it into 304, and lets it be kept."""

    def __init__(self, send: Send, if_none_match: str | None, keep: Callable[[Answer], None]) -> None:
        self._send = send
        self._if_none_match = if_none_match
        self._keep = keep
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
            answer = _answer(self._start["headers"], message.get("body", b""))
            self._keep(answer)  # first: a client that reads slowly must keep nobody else waiting
            await send_answer(answer, self._if_none_match, self._send)


async def send_answer(answer: Answer, if_none_match: str | None, send: Send) -> None:
    """Send a ready answer, or 304 when the client has it."""
    if if_none_match is not None and matches(if_none_match, answer.etag):
        await _send_not_modified(answer.headers, send)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


async def answer_and_keep(cache: Cache, scope: Scope, receive: Receive, send: Send, route: ASGIApp) -> None:
    """Let `route` answer a GET and keep its answer; whoever asks the same meanwhile waits for it."""
    key, if_none_match = cache_key(scope), header(scope, b"if-none-match")
    if cache.version() is None or len(scope["query_string"]) > MAX_QUERY:
        await route(scope, receive, Recorder(send, if_none_match, lambda _: None).send)
        return
    if waiting := cache.under_way.get(key):
        await waiting.wait()
        if known := cache.get(key):
            await send_answer(known, if_none_match, send)
            return
    done = cache.under_way[key] = asyncio.Event()
    version = cache.version()

    def keep(answer: Answer) -> None:
        answer = answer._replace(route=scope.get("route"))
        cache.put(key, answer, len(answer.body) + len(key[0]) + len(key[1]) + _ENTRY_OVERHEAD, version)
        finish()

    def finish() -> None:
        done.set()
        if cache.under_way.get(key) is done:
            del cache.under_way[key]

    try:
        await route(scope, receive, Recorder(send, if_none_match, keep).send)
    finally:
        finish()


class ReadyAnswersMiddleware:
    """Answers what is kept before anything else looks at the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the kept answer, or pass the request on."""
        if scope["type"] == "http" and scope["method"] == "GET":
            cache: Cache | None = getattr(scope["app"].state, "cache", None)
            if cache is not None and (known := cache.get(cache_key(scope))):
                scope["route"] = known.route
                await send_answer(known, header(scope, b"if-none-match"), send)
                return
        await self.app(scope, receive, send)


def cache_key(scope: Scope) -> tuple[str, bytes]:
    """What makes two requests the same."""
    return scope["path"], scope["query_string"]


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


async def _send_not_modified(headers: Headers, send: Send) -> None:
    kept = [header for header in headers if header[0] in _NOT_MODIFIED_HEADERS]
    await send({"type": "http.response.start", "status": 304, "headers": kept})
    await send({"type": "http.response.body"})


def _etag(headers: Headers) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name == b"etag"), None)


def _answer(headers: Headers, body: bytes) -> Answer:
    etag = _etag(headers)
    if etag is None:
        etag = f'"{blake2b(body, digest_size=9).hexdigest()}"'
        headers = [*headers, (b"etag", etag.encode())]
    return Answer([*headers, (b"cache-control", b"no-cache")], etag, body)
