"""The network between a sender and NATS, and between senders and a provider: cut, silent, slow, losing connections."""

from __future__ import annotations

import pytest

from tests.integration.chaos.network import (
    LOSING,
    SILENT,
    TWICE,
    Trouble,
    before_nats,
    before_provider,
    delay,
    nats_through,
    provider_through,
)
from tests.integration.chaos.stage import LEASE, Cluster

pytestmark = pytest.mark.timeout(240)  # `Cluster.until` gives up before, and says what is stuck


@pytest.mark.parametrize("troubles", [LOSING, SILENT, (delay,)], ids=["losing", "silent", "slow"])
async def test_between_a_sender_and_nats(troubles: tuple[Trouble, ...], cluster: Cluster) -> None:
    """For longer than the lease: others take what it held. It notices, and sends no more of that."""
    async with before_nats(cluster.nats) as proxy:
        cluster.start("planner", "sender", "recorder", "scheduler")
        cluster.start("sender", config=nats_through(proxy, cluster.stage.config))
        for trouble in troubles:
            await cluster.until_sent(cluster.stage.pushes + 40)
            if trouble is not delay:
                await cluster.struck(goes_on=True)
            await trouble(proxy, 1.2 * LEASE)
        await cluster.finish()
    await cluster.prove()


@pytest.mark.parametrize("troubles", [LOSING, (*SILENT, delay)], ids=["losing", "silent"])
async def test_between_senders_and_a_provider(troubles: tuple[Trouble, ...], cluster: Cluster) -> None:
    """What was on a connection that is lost may have been accepted, and is sent again."""
    config = cluster.stage.config
    async with before_provider(config, "ios") as proxy:
        cluster.start("planner", "recorder", "scheduler")
        cluster.start("sender", "sender", config=provider_through(proxy, config, "ios"))
        for trouble in troubles:
            await cluster.until_sent(cluster.stage.pushes + 30)
            for _ in range((trouble in LOSING) + (trouble in TWICE)):
                await cluster.struck(killed=2)
            await trouble(proxy, 1.0)
        await cluster.finish()
    repeated = await cluster.prove()
    assert troubles is LOSING or repeated == 0
