"""By which names the service may be asked for."""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from utils.custom_exc import BadRequest
from utils.exception_handlers import answer_error

AUTHORITY = re.compile(r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]*)?")
ANOTHER_HOST = "The service does not answer by the name in this Host header; APP_ALLOWED_HOSTS says by which it does."


class HostMiddleware:
    """Refuses requests and sockets for other hosts; Starlette's own does not say why, and knows no exceptions.

    Args:
        hosts: Names without a port; `*.example.com` is for all below it.
        exempt: Paths for requests by any name. Probes and Prometheus come by address, and no name that is asked for
            becomes part of what is answered there.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], exempt: frozenset[str]) -> None:
        self._app = app
        names = [host.lower() for host in hosts]
        self._names = frozenset(names)
        self._suffixes = tuple(name.removeprefix("*") for name in names if name.startswith("*"))
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_exempt(scope) or self._is_ours(scope):
            await self._app(scope, receive, send)
        else:
            await answer_error(BadRequest(ANOTHER_HOST))(scope, receive, send)

    def _is_exempt(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["path"] in self._exempt

    def _is_ours(self, scope: Scope) -> bool:
        authority = AUTHORITY.fullmatch(Headers(scope=scope).get("host", "").lower())
        return authority is not None and self._knows(authority["host"])

    def _knows(self, host: str) -> bool:
        return host in self._names or host.endswith(self._suffixes)
