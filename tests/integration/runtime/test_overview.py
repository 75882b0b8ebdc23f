"""Looking at all campaigns again and again: each end is seen once, and forgotten after a while."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stentor.runtime.changes import Look, StateChanged, changes
from stentor.runtime.overview import KEPT, RECENT, Overview
from stentor.states import CampaignState
from stentor.store.campaigns import new_id
from stentor.store.tables import campaigns
from stentor.testing.queue import ManualClock
from tests.integration.recording.rows import NOW, Rows, fresh_rows


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    async with fresh_rows(database_url) as made:
        yield made


async def end(rows: Rows, name: str) -> None:
    await rows.change(campaigns.update().where(campaigns.c.id == name).values(state="completed", finished_at=NOW))


async def test_an_end_is_told_once_however_often_is_looked(rows: Rows) -> None:
    clock = ManualClock(NOW)
    long, short = new_id(NOW - 1000), new_id(NOW)
    await rows.campaign(long)
    overview = Overview(rows.database, clock)
    seen, told, shown = Look(id=0, view=await overview.look()), [], []
    for number in range(1, 80):
        if number == 2:
            await end(rows, long)
        if number == 3:
            await rows.campaign(short, state=CampaignState.COMPLETED, finished_at=NOW)
        clock.move(1.0)
        now = Look(id=number, view=await overview.look())
        told += [event for event in changes(seen, now) if isinstance(event, StateChanged)]
        shown.append({long, short} & now.view.campaigns.keys())  # type: ignore[union-attr]
        seen = now
    assert [(event.campaign_id, event.before) for event in told] == [(long, CampaignState.RUNNING), (short, None)]
    assert shown[int(RECENT)] == {long, short}
    assert shown[int(KEPT) + 5] == set()


async def test_a_campaign_that_is_deleted_is_forgotten(rows: Rows) -> None:
    await rows.campaign("c1")
    overview = Overview(rows.database, ManualClock(NOW))
    assert (await overview.look()).campaigns.keys() == {"c1"}
    await rows.change(campaigns.delete())
    assert (await overview.look()).campaigns == {}
