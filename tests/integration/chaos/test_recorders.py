"""Recorders that are slow, or aren't there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from unittest.mock import patch

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.config import dump
from stentor.recording import writing
from stentor.recording.contract import Settlement
from stentor.recording.tally import Recorded
from stentor.testing.roles import RoleProcess, run_role
from tests.integration.chaos.stage import LEASE, Cluster

SLOW = 1.5 * LEASE
"""Seconds that a write takes."""


async def slow_write(connection: AsyncConnection, settlements: Sequence[Settlement], now: float) -> Recorded:
    await asyncio.sleep(SLOW)
    return await writing.write(connection, settlements, now)


def run_slow(settings: bytes) -> None:
    with patch("stentor.recording.worker.write", slow_write):
        run_role("recorder", settings)


async def test_recorders_are_slower_than_their_leases(cluster: Cluster) -> None:
    """What one is about to write another takes, and writes again; that is nobody's death, and changes nothing."""
    config = cluster.stage.config
    patient = config.model_copy(update={"sending": config.sending.model_copy(update={"deliveries": 1})})
    cluster.start("planner", "sender", "sender", "scheduler")
    for _ in range(3):
        slow = RoleProcess(cluster.processes.Process(target=run_slow, args=(dump(patient),)), "slow recorder")
        cluster.running["recorder"].append(slow)
    await cluster.finish()
    assert await cluster.prove() == 0


async def test_there_is_no_recorder_for_a_while(cluster: Cluster) -> None:
    """All is sent, and waits in NATS."""
    cluster.start("planner", "sender", "sender", "scheduler")

    async def all_are_sent() -> bool:
        stored = await cluster.stored()
        return cluster.stage.pushes > 280 and not stored[f"{cluster.name}_batches"]

    await cluster.until(all_are_sent, "all are sent")
    cluster.start("recorder")
    await cluster.finish()
    assert await cluster.prove() == 0
