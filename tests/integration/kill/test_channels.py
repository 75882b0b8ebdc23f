"""Processes that send to chats, browsers and webhooks: one is killed, and everybody is accounted for. Nobody gets what
would be seen twice, and together they keep the pace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.cli.init import simulated
from stentor.config import Config
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.pace.intents import AHEAD
from stentor.planning.content import Content
from stentor.runtime.child import Role
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.simulators.discord import DiscordSimulator
from stentor.simulators.faults import Devices, Faults, Latency
from stentor.simulators.telegram import TelegramSimulator
from stentor.simulators.webhook import WebhookSimulator
from stentor.simulators.webpush import WebPushSimulator
from stentor.states import CampaignState
from stentor.store.tables import installations
from stentor.testing.roles import RoleProcess, start_role

CHATS, RATE = 90, 30.0
LEASE = 1.0
LATENCY = 0.1
SLOW = Faults(latency=Latency(median_s=LATENCY, p99_s=LATENCY))
Simulator = TelegramSimulator | DiscordSimulator | WebPushSimulator | WebhookSimulator


def chat(number: int) -> str:
    return str(1000 + number)


def channel_or_webhook(number: int) -> str:
    """Discord knows a bot's message again that is sent twice, and not a webhook's."""
    if number % 2:
        return str(3 * 10**17 + number)
    return f"https://discord.com/api/webhooks/{4 * 10**17 + number}/abcdefghij-0123456789_ABCDEFGHIJ"


@dataclass(frozen=True, slots=True)
class Chats:
    """A campaign to chats that has begun, and nobody who sends it yet."""

    stentor: Stentor
    config: Config
    campaign: str

    async def is_going(self) -> bool:
        await asyncio.sleep(0.02)
        return (await self.stentor.campaigns.get(self.campaign)).state is not CampaignState.COMPLETED


@asynccontextmanager
async def begun(
    engines: Path | dict[str, Any],
    simulator: Simulator,
    address: Callable[[int], str],
    *,
    chats: int = CHATS,
    lease: float = LEASE,
    **app: Any,
) -> AsyncIterator[Chats]:
    """Args:
    engines: the settings of store and queue, or where a database of ours goes.
    lease: seconds.
    """
    found = {**simulated(simulator.facts()), **app}
    if isinstance(engines, Path):
        engines = {"store": {"url": f"sqlite:///{engines / 's.db'}"}}
    config = Config.model_validate({**engines, "apps": {"bot": found}, "sending": {"batch": 50, "lease": lease}})
    rows = [{"id": f"{number:03}", "channel": found["channel"], "address": address(number)} for number in range(chats)]

    async def register(connection: AsyncConnection) -> None:
        await connection.execute(sa.insert(installations), rows)

    async with Stentor(config) as stentor:
        await stentor._resources.database.write(register)
        campaign = await stentor.campaigns.send(
            Draft(Content(message=Message(body="Sale")), Selection(source="registry"))
        )
        yield Chats(stentor, config, campaign.id)


@pytest.fixture(params=[(TelegramSimulator, chat), (DiscordSimulator, channel_or_webhook)], ids=["telegram", "discord"])
async def campaign(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Simulator, Chats]]:
    open_simulator, address = request.param
    async with open_simulator(faults=SLOW) as simulator, begun(tmp_path, simulator, address, rate=RATE) as chats:
        yield simulator, chats


async def test_a_sender_of_chats_is_killed(campaign: tuple[Simulator, Chats], processes: ForkServerContext) -> None:
    await kill_senders(*campaign, processes)


async def kill_senders(simulator: Simulator, chats: Chats, processes: ForkServerContext, *others: Role) -> None:
    """Two senders are killed on the way; nobody gets it twice, and few are left of whom nothing is known."""
    roles = [start_role(processes, role, chats.config) for role in ("planner", *others)]
    sender = start_role(processes, "sender", chats.config)
    killed: list[RoleProcess] = []
    while await chats.is_going():
        if len(simulator.ledger) >= (len(killed) + 1) * 25 and len(killed) < 2:
            await sender.kill()
            killed.append(sender)
            sender = start_role(processes, "sender", chats.config)
    assert {await role.stop() for role in (*roles, sender)} == {0}
    assert len(killed) == 2
    report = await chats.stentor.outcomes.report(chats.campaign)
    assert (await chats.stentor.outcomes.audit(chats.campaign)).exact
    unsure = [failure async for failure in chats.stentor.outcomes.failures(chats.campaign)]
    assert (report.total.read, report.total.accepted) == (CHATS, CHATS - len(unsure))
    assert {(failure.outcome, failure.reason) for failure in unsure} <= {(Outcome.AMBIGUOUS, "Interrupted")}
    # Who was on the wire, or answered since the last record, and who was on record to be next.
    assert len(unsure) <= len(killed) * RATE * (LATENCY + 4 * AHEAD)
    got = Counter(simulator.ledger.addresses())
    assert max(got.values()) == 1
    assert CHATS - len(unsure) <= len(got) <= CHATS


async def test_senders_of_chats_stand_still(campaign: tuple[Simulator, Chats], processes: ForkServerContext) -> None:
    await suspend_senders(*campaign, processes)


async def suspend_senders(simulator: Simulator, chats: Chats, processes: ForkServerContext, *others: Role) -> None:
    """Three senders stand still in turn, for a little less or more than a lease, and wake up in the midst of what
    another has gone on with. Nobody gets it twice."""
    roles = [start_role(processes, role, chats.config) for role in ("planner", *others)]
    senders = [start_role(processes, "sender", chats.config) for _ in range(3)]
    turns = 0
    while await chats.is_going():
        if len(simulator.ledger) >= turns * 8:
            still = senders[turns % 3]
            still.suspend()
            await asyncio.sleep(LEASE * (0.8, 1.1, 1.4, 2.2)[turns % 4])
            still.go_on()
            turns += 1
    assert {await role.stop() for role in (*roles, *senders)} == {0}
    assert turns > 1
    report = await chats.stentor.outcomes.report(chats.campaign)
    assert (await chats.stentor.outcomes.audit(chats.campaign)).exact
    assert (report.total.read, report.total.pending) == (CHATS, 0)
    got = Counter(simulator.ledger.addresses())
    assert max(got.values()) == 1
    assert report.total.accepted <= len(got) <= CHATS


@pytest.mark.parametrize("channel", ["webpush", "webhook"])
async def test_a_sender_to_browsers_or_webhooks_is_killed(
    tmp_path: Path, processes: ForkServerContext, channel: str
) -> None:
    """What is sent again carries the id of the first, by which it is shown, or taken, once."""
    rate, recipients = 100.0, 240
    made = WebPushSimulator(faults=SLOW) if channel == "webpush" else WebhookSimulator(faults=SLOW)
    async with made as simulator:
        browsers = list(simulator.subscriptions(recipients)) if isinstance(simulator, WebPushSimulator) else []
        address = browsers.__getitem__ if browsers else lambda number: f"+49 30 {number:05}"
        async with begun(tmp_path, simulator, address, chats=recipients, rate=rate) as sent:
            planner, sender = (start_role(processes, role, sent.config) for role in ("planner", "sender"))
            killed = False
            while await sent.is_going():
                if not killed and len(simulator.ledger) > recipients / 3:
                    await sender.kill()
                    killed, sender = True, start_role(processes, "sender", sent.config)
            assert [await role.stop() for role in (planner, sender)] == [0, 0]
            assert killed
            report = await sent.stentor.outcomes.report(sent.campaign)
            assert (await sent.stentor.outcomes.audit(sent.campaign)).exact
            assert (report.total.read, report.total.accepted) == (recipients, recipients)
        ids: dict[str, set[str]] = {}
        for entry in simulator.ledger:
            ids.setdefault(entry.address, set()).add(entry.dedup_id)
        assert len(ids) == recipients
        assert {len(each) for each in ids.values()} == {1}
        assert simulator.ledger.duplicates <= rate * (1.0 + LATENCY + 0.5)  # since the last checkpoint


async def test_several_senders_share_a_bots_limits(tmp_path: Path, processes: ForkServerContext) -> None:
    """Discord counts requests, those of each place, and refusals: none of these is broken, by all of them together."""
    forbidden = Faults(devices=Devices(wrong_app=0.15, third_party_auth=0.15))
    async with (
        DiscordSimulator(faults=forbidden) as discord,
        begun(tmp_path, discord, channel_or_webhook, chats=200, lease=60.0) as chats,
    ):
        roles = [start_role(processes, role, chats.config) for role in ("planner", "sender", "sender", "sender")]
        while await chats.is_going():
            pass
        assert [await role.stop() for role in roles] == [0, 0, 0, 0]
        report = await chats.stentor.outcomes.report(chats.campaign)
        assert (await chats.stentor.outcomes.audit(chats.campaign)).exact
        assert (report.total.read, report.total.pending) == (200, 0)
        assert report.total.accepted == len(discord.ledger)
        summary = discord.summary()
        assert not [reason for reason in summary["rejected"] if "429" in reason]
        assert 0 < summary["invalid_requests"] <= report.total.rejected  # a webhook that is gone is none
