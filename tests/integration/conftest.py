"""What tests need that is real: a file of SQLite's, and a PostgreSQL and a NATS server a test process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stentor.testing.nats import RunningNats, run_nats
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


@pytest.fixture(scope="session")
def nats_server() -> Iterator[RunningNats]:
    """The server of this test process: one node with JetStream. Whoever stops it starts it again."""
    with run_nats() as server:
        yield server


@pytest.fixture
def nats_url(nats_server: RunningNats) -> str:
    """Where this process' NATS server is reached; everybody may do everything."""
    return nats_server.url


@pytest.fixture
async def queue_name(nats_server: RunningNats) -> AsyncIterator[str]:
    """A name for a queue of this test's own; the streams and buckets `<name>_…` are deleted at the end."""
    async with nats_server.queue_name() as name:
        yield name
