"""A cluster's senders of chats are killed, or stand still: what was about to be sent is in the batches' notes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from multiprocessing.context import ForkServerContext

import pytest

from stentor.simulators.telegram import TelegramSimulator
from stentor.testing.nats import RunningNats
from tests.integration.kill.test_channels import RATE, SLOW, Chats, begun, chat, kill_senders, suspend_senders

Campaign = tuple[TelegramSimulator, Chats]


@pytest.fixture
async def campaign(postgres: str, nats_server: RunningNats, queue_name: str) -> AsyncIterator[Campaign]:
    engines = {"store": {"url": postgres}, "queue": {"url": nats_server.url, "name": queue_name}}
    async with (
        TelegramSimulator(faults=SLOW) as telegram,
        begun(engines, telegram, chat, rate=RATE) as chats,
    ):
        yield telegram, chats


async def test_senders_of_chats_are_killed(campaign: Campaign, processes: ForkServerContext) -> None:
    await kill_senders(*campaign, processes, "recorder", "scheduler")


async def test_senders_of_chats_stand_still(campaign: Campaign, processes: ForkServerContext) -> None:
    await suspend_senders(*campaign, processes, "recorder", "scheduler")
