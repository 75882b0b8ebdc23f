"""Databases for the tests that need a real one: a file of SQLite's, and a PostgreSQL server a test process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stentor.testing.postgres import Postgres, run_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The server of this test process. Whoever stops it starts it again."""
    with run_postgres() as server:
        yield server


@pytest.fixture
async def postgres(postgres_server: Postgres) -> AsyncIterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    async with postgres_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database; the test runs once with each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'stentor.db'}"
    url: str = request.getfixturevalue("postgres")
    return url
