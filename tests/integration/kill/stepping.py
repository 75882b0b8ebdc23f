"""A sender holds all there is, another one waits for work, and a clock steps over the end of every lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerContext
from typing import Any
from unittest.mock import patch

from stentor.model import Message, TelegramOptions
from stentor.planning.content import Content
from stentor.queue.contract import Depth, Lease
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.sql import SqlQueue
from stentor.runtime.child import Role
from stentor.runtime.worker import work
from stentor.simulators.faults import Faults, Latency
from stentor.testing.roles import MachineClock
from tests.integration.kill.running import running_roles, until_final, until_sent
from tests.integration.kill.stage import Stage, open_providers, open_stage, prove

CHATS, RATE = 1000, 200.0
LEASE = 30.0
STEP = 40.0
PAID = Content(message=Message(body="Sale", telegram=TelegramOptions(allow_paid_broadcast=True)))
"""A bot may send more than 30 a second where its owner pays for it."""


@asynccontextmanager
async def many_chats(url: str, queue: dict[str, Any] | None = None) -> AsyncIterator[Stage]:
    """In one batch."""
    faults, rates = Faults(latency=Latency(median_s=0.05, p99_s=0.1)), {"telegram": {"rate": RATE}}
    settings: dict[str, Any] = {"page": 2 * CHATS, "batch": CHATS, "ranges": 1, "lease": LEASE}
    async with (
        open_providers(faults, channels=["telegram"], rates=rates) as providers,
        open_stage(url, providers, recipients=CHATS, queue=queue, content=PAID, **settings) as stage,
    ):
        yield stage


@asynccontextmanager
async def idle_sender(stage: Stage, clock: MachineClock) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A sender in this process that leaves the first batch of each lane to another one, and then looks for more.

    Yields: a function that returns once it has looked: of a lane with a pace it asks first whether there is any.
    """
    looked, stop = asyncio.Event(), asyncio.Event()
    kind: type[SqlQueue] | type[JetStreamQueue] = JetStreamQueue if stage.config.queue.url else SqlQueue
    take, depths = kind.take, kind.depths

    async def second(queue: Any, lane: str, limit: int, lease: float, **options: Any) -> list[Lease]:
        if {stage.channels[key] for key in stage.sends()} < set(stage.providers.channels):
            return []
        found = await take(queue, lane, limit, lease, **options)
        looked.set()
        return found

    async def asked(queue: Any, lanes: Iterable[str]) -> Mapping[str, Depth]:
        looked.set()
        return await depths(queue, lanes)

    async def until_it_looked() -> None:
        await until_sent(stage, 1)
        looked.clear()
        await looked.wait()

    with patch.object(kind, "take", second), patch.object(kind, "depths", asked):
        working = asyncio.create_task(work("sender", stage.config, stop, clock=clock))
        try:
            yield until_it_looked
        finally:
            stop.set()
            await working


async def step_in_the_midst(stage: Stage, processes: ForkServerContext, *others: Role, one_machine: bool) -> None:
    """Nobody gets it twice.

    Args:
        one_machine: both senders go by the clock that steps; else the idle one alone.
    """
    wrong = MachineClock(processes)
    right = wrong if one_machine else MachineClock(processes)
    async with (
        idle_sender(stage, wrong) as until_it_looked,
        running_roles(stage, processes, "planner", "sender", *others, clock=right) as roles,
    ):
        await until_it_looked()
        pending = stage.addresses.keys() - await stage.settled()
        assert len(pending) > CHATS / 2
        wrong.step(STEP)
        await until_final(stage)
        assert {await role.stop() for role in roles} == {0}
    await prove(stage, unsure=pending)
