"""Senders are killed in full flight and the campaign is not resumed: on each channel who may have it is ambiguous."""

from __future__ import annotations

from collections.abc import AsyncIterator
from multiprocessing.context import ForkServerContext

import pytest

from tests.integration.kill.interruption import (
    LIFETIME,
    MANY,
    all_channels,
    cancel_after_a_kill,
    expire_after_a_kill,
    undo_after_a_kill,
)
from tests.integration.kill.stage import Providers, open_stage


@pytest.fixture
async def everywhere() -> AsyncIterator[Providers]:
    async with all_channels() as found:
        yield found


async def test_a_cancel_after_a_kill(database_url: str, everywhere: Providers, processes: ForkServerContext) -> None:
    async with open_stage(database_url, everywhere, **MANY) as stage:
        await cancel_after_a_kill(stage, processes)


async def test_the_end_of_the_messages_life_after_a_kill(
    database_url: str, everywhere: Providers, processes: ForkServerContext
) -> None:
    async with open_stage(database_url, everywhere, lifetime=LIFETIME, **MANY) as stage:
        await expire_after_a_kill(stage, processes)


async def test_an_undo_after_a_kill_and_a_cancel(
    database_url: str, everywhere: Providers, processes: ForkServerContext
) -> None:
    async with open_stage(database_url, everywhere, **MANY) as stage:
        await undo_after_a_kill(stage, processes)
