"""SIGKILL and SIGSTOP of every role, while a campaign is under way."""

from __future__ import annotations

import asyncio

import pytest

from stentor.runtime.child import Role
from tests.integration.chaos.stage import LEASE, WHOLE, Cluster

pytestmark = pytest.mark.timeout(240)  # `Cluster.until` gives up before, and says what is stuck

ROLES: tuple[Role, ...] = ("planner", "sender", "recorder", "scheduler")


async def test_nothing_happens(cluster: Cluster) -> None:
    cluster.start(*WHOLE)
    await cluster.finish(notes=True)
    assert await cluster.prove() == 0


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_is_killed_again_and_again(role: Role, cluster: Cluster) -> None:
    """All its processes, at once."""
    cluster.start(*WHOLE)
    for pushes in (1, 80, 160, 230):
        await cluster.until_sent(pushes)
        await cluster.kill(role)
        cluster.start(role, role)
    await cluster.finish()
    repeated = await cluster.prove()
    assert role == "sender" or repeated == 0


async def test_all_roles_are_killed_at_once(cluster: Cluster) -> None:
    cluster.start(*WHOLE)
    for pushes in (20, 200):
        await cluster.until_sent(pushes)
        await cluster.kill(*ROLES)
        cluster.start(*WHOLE)
    await cluster.finish()
    await cluster.prove()


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_stands_still_for_longer_than_its_lease(role: Role, cluster: Cluster) -> None:
    """Another goes on, and what it does when it wakes up changes nothing any more."""
    cluster.start(*WHOLE)
    await cluster.until_sent(60)
    still = cluster.running[role][0]
    still.suspend()
    if role == "sender":
        await cluster.struck(goes_on=True)
    await asyncio.sleep(1.4 * LEASE)
    still.go_on()
    await cluster.finish()
    repeated = await cluster.prove()
    assert role == "sender" or repeated == 0
