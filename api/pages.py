"""The pages people open in a browser: the landing page, Swagger UI, ReDoc, and the files these load."""

import mimetypes
import os
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from markupsafe import Markup
from pydantic import BaseModel
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from utils.html_pages import SCRIPTED, STYLED, render, root_path
from utils.ready_answers import Recorder, header
from utils.response_code import Envelope, resp_200
from utils.routing import EnvelopeRoute, mount_flat

HERE = Path(__file__).parent
STATIC = HERE / "static"
TEMPLATES = HERE / "templates"
MAX_ACCEPT = 1_000  # characters of an Accept header that are looked at; browsers send 150
MAX_CHOICES = 20
METHODS = ("get", "post", "put", "patch", "delete")

# Swagger UI draws its icons from data: addresses, and pictures that an
# operation answers with from blob: ones. ReDoc has an icon font in a data: address and makes empty <style> elements,
# which it fills through the CSSOM: the hash is the one of the empty string.
DOCS_POLICY = f"{STYLED} data: blob:"
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
REDOC_POLICY = f"{SCRIPTED}; style-src 'self' {EMPTY_STYLE}; img-src 'self' data:; font-src data:"

# The repeated pieces of the landing page. Markup.format() escapes whatever is put in.
PAGE_LINK = Markup('<a class="card" href="{root}{path}"><b>{summary}</b><span>{path}</span></a>')
PROJECT = Markup("<li><b>{name}</b> <span>{text}</span></li>")
NO_PROJECT = Markup("<li>None runs here.</li>")
GROUP = Markup('<section class="group"><h3>{name} <small>{tag}</small></h3><ul>{lines}</ul></section>')
LINE = Markup(
    '<li><a href="{root}/docs{anchor}"><code class="method {method}">{method}</code><code class="path">{path}</code>'
    "<span>{summary}</span>{lock}</a></li>"
)
LOCK = Markup('<i class="lock" title="needs an access token">token</i>')

# Some systems register .js as text/plain, and a browser told not to sniff then refuses to run it.
mimetypes.add_type("text/javascript", ".js")


class ServiceInfo(BaseModel):
    """What a program learns at `/`: which service this is and which sub-projects run here."""

    name: str
    version: str
    projects: list[str]


class Operation(NamedTuple):
    """One line of the API map."""

    method: str
    path: str
    summary: str
    tag: str
    secured: bool
    is_page: bool
    anchor: str


