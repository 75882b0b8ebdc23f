"""A cluster for each test: an empty database, a queue's name, and processes to be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from multiprocessing.context import ForkServerContext

import pytest

from stentor.testing import roles
from stentor.testing.nats import RunningNats, run_nats
from tests.integration.chaos.stage import FAULTS, Cluster, open_cluster
from tests.integration.kill.stage import Providers, open_providers


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    return roles.context()


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with open_providers(FAULTS) as opened:
        yield opened


@pytest.fixture
async def cluster(
    postgres: str, nats_server: RunningNats, queue_name: str, providers: Providers, processes: ForkServerContext
) -> AsyncIterator[Cluster]:
    """On one NATS server."""
    async with open_cluster(postgres, nats_server, queue_name, providers, processes) as opened:
        yield opened


@pytest.fixture(scope="session")
def three_servers() -> Iterator[RunningNats]:
    with run_nats(3) as server:
        yield server


@pytest.fixture
async def wide_cluster(
    postgres: str, three_servers: RunningNats, providers: Providers, processes: ForkServerContext
) -> AsyncIterator[Cluster]:
    """On three, with as many replicas of each stream."""
    async with (
        three_servers.queue_name() as name,
        open_cluster(postgres, three_servers, name, providers, processes, recipients=400) as opened,
    ):
        yield opened
