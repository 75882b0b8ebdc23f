"""Machines whose clocks disagree."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext

import pytest

from stentor.testing.nats import RunningNats
from tests.integration.chaos.stage import Cluster
from tests.integration.kill.stepping import many_chats, step_in_the_midst

HOUR = 3600.0
MINUTES = 240.0


async def test_senders_are_minutes_apart(cluster: Cluster) -> None:
    """As far as providers still take what such a clock has signed. Who must be tried again needn't wait for it."""
    cluster.start("planner", "recorder", "scheduler")
    cluster.start("sender", ahead=MINUTES)
    cluster.start("sender", ahead=-MINUTES)
    await cluster.finish()
    assert await cluster.prove() == 0


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_a_sender_is_an_hour_off(ahead: float, cluster: Cluster) -> None:
    """Providers refuse what it signs; the others send all."""
    cluster.start("planner", "sender", "recorder", "scheduler")
    cluster.start("sender", ahead=ahead)
    await cluster.finish()
    assert await cluster.prove() == 0


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_all_but_the_senders_are_an_hour_off(ahead: float, cluster: Cluster) -> None:
    cluster.start("sender", "sender")
    cluster.start("planner", "recorder", "scheduler", ahead=ahead)
    await cluster.finish()
    assert await cluster.prove() == 0


async def test_chats_get_it_once_though_one_machines_clock_steps(
    postgres: str, nats_server: RunningNats, queue_name: str, processes: ForkServerContext
) -> None:
    async with many_chats(postgres, {"url": nats_server.url, "name": queue_name}) as stage:
        await step_in_the_midst(stage, processes, "recorder", "scheduler", one_machine=False)
