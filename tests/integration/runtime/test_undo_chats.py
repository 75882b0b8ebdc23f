"""Taking back what chats were sent: deleted or edited by the receipts of the first campaign, as far as the rules go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.cli.init import simulated
from stentor.config import Config
from stentor.errors import InvalidConfiguration
from stentor.model import Message, TelegramOptions
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.simulators.discord import DiscordSimulator
from stentor.simulators.faults import Devices, Faults
from stentor.simulators.telegram import TelegramSetup, TelegramSimulator
from stentor.store.tables import installations
from stentor.testing.roles import context, start_stentor

CHATS = 40
EVERYBODY = Selection(source="registry")
NEWS, BETTER = Content(message=Message(body="Ends on Saturday")), Content(message=Message(body="Ends on Sunday"))
DEAD = Faults(devices=Devices(unregistered=0.1))


@dataclass(frozen=True, slots=True)
class Chats:
    config: Config
    stentor: Stentor
    telegram: TelegramSimulator
    discord: DiscordSimulator

    async def run(self, content: Content) -> str:
        campaign = await self.stentor.campaigns.send(Draft(content, EVERYBODY))
        report = await self.stentor.roles.run(campaign.id)
        assert report.total.pending == 0
        return campaign.id

    async def accepted(self, campaign: str, lane: str) -> int:
        return (await self.stentor.outcomes.report(campaign)).lanes[lane].accepted


@asynccontextmanager
async def open_chats(folder: Path) -> AsyncIterator[Chats]:
    async with (
        TelegramSimulator(TelegramSetup(per_second=1000.0), faults=DEAD) as telegram,
        DiscordSimulator(faults=DEAD) as discord,
    ):
        apps = {"bot": simulated(telegram.facts()), "community": simulated(discord.facts())}
        config = Config.model_validate(
            {"store": {"url": f"sqlite:///{folder / 's.db'}"}, "apps": apps, "sending": {"senders": 1, "batch": 10}}
        )
        async with Stentor(config) as stentor:
            yield Chats(config, stentor, telegram, discord)


@pytest.fixture
async def chats(tmp_path: Path) -> AsyncIterator[Chats]:
    async with open_chats(tmp_path) as found:
        rows = [
            {"id": f"t{number:03}", "channel": "telegram", "address": str(1000 + number)} for number in range(CHATS)
        ] + [{"id": f"d{number:03}", "channel": "discord", "address": str(10**17 + number)} for number in range(CHATS)]

        async def register(connection: AsyncConnection) -> None:
            await connection.execute(sa.insert(installations), rows)

        await found.stentor._resources.database.write(register)
        yield found


async def test_all_messages_are_deleted(chats: Chats) -> None:
    sent = await chats.run(NEWS)
    reached = {lane: await chats.accepted(sent, lane) for lane in ("telegram/bot", "discord/community")}
    assert all(CHATS / 2 < number < CHATS for number in reached.values())
    preview = await chats.stentor.campaigns.prepare_undo(sent)
    assert {lane: each.recipients for lane, each in preview.lanes.items()} == reached
    undo = await chats.stentor.campaigns.undo(sent)
    await chats.stentor.campaigns.start(undo.id)
    report = await chats.stentor.roles.run(undo.id)
    assert (report.total.accepted, report.total.read) == (sum(reached.values()), sum(reached.values()))
    assert (await chats.stentor.outcomes.audit(undo.id)).exact
    assert chats.telegram.world.tally.deleted == reached["telegram/bot"]
    assert chats.discord.world.tally.deleted == reached["discord/community"]
    again = await chats.stentor.campaigns.undo(sent)  # what is gone already counts as taken back
    await chats.stentor.campaigns.start(again.id)
    assert (await chats.stentor.roles.run(again.id)).total.accepted == sum(reached.values())
    assert chats.telegram.world.tally.deleted == reached["telegram/bot"]


async def test_all_messages_are_edited(chats: Chats) -> None:
    sent = await chats.run(NEWS)
    reached = (await chats.stentor.outcomes.report(sent)).total.accepted
    edited = await chats.stentor.campaigns.edit(sent, BETTER)
    await chats.stentor.campaigns.start(edited.id)
    assert (await chats.stentor.roles.run(edited.id)).total.accepted == reached
    assert chats.telegram.world.tally.edited + chats.discord.world.tally.edited == reached


async def test_after_two_days_telegram_keeps_its_messages(chats: Chats) -> None:
    sent = await chats.run(NEWS)
    reached = await chats.accepted(sent, "telegram/bot")
    chats.telegram.clock.advance(49 * 3600.0)
    undo = await chats.stentor.campaigns.undo(sent)
    await chats.stentor.campaigns.start(undo.id)
    report = await chats.stentor.roles.run(undo.id)
    kept = [row async for row in chats.stentor.outcomes.failures(undo.id)]
    assert len(kept) == reached
    assert {row.lane for row in kept} == {"telegram/bot"}
    assert {row.outcome for row in kept} == {Outcome.REJECTED}
    assert report.lanes["discord/community"].rejected == 0
    assert chats.telegram.world.tally.deleted == 0


async def test_an_undo_goes_on_after_a_kill(chats: Chats) -> None:
    sent = await chats.run(NEWS)
    reached = (await chats.stentor.outcomes.report(sent)).total.accepted
    undo = await chats.stentor.campaigns.undo(sent)
    await chats.stentor.campaigns.start(undo.id)

    def deleted() -> int:
        return chats.telegram.world.tally.deleted + chats.discord.world.tally.deleted

    victim = start_stentor(context(), undo.id, chats.config)
    while not 0 < deleted() < reached:  # noqa: ASYNC110 - the simulators set no event
        await asyncio.sleep(0.01)
    await victim.kill()
    assert deleted() < reached
    report = await chats.stentor.roles.run(undo.id)
    assert report.total.accepted == reached == deleted()
    assert (await chats.stentor.outcomes.audit(undo.id)).exact


async def test_what_costs_something_says_so_first(chats: Chats) -> None:
    fast = chats.config.apps["bot"].model_copy(update={"rate": 1000.0})
    config = chats.config.model_copy(update={"apps": {**chats.config.apps, "bot": fast}})
    paid = Content(message=Message(body="Sale", telegram=TelegramOptions(allow_paid_broadcast=True)))
    async with Stentor(config) as stentor:
        preview = await stentor.campaigns.prepare(Draft(paid, EVERYBODY))
        assert preview.warnings == ["telegram/bot: sending this costs 4 Stars"]
        with pytest.raises(InvalidConfiguration, match="allow_paid_broadcast"):
            await stentor.campaigns.prepare(Draft(NEWS, EVERYBODY))
    assert (await chats.stentor.campaigns.prepare(Draft(paid, EVERYBODY))).warnings == []
