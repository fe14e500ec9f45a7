"""From `/page` to `/page/` and back, by path alone: what a client says this host is called is not to be believed."""

from urllib.parse import quote

from fastapi.responses import RedirectResponse
from starlette.routing import Match, Router
from starlette.types import Receive, Scope, Send


def redirect_slashes(router: Router) -> None:
    """Lead whoever asks for a path that is there only with, or only without, a slash at its end to it."""
    otherwise = router.default

    async def redirect(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (path := _other_path(router, scope)):
            query = scope["query_string"].decode("latin-1")
            await RedirectResponse(f"{quote(path)}{'?' if query else ''}{query}")(scope, receive, send)
        else:
            await otherwise(scope, receive, send)

    router.default = redirect


def _other_path(router: Router, scope: Scope) -> str | None:
    path: str = scope["path"]
    if path.startswith("//"):  # it would be another host's address
        return None
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    asked = {**scope, "path": other}
    return other if any(route.matches(asked)[0] is not Match.NONE for route in router.routes) else None
