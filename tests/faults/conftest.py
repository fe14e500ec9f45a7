"""A service with shop and chat in a process of its own, on servers that only these tests use."""

from collections.abc import Iterator

import pytest

from tests.support.databases import PostgresTemplate
from tests.support.postgres_servers import OwnPostgres, own_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[OwnPostgres]:
    """A server that each test leaves as it found it."""
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def own_template(postgres_server: OwnPostgres) -> PostgresTemplate:
    """A migrated database on it, which is copied for each test."""
    return PostgresTemplate(postgres_server.url)
