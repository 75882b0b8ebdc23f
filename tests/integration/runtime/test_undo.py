"""Taking back: each who was reached gets one push in the place of the first, and who can't is told of."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.errors import InvalidAudience, InvalidMessage, InvalidState
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.simulators.faults import Devices, Faults
from stentor.states import CampaignState
from tests.integration.kill.stage import Stage, open_providers, open_stage

DEAD = Faults(devices=Devices(unregistered=0.1))
RIGHT = Content(message=Message(title="Sale", body="Ends on Sunday"))


def dedup_ids(stage: Stage) -> dict[str, list[str]]:
    """Of each installation's pushes, by what devices and providers put one in the place of another."""
    return {key: [entry.dedup_id for entry in entries] for key, entries in stage.sends().items()}


async def test_each_who_was_reached_gets_one_in_its_place(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers(DEAD) as providers, open_stage(url, providers, recipients=90) as stage:
        stentor = stage.stentor
        await stentor.roles.run(stage.campaign_id)
        reached = {key for key, outcome in (await stage.outcomes()).items() if outcome == Outcome.ACCEPTED}
        assert 60 < len(reached) < 90
        gone = min(reached)

        async def leave(connection: AsyncConnection) -> None:
            await connection.execute(sa.text("DELETE FROM users WHERE id = :gone"), {"gone": gone})

        await stage.database.write(leave)
        preview = await stentor.campaigns.prepare_undo(stage.campaign_id)
        assert preview.recipients == len(reached)
        assert all(b"stentor-retract" in sample for sample in preview.sample.values())
        undo = await stentor.campaigns.undo(stage.campaign_id)
        assert (undo.state, undo.title) == (CampaignState.DRAFT, "Trial (taken back)")
        await stentor.campaigns.start(undo.id)
        report = await stentor.roles.run(undo.id)
        assert (report.total.read, report.total.accepted) == (len(reached), len(reached) - 1)
        assert [(row.installation, row.reason) async for row in stentor.outcomes.failures(undo.id)] == [
            (gone, "NoAddress")
        ]
        assert (await stentor.outcomes.audit(undo.id)).exact
        ids = dedup_ids(stage)
        assert {key for key, each in ids.items() if len(each) == 2} == reached - {gone}
        apns = [each for key, each in ids.items() if int(key.removeprefix("user-")) % 2]
        assert apns
        assert all(len(set(each)) == 1 for each in apns)


async def test_a_campaign_that_is_being_sent_is_cancelled_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers(Faults()) as providers, open_stage(url, providers, recipients=60) as stage:
        stentor = stage.stentor
        await stentor.roles.run(stage.campaign_id)
        second = await stentor.campaigns.create(Draft(RIGHT, Selection(source="users")))
        await stentor.campaigns.start(second.id)
        await stentor.campaigns.pause(second.id)
        with pytest.raises(InvalidAudience, match="reached nobody"):
            await stentor.campaigns.undo(second.id)
        assert (await stentor.campaigns.get(second.id)).state is CampaignState.CANCELLED


async def test_what_is_edited_is_replaced_where_it_cannot_be_edited(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers(Faults()) as providers, open_stage(url, providers, recipients=20) as stage:
        stentor = stage.stentor
        await stentor.roles.run(stage.campaign_id)
        edited = await stentor.campaigns.edit(stage.campaign_id, RIGHT)
        assert edited.title == "Trial (edited)"
        await stentor.campaigns.start(edited.id)
        report = await stentor.roles.run(edited.id)
        assert report.total.accepted == report.total.read == 20
        assert all(len(each) == 2 and len(set(each)) == 1 for each in dedup_ids(stage).values())
        with pytest.raises(InvalidState, match="changes what another one sent"):
            await stentor.campaigns.undo(edited.id)


async def test_what_cannot_be_taken_back_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers(Faults()) as providers, open_stage(url, providers, recipients=2, start=False) as stage:
        with pytest.raises(InvalidState, match="is draft: it has sent nothing"):
            await stage.stentor.campaigns.undo(stage.campaign_id)
        await stage.stentor.campaigns.start(stage.campaign_id)
        other = Content(message=Message(title="Sale", collapse_key="other"))
        with pytest.raises(InvalidMessage, match="collapse_key"):
            await stage.stentor.campaigns.prepare_undo(stage.campaign_id, other)
