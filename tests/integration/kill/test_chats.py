"""A sender of chats is killed: nobody gets the message twice, and few are left of whom nothing is known."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.cli.init import simulated
from stentor.config import Config
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.runtime.stentor import Stentor
from stentor.senders.intents import AHEAD
from stentor.simulators.discord import DiscordSimulator
from stentor.simulators.faults import Faults, Latency
from stentor.simulators.telegram import TelegramSimulator
from stentor.states import CampaignState
from stentor.store.tables import installations
from stentor.testing.roles import start_role

CHATS, RATE = 90, 30.0
LATENCY = 0.1


def chat(number: int) -> str:
    return str(1000 + number)


def channel_or_webhook(number: int) -> str:
    """Discord knows a bot's message again that is sent twice, and not a webhook's."""
    if number % 2:
        return str(3 * 10**17 + number)
    return f"https://discord.com/api/webhooks/{4 * 10**17 + number}/abcdefghij-0123456789_ABCDEFGHIJ"


@pytest.mark.parametrize(
    ("open_simulator", "address"),
    [(TelegramSimulator, chat), (DiscordSimulator, channel_or_webhook)],
    ids=["telegram", "discord"],
)
async def test_a_sender_of_chats_is_killed(
    tmp_path: Path,
    processes: ForkServerContext,
    open_simulator: type[TelegramSimulator | DiscordSimulator],
    address: Callable[[int], str],
) -> None:
    faults = Faults(latency=Latency(median_s=LATENCY, p99_s=LATENCY))
    async with open_simulator(faults=faults) as simulator:
        app = {**simulated(simulator.facts()), "rate": RATE}
        config = Config.model_validate(
            {
                "store": {"url": f"sqlite:///{tmp_path / 's.db'}"},
                "apps": {"bot": app},
                "sending": {"batch": 50, "lease": 1.0},
            }
        )
        rows = [
            {"id": f"{number:03}", "channel": app["channel"], "address": address(number)} for number in range(CHATS)
        ]

        async def register(connection: AsyncConnection) -> None:
            await connection.execute(sa.insert(installations), rows)

        async with Stentor(config) as stentor:
            await stentor._database.write(register)
            campaign = await stentor.send(Content(message=Message(body="Sale")), Selection(source="registry"))
            planner, sender = (start_role(processes, role, config) for role in ("planner", "sender"))
            kills = 0
            while (await stentor.campaign(campaign.id)).state is not CampaignState.COMPLETED:
                if len(simulator.ledger) >= (kills + 1) * 25 and kills < 2:
                    await sender.kill()
                    kills += 1
                    sender = start_role(processes, "sender", config)
                await asyncio.sleep(0.02)
            for role in (planner, sender):
                assert await role.stop() == 0
            assert kills == 2
            report = await stentor.report(campaign.id)
            assert (await stentor.audit(campaign.id)).exact
            unsure = [failure async for failure in stentor.failures(campaign.id)]
        assert (report.total.read, report.total.accepted) == (CHATS, CHATS - len(unsure))
        assert {(failure.outcome, failure.reason) for failure in unsure} <= {(Outcome.AMBIGUOUS, "Interrupted")}
        # Who was on the wire, or answered since the last record, and who was on record to be next.
        assert len(unsure) <= kills * RATE * (LATENCY + 4 * AHEAD)
        got = Counter(simulator.ledger.addresses())
        assert max(got.values()) == 1
        assert CHATS - len(unsure) <= len(got) <= CHATS
