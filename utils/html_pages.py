"""Pages for browsers: templates of ours, served so that they load nothing from elsewhere and nothing inline."""

from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

NOTHING_ELSE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SCRIPTED = f"{NOTHING_ELSE}; script-src 'self'; connect-src 'self'"
STYLED = f"{SCRIPTED}; style-src 'self'; img-src 'self'"


def render(request: Request, template: Path, policy: str, **values: Any) -> Response:
    """Fill a template's `{name}` with escaped values; it always has root, title, version and openapi_url."""
    text = Markup(template.read_text("utf-8")).format(  # noqa: S704 - our own file; the values are escaped
        root=root_path(request),
        title=request.app.title,
        version=request.app.version,
        openapi_url=f"{root_path(request)}{request.app.openapi_url}",
        **values,
    )
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"})


def root_path(request: Request) -> str:
    """The path under which a proxy shows the service, without a slash at the end."""
    return str(request.scope.get("root_path", "")).rstrip("/")
