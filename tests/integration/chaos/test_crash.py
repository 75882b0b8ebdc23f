"""A crash of each role before and after each thing that it makes durable: put, store change, outcomes, ack, release."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from typing import Any, Literal
from unittest.mock import patch

import pytest

from stentor.config import dump
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.outboxes import JetStreamOutbox
from stentor.runtime.child import Role
from stentor.simulators.faults import Reset
from stentor.store.database import Database
from stentor.testing.nats import RunningNats
from stentor.testing.roles import RoleProcess, run_role
from tests.integration.chaos.stage import FAULTS, Cluster, open_cluster
from tests.integration.kill.stage import Providers, open_providers

pytestmark = pytest.mark.timeout(240)  # `Cluster.until` gives up before, and says what is stuck

When = Literal["before", "after"]
ROLES: tuple[Role, ...] = ("planner", "sender", "recorder", "scheduler")
DEADLY = 9
POINTS: dict[Role, tuple[tuple[type, str], ...]] = {
    "planner": ((JetStreamQueue, "_put"), (Database, "write"), (JetStreamQueue, "_ack")),
    "sender": ((JetStreamOutbox, "send"), (JetStreamQueue, "_ack"), (JetStreamQueue, "release")),
    "recorder": ((Database, "write"), (JetStreamOutbox, "ack")),
}
"""What makes something durable."""


def run_mortal(role: Role, settings: bytes, owner: type, name: str, when: When, number: int) -> None:
    """A role that dies before or after such a call, the one with this number."""
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)
    left = [number]

    async def deadly(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if not left[0] and when == "before":
            os._exit(DEADLY)
        found = await original(*arguments, **named)
        if left[0] <= 0:
            os._exit(DEADLY)
        return found

    with patch.object(owner, name, deadly):
        run_role(role, settings)


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    """Which have many a push tried again, so that there is a release in every batch."""
    async with open_providers(replace(FAULTS, reset=Reset(refused=0.15))) as opened:
        yield opened


@pytest.fixture
async def cluster(
    postgres: str, nats_server: RunningNats, queue_name: str, providers: Providers, processes: ForkServerContext
) -> AsyncIterator[Cluster]:
    """Quick to take over, and slow to take many deaths for a batch's fault."""
    many: dict[str, Any] = {"recipients": 400, "page": 12, "batch": 5, "lease": 1.0, "deliveries": 30}
    async with open_cluster(postgres, nats_server, queue_name, providers, processes, **many) as opened:
        yield opened


@pytest.mark.parametrize(("role", "number"), [("planner", 1), ("planner", 3), ("sender", 1), ("recorder", 1)], ids=str)
async def test_a_crash_at_each_point(role: Role, number: int, cluster: Cluster) -> None:
    cluster.start(*(each for each in ROLES if each != role))
    for owner, name in POINTS[role]:
        for when in ("before", "after"):
            settings = dump(cluster.stage.config)
            target = cluster.processes.Process(target=run_mortal, args=(role, settings, owner, name, when, number))
            mortal = RoleProcess(target, f"mortal {role}")
            assert await cluster.end_of(mortal, f"it is to die {when} {name}") == DEADLY
            if role == "sender":
                await cluster.struck(killed=1)
    cluster.start(role)
    await cluster.finish()
    repeated = await cluster.prove()
    assert role == "sender" or repeated == 0
