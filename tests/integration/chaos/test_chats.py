"""A cluster's senders of chats are killed: what was about to be sent is in the batches' notes."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext

from stentor.simulators.telegram import TelegramSimulator
from stentor.testing.nats import Nats
from tests.integration.kill.test_channels import RATE, SLOW, begun, chat, kill_senders


async def test_senders_of_chats_are_killed(
    postgres: str, nats_server: Nats, queue_name: str, processes: ForkServerContext
) -> None:
    engines = {"store": {"url": postgres}, "queue": {"url": nats_server.url, "name": queue_name}}
    async with (
        TelegramSimulator(faults=SLOW) as telegram,
        begun(engines, telegram, chat, rate=RATE) as chats,
    ):
        await kill_senders(telegram, chats, processes, "recorder", "scheduler")
