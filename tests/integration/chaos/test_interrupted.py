"""A cluster's senders are killed in full flight, and the campaign is not resumed: who may have it is ambiguous."""

from __future__ import annotations

from collections.abc import AsyncIterator
from multiprocessing.context import ForkServerContext

import pytest

from stentor.runtime.child import Role
from stentor.testing.nats import RunningNats
from tests.integration.kill.interruption import (
    LIFETIME,
    MANY,
    all_channels,
    cancel_after_a_kill,
    expire_after_a_kill,
    undo_after_a_kill,
)
from tests.integration.kill.stage import Providers, open_stage

OTHERS: tuple[Role, ...] = ("recorder", "scheduler")


@pytest.fixture
async def everywhere() -> AsyncIterator[Providers]:
    async with all_channels() as found:
        yield found


@pytest.fixture
def queue(nats_server: RunningNats, queue_name: str) -> dict[str, str]:
    return {"url": nats_server.url, "name": queue_name}


async def test_a_cancel_after_a_kill(
    postgres: str, queue: dict[str, str], everywhere: Providers, processes: ForkServerContext
) -> None:
    async with open_stage(postgres, everywhere, queue=queue, **MANY) as stage:
        await cancel_after_a_kill(stage, processes, *OTHERS)


async def test_the_end_of_the_messages_life_after_a_kill(
    postgres: str, queue: dict[str, str], everywhere: Providers, processes: ForkServerContext
) -> None:
    async with open_stage(postgres, everywhere, queue=queue, lifetime=LIFETIME, **MANY) as stage:
        await expire_after_a_kill(stage, processes, *OTHERS)


async def test_an_undo_after_a_kill_and_a_cancel(
    postgres: str, queue: dict[str, str], everywhere: Providers, processes: ForkServerContext
) -> None:
    async with open_stage(postgres, everywhere, queue=queue, **MANY) as stage:
        await undo_after_a_kill(stage, processes, *OTHERS)
