"""A sender of chats is killed: nobody gets the message twice, and few are left of whom nothing is known."""

from __future__ import annotations

import asyncio
from collections import Counter
from multiprocessing.context import ForkServerContext
from pathlib import Path

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
from stentor.simulators.faults import Faults, Latency
from stentor.simulators.telegram import TelegramSimulator
from stentor.states import CampaignState
from stentor.store.tables import installations
from stentor.testing.roles import start_role

CHATS, RATE = 150, 30.0
LATENCY = 0.1


async def test_a_sender_of_chats_is_killed(tmp_path: Path, processes: ForkServerContext) -> None:
    faults = Faults(latency=Latency(median_s=LATENCY, p99_s=LATENCY))
    async with TelegramSimulator(faults=faults) as telegram:
        config = Config.model_validate(
            {
                "store": {"url": f"sqlite:///{tmp_path / 's.db'}"},
                "apps": {"bot": simulated(telegram.facts())},
                "sending": {"batch": 50, "lease": 1.0},
            }
        )
        rows = [{"id": f"{number:03}", "channel": "telegram", "address": str(1000 + number)} for number in range(CHATS)]

        async def register(connection: AsyncConnection) -> None:
            await connection.execute(sa.insert(installations), rows)

        async with Stentor(config) as stentor:
            await stentor._database.write(register)
            campaign = await stentor.send(Content(message=Message(body="Sale")), Selection(source="registry"))
            planner, sender = (start_role(processes, role, config) for role in ("planner", "sender"))
            kills = 0
            while (await stentor.campaign(campaign.id)).state is not CampaignState.COMPLETED:
                if len(telegram.ledger) >= (kills + 1) * 45 and kills < 2:
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
        got = Counter(telegram.ledger.addresses())
        assert max(got.values()) == 1
        assert CHATS - len(unsure) <= len(got) <= CHATS