class StaticPages(StaticFiles):
    """Static files: vendored ones carry their version in the path and never change, ours are asked for again."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        vendored = (STATIC / "vendor").resolve() in Path(full_path).parents
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if vendored else "no-cache"
        return response


def mount_pages(app: FastAPI, projects: Mapping[str, str]) -> None:
    """Add `/`, `/docs`, `/redoc`, `/favicon.ico` and `/static`; `projects` maps a running sub-project to a sentence.

    What a sub-project has in a folder `static` is at `/static/<its name>`.
    """
    files = StaticPages(directory=STATIC)
    router = APIRouter(route_class=EnvelopeRoute, tags=["service"])

    async def show_service(request: Request) -> Response:
        """What runs here: an envelope for programs, a page for browsers."""
        if prefers_html(request.headers.get("accept", "")):
            answer = render(request, TEMPLATES / "home.html", STYLED, **_home_values(request, projects))
        else:
            answer = resp_200(data=ServiceInfo(name=app.title, version=app.version, projects=list(projects)))
        answer.headers["Vary"] = "Accept"
        return answer

    async def show_favicon(request: Request) -> Response:
        return await files.get_response("favicon.ico", request.scope)

    router.add_api_route(
        "/",
        show_service,
        summary="The service and its sub-projects",
        responses={200: {"model": Envelope[ServiceInfo], "content": {"text/html": {"schema": {"type": "string"}}}}},
    )
    mount_flat(app, router)
    _revalidate_description(app)
    app.add_route("/docs", _viewer("docs.html", DOCS_POLICY, "swagger-ui-dist"), include_in_schema=False)
    app.add_route("/redoc", _viewer("redoc.html", REDOC_POLICY, "redoc"), include_in_schema=False)
    app.add_route("/favicon.ico", show_favicon, include_in_schema=False)
    for folder in (HERE / name / "static" for name in projects):
        if folder.is_dir():
            own = GZipMiddleware(StaticPages(directory=folder), compresslevel=6)
            app.mount(f"/static/{folder.parent.name}", own, name=f"static-{folder.parent.name}")
    app.mount("/static", GZipMiddleware(files, compresslevel=6), name="static")


def prefers_html(accept: str) -> bool:
    """Whether an Accept header wants HTML more than JSON; on a tie JSON is sent."""
    quality: dict[str, float] = {}
    for choice in accept[:MAX_ACCEPT].split(",")[:MAX_CHOICES]:
        header = Message()
        header["content-type"] = choice
        try:
            quality[choice.partition(";")[0].strip().lower()] = float(str(header.get_param("q", "1")))
        except ValueError:
            continue
    anything = quality.get("*/*", 0.0)
    html = quality.get("text/html", quality.get("text/*", anything))
    return html > quality.get("application/json", quality.get("application/*", anything))


def list_operations(schema: Mapping[str, Any]) -> Iterator[Operation]:
    """Walk the operations of an OpenAPI description in its order."""
    for path, item in schema["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                tag = operation.get("tags", ["default"])[0]
                content = operation.get("responses", {}).get("200", {}).get("content", {})
                yield Operation(
                    method=method.upper(),
                    path=path,
                    summary=operation.get("summary", ""),
                    tag=tag,
                    secured={} not in operation.get("security", [{}]),
                    is_page=method == "get" and "{" not in path and list(content) == ["text/html"],
                    anchor=f"#/{quote(tag)}/{quote(operation.get('operationId', ''))}",
                )


def _revalidate_description(app: FastAPI) -> None:
    """Let a browser ask whether the description has changed: it is large, and `/docs` loads it at every visit."""
    (route,) = (route for route in app.routes if isinstance(route, Route) and route.path == app.openapi_url)
    show = route.app

    async def show_or_304(scope: Scope, receive: Receive, send: Send) -> None:
        await show(scope, receive, Recorder(send, header(scope, b"if-none-match"), lambda _: None).send)

    route.app = show_or_304


def _viewer(template: str, policy: str, package: str) -> Callable[[Request], Awaitable[Response]]:
    """A page around a vendored package, of which exactly one version must lie there."""
    (directory,) = STATIC.glob(f"vendor/{package}-*")

    async def show_viewer(request: Request) -> Response:
        return render(request, TEMPLATES / template, policy, vendor=f"vendor/{directory.name}")

    return show_viewer


def _home_values(request: Request, projects: Mapping[str, str]) -> dict[str, Any]:
    operations = list(list_operations(request.app.openapi()))
    root = root_path(request)
    first = _first_request(operations, projects)
    return {
        "count": len(operations),
        "first_path": f"{root}{first}",
        "command": f"curl {shlex.quote(str(request.base_url).rstrip('/') + first)}",
        "pages": _join(PAGE_LINK.format(root=root, **page._asdict()) for page in operations if page.is_page),
        "projects": _join(PROJECT.format(name=name, text=text) for name, text in projects.items()) or NO_PROJECT,
        "groups": _groups(operations, root, projects),
    }


def _first_request(operations: Iterable[Operation], projects: Mapping[str, str]) -> str:
    """The first thing anybody can read without a token in a sub-project."""
    for operation in operations:
        open_to_all = operation.method == "GET" and not operation.secured and "{" not in operation.path
        if open_to_all and not operation.is_page and _owner(operation.path, projects):
            return operation.path
    return "/"


def _groups(operations: Iterable[Operation], root: str, projects: Mapping[str, str]) -> Markup:
    """The API map: the operations by sub-project and tag; the sub-projects first, then what they share."""
    groups: dict[tuple[str, str], list[Operation]] = {}
    for operation in operations:
        groups.setdefault((_owner(operation.path, projects), operation.tag), []).append(operation)
    rank = {name: place for place, name in enumerate([*projects, ""])}
    return _join(
        GROUP.format(
            name=owner or tag,
            tag=tag if owner else "",
            lines=_join(LINE.format(root=root, lock=LOCK if o.secured else "", **o._asdict()) for o in members),
        )
        for (owner, tag), members in sorted(groups.items(), key=lambda group: rank[group[0][0]])
    )


def _owner(path: str, projects: Mapping[str, str]) -> str:
    """The sub-project a path belongs to, or nothing for what all share."""
    name = path.split("/")[1]
    return name if name in projects else ""


def _join(pieces: Iterable[Markup]) -> Markup:
    return Markup("\n").join(pieces)
