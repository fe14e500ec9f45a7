"""The service of each test: settings, database and folders of its own, on SQLite and on PostgreSQL."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from starlette.testclient import TestClient

from tests.support.guards import forget_settings, refuse_own_data

forget_settings(os.environ)
sys.addaudithook(refuse_own_data)

# The same examples in every run, so that nobody's change fails by chance; as many as a few seconds allow.
hypothesis_settings.register_profile(
    "tests",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.load_profile("tests")

from api import create_app  # noqa: E402
from api.shopdemo.schemas import Goods  # noqa: E402
from extensions.security import Tokens  # noqa: E402
from settings.testing_config import TestingSettings  # noqa: E402
from tests.support.catalogue import fill  # noqa: E402
from tests.support.databases import (  # noqa: E402
    PostgresTemplate,
    SqliteTemplate,
    miss,
    postgres_server,
    run,
    why_unreachable,
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, behind the shuffling: at the end no worker waits for another's."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    return SqliteTemplate(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[PostgresTemplate | str]:
    """What PostgreSQL databases are copied from, or why there is none."""
    server = postgres_server()
    if reason := why_unreachable(server):
        yield reason
        return
    template = PostgresTemplate(server)
    yield template
    template.drop()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    """Which database; `only_sqlite` and `only_postgres` of tests.support.databases choose one."""
    name: str = request.param
    return name


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    template: SqliteTemplate | PostgresTemplate | str = request.getfixturevalue(f"{backend}_template")
    if isinstance(template, str):
        miss(backend, template)
    else:
        with template.copy(tmp_path) as url:
            yield url


@pytest.fixture
def settings(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> TestingSettings:
    """`@pytest.mark.parametrize("settings", [{…}], indirect=True)` changes some."""
    changes: dict[str, Any] = getattr(request, "param", {})
    folders = {"pictures_dir": tmp_path / "pictures"}
    return TestingSettings(**{"database_url": database_url, "access_log": False, **folders, **changes})


@pytest.fixture
def app(settings: TestingSettings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """The running service."""
    with TestClient(app) as client:
        yield client


@pytest.fixture
async def async_client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The running service for tests that do several things at once (`@pytest.mark.anyio`)."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        yield client


@pytest.fixture
def tokens(settings: TestingSettings) -> Tokens:
    return Tokens.of(settings)


@pytest.fixture
def admin(tokens: Tokens) -> dict[str, str]:
    """The headers of an administrator."""
    return {"Authorization": f"Bearer {tokens.sign('alice', frozenset({'admin'}), 60)}"}


@pytest.fixture
def customer(tokens: Tokens) -> dict[str, str]:
    """The headers of somebody who may not change goods."""
    return {"Authorization": f"Bearer {tokens.sign('bob', frozenset(), 60)}"}


@pytest.fixture
def catalogue(settings: TestingSettings) -> dict[str, Goods]:
    """The goods of the small shop of tests.support.catalogue, by SKU."""
    return run(fill(settings))
