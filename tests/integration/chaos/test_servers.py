"""NATS and PostgreSQL go away in the middle of a campaign, and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext

import pytest

from stentor.testing.nats import NatsNode, RunningNats
from stentor.testing.postgres import Postgres
from tests.integration.chaos.stage import LEASE, WHOLE, Cluster, open_cluster
from tests.integration.kill.stage import Providers

pytestmark = pytest.mark.timeout(240)  # `Cluster.until` gives up before, and says what is stuck

AWAY = 5.0
"""Seconds for which PostgreSQL is stopped: two leases."""


@pytest.fixture(autouse=True)
def servers_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever became of a test, the next one finds the servers running."""
    yield
    for name in ("nats_server", "three_servers", "postgres_server"):
        if name in request.fixturenames:
            request.getfixturevalue(name).start()


async def leader_of_batches(cluster: Cluster) -> NatsNode:
    return cluster.nats.node(await cluster.leader("batches"))


async def test_the_leader_of_the_batches_is_killed(wide_cluster: Cluster) -> None:
    wide_cluster.start(*WHOLE)
    await wide_cluster.until_sent(60)
    leader = await leader_of_batches(wide_cluster)
    await asyncio.to_thread(leader.kill)
    await wide_cluster.struck(goes_on=True)
    await wide_cluster.until_sent(250)
    await asyncio.to_thread(wide_cluster.nats.start)
    await wide_cluster.finish()
    await wide_cluster.prove()


async def test_all_of_nats_is_killed_and_started_again(wide_cluster: Cluster) -> None:
    wide_cluster.start(*WHOLE)
    await wide_cluster.until_sent(60)
    await wide_cluster.struck(goes_on=True, nats=True)
    await asyncio.to_thread(wide_cluster.nats.kill)
    await asyncio.to_thread(wide_cluster.nats.start)
    await wide_cluster.finish()
    await wide_cluster.prove()


async def test_a_nats_server_stands_still(wide_cluster: Cluster) -> None:
    wide_cluster.start(*WHOLE)
    await wide_cluster.until_sent(60)
    leader = await leader_of_batches(wide_cluster)
    leader.suspend()
    await wide_cluster.struck(goes_on=True)
    await wide_cluster.until_sent(250)
    leader.go_on()
    await wide_cluster.finish()
    await wide_cluster.prove()


async def test_the_only_nats_server_is_killed_again_and_again(cluster: Cluster) -> None:
    cluster.start(*WHOLE)
    for pushes in (1, 80, 160):
        await cluster.until_sent(pushes)
        await cluster.struck(goes_on=True, nats=True)
        await asyncio.to_thread(cluster.nats.kill)
        await asyncio.sleep(LEASE / 2)  # so long it is away: roles try in vain meanwhile, and leases go on
        await asyncio.to_thread(cluster.nats.start)
    await cluster.finish()
    await cluster.prove()


async def test_postgresql_is_restarted_again_and_again(cluster: Cluster, postgres_server: Postgres) -> None:
    cluster.start(*WHOLE)
    for pushes in (1, 60, 120, 180):
        await cluster.until_sent(pushes)
        await asyncio.to_thread(postgres_server.stop)
        await asyncio.to_thread(postgres_server.start)
    await cluster.finish()
    assert await cluster.prove() == 0


async def test_postgresql_is_away_for_longer_than_the_leases(
    postgres: str,
    postgres_server: Postgres,
    nats_server: RunningNats,
    queue_name: str,
    providers: Providers,
    processes: ForkServerContext,
) -> None:
    """Senders go on with what they hold, and what becomes of it waits in NATS. It is nobody's death."""
    opening = open_cluster(postgres, nats_server, queue_name, providers, processes, deliveries=1)
    async with opening as cluster:
        cluster.start(*WHOLE)
        await cluster.until_sent(60)
        sent = cluster.stage.pushes  # not after the stop, which may take as long as what they hold
        await asyncio.to_thread(postgres_server.stop)
        await asyncio.sleep(AWAY)
        assert cluster.stage.pushes > sent
        assert (await cluster.stored())[f"{cluster.name}_outcomes"] > 0
        await asyncio.to_thread(postgres_server.start)
        await cluster.finish()
        assert await cluster.prove() == 0
