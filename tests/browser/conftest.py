"""A real Chromium, in which every host but the service itself is blocked, and the service in a thread of its own."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Response, Security
from fastapi.responses import FileResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, Route, expect, sync_playwright

from api import create_app, health
from api.pages import STATIC
from api.projects import find_projects
from extensions import sampler
from extensions.database import connect
from settings.base import Settings
from settings.testing_config import TestingSettings
from tests.support.catalogue import fill
from tests.support.processes import READY_SECONDS, wait_until
from utils.routing import EnvelopeRoute

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
VIEWS = {"phone": (390, 844, "dark"), "desktop": (1440, 900, "light")}
NEVER = 24 * 60 * 60  # seconds
PATIENCE = 15_000  # milliseconds until an element that does not come counts as missing
expect.set_options(timeout=PATIENCE)

# An operation of our own, so that these tests stay right when the sub-projects change or are removed.
probe = APIRouter(prefix="/probe", tags=["probe"], route_class=EnvelopeRoute)


@probe.get("/token")
async def read_probe_token(
    credentials: Annotated[HTTPAuthorizationCredentials, Security(HTTPBearer(scheme_name="probe"))],
) -> str:
    """Say which token came."""
    return credentials.credentials


@probe.get("/picture", response_class=Response, responses={200: {"content": {"image/x-icon": {}}}})
async def show_probe_picture() -> FileResponse:
    """Show a picture."""
    return FileResponse(STATIC / "favicon.ico", media_type="image/x-icon")


# What the browser gives up by itself when it goes to another page, such as the icon; failures have other texts.
GIVEN_UP = "net::ERR_ABORTED"


class Visitor:
    """Opens pages of the service and notes everything that must not happen there."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser = browser
        self.address = address
        self.problems: list[str] = []

    @contextmanager
    def visit(self, path: str, view: str = "desktop") -> Iterator[Page]:
        """Show a page of the service as a phone or a desktop does."""
        width, height, scheme = VIEWS[view]
        context = self._browser.new_context(
            base_url=self.address,
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            service_workers="block",
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(PATIENCE)
        context.route(self._is_elsewhere, self._refuse)
        page = context.new_page()
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("requestfailed", self._note_failure)
        try:
            page.goto(path)
            yield page
        finally:
            context.close()

    def _is_elsewhere(self, url: str) -> bool:
        return not url.startswith((f"{self.address}/", "data:", "blob:"))

    def _refuse(self, route: Route) -> None:
        self.problems.append(f"another host: {route.request.url}")
        route.abort()

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def _note_failure(self, request: Request) -> None:
        if request.failure != GIVEN_UP:
            self.problems.append(f"failed: {request.url}: {request.failure}")


# Not for the session: while Playwright lives, an event loop runs in this thread, and async tests cannot start theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_find_chromium(playwright), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the whole service, served with a fresh database and the small shop of tests.support.catalogue."""
    folder = tmp_path_factory.mktemp("service")
    database_url = f"sqlite+aiosqlite:///{(folder / 'browser.db').as_posix()}"
    settings = TestingSettings(database_url=database_url, pictures_dir=folder / "pictures")
    app = create_app(settings)
    app.include_router(probe)
    with ExitStack() as served:
        # It lives beside other tests' services in this process, whose gauges it would set once a second.
        with pytest.MonkeyPatch.context() as only_here:
            only_here.setattr(sampler, "LOOK_SECONDS", NEVER)
            only_here.setattr(health, "LOOK_SECONDS", NEVER)
            port = served.enter_context(serve(app, settings))
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def visitor(chromium: Browser, address: str) -> Iterator[Visitor]:
    """Fails the test when a page asked another host or complained about anything."""
    visitor = Visitor(chromium, address)
    yield visitor
    assert visitor.problems == []


def _find_chromium(playwright: Playwright) -> str:
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), playwright.chromium.executable_path)
    if not Path(found).exists():
        pytest.skip(f"no browser: install one of {', '.join(CHROMIUM_NAMES)}, or run `playwright install chromium`")
    return found


async def _prepare(settings: Settings) -> None:
    database = await connect(settings)
    for project in find_projects():
        if migrations := project.migrations:
            await migrations.upgrade(database.engine)
    await database.close()
    await fill(settings)


@contextmanager
def serve(app: FastAPI, settings: Settings) -> Iterator[int]:
    """Fill the database and run uvicorn in a thread, which has started when this is entered."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))

    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]

    def run() -> None:
        with listener:  # closed when this fails, so that nobody waits for an answer
            asyncio.run(_prepare(settings))
            server.run(sockets=[listener])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), READY_SECONDS, "it does not start")
        assert server.started, "it could not start"
        yield port
    finally:
        server.should_exit = True
        thread.join()
