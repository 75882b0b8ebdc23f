"""What roles know of campaigns: states, contents, the end of each, and what keeps a lane from its work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from stentor.errors import UnknownCampaign
from stentor.model import Message
from stentor.planning.content import Content, encode_content
from stentor.recording.report import lane_problems
from stentor.runtime.desk import StoreDesk
from stentor.sending.gate import Problem
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import batches
from stentor.store.tables import campaigns as table
from stentor.testing.queue import ManualClock
from tests.integration.recording.rows import NOW, Rows

LANE = "apns/ios"


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    database = Database.open(database_url, connections=6)
    await migrate(database)
    yield Rows(database)
    await database.aclose()


@pytest.fixture
def desk(rows: Rows) -> StoreDesk:
    return StoreDesk(rows.database, ManualClock(NOW))


async def state(rows: Rows, name: str = "c1") -> CampaignState:
    async with rows.database.read() as connection:
        return (await campaigns.get(connection, name)).state


async def move(rows: Rows, to: CampaignState, name: str = "c1") -> None:
    await rows.database.write(lambda connection: campaigns.move(connection, name, to))


def stopped(desk: StoreDesk) -> bool:
    return desk.stopped


async def test_a_campaign_is_ended_when_it_is_planned_and_nobody_is_pending(rows: Rows, desk: StoreDesk) -> None:
    await rows.campaign("open", planned=False)
    await rows.campaign("pending", planned=True)
    await rows.batch(0, "ap", campaign="pending")
    await rows.campaign("done", planned=True)
    await rows.batch(0, "ar", campaign="done")
    await rows.campaign("gone", planned=True, state=CampaignState.CANCELLING)
    await rows.campaign("paused", planned=True, state=CampaignState.PAUSED)
    await asyncio.gather(desk.look(), StoreDesk(rows.database, ManualClock(NOW)).look())
    assert [await state(rows, name) for name in ("open", "pending", "done", "gone", "paused")] == [
        CampaignState.RUNNING,
        CampaignState.RUNNING,
        CampaignState.COMPLETED,
        CampaignState.CANCELLED,
        CampaignState.PAUSED,
    ]


async def test_states_are_known_without_asking_once_looked_at(rows: Rows, desk: StoreDesk) -> None:
    await rows.campaign()
    assert await desk.state("c1") is CampaignState.RUNNING
    assert not desk.halted("c1")
    assert not stopped(desk)
    await move(rows, CampaignState.PAUSED)
    await desk.look()
    assert await desk.state("c1") is CampaignState.PAUSED
    assert desk.halted("c1")
    assert not stopped(desk)
    await move(rows, CampaignState.CANCELLING)
    await desk.look()
    assert desk.halted("c1")
    assert stopped(desk)
    with pytest.raises(UnknownCampaign):
        await desk.state("nope")


async def test_a_failed_campaign_counts_until_its_batches_are_settled(rows: Rows, desk: StoreDesk) -> None:
    await rows.campaign(planned=True, state=CampaignState.FAILED)
    batch = await rows.batch(0, "pp")
    await desk.look()
    assert stopped(desk)
    await rows.change(sa.update(batches).where(batches.c.id == batch).values(pending=0, cancelled=2))
    await desk.look()
    assert not stopped(desk)
    assert await desk.state("c1") is CampaignState.FAILED
    assert await state(rows) is CampaignState.FAILED


async def test_contents_are_read_once(rows: Rows, desk: StoreDesk) -> None:
    await rows.campaign(collapse_id="c0")
    content = Content(message=Message(title="News"))
    await rows.change(sa.update(table).values(content=encode_content(content)))
    found = await desk.content("c1")
    assert (found.id, found.content, found.started_at, found.collapse_id) == ("c1", content, NOW - 90, "c0")
    await rows.change(sa.update(table).values(content=b"changed"))
    assert await desk.content("c1") is found
    with pytest.raises(UnknownCampaign):
        await desk.content("nope")


async def test_problems_are_told_and_taken_back(rows: Rows, desk: StoreDesk) -> None:
    await desk.report(LANE, None)
    for what in ("the key was revoked", "the provider is down"):
        await desk.report(LANE, Problem(what=what, remedy="wait", pause=5.0))
        async with rows.database.read() as connection:
            found = (await lane_problems(connection, [LANE, "fcm/android"]))[LANE]
        assert (found.problem, found.remedy, found.since, found.until) == (what, "wait", NOW, NOW + 5)
        assert found.waiting is None
    await desk.report(LANE, None)
    async with rows.database.read() as connection:
        assert await lane_problems(connection, [LANE]) == {}


async def test_since_when_some_hosts_are_silent_is_kept_while_others_join_them(rows: Rows) -> None:
    now = NOW
    desk = StoreDesk(rows.database, lambda: now)
    for what, waiting in (("a is silent", 7), ("a and b are silent", 9)):
        await desk.report(LANE, Problem(what=what, remedy="wait", pause=None, waiting=waiting))
        async with rows.database.read() as connection:
            found = (await lane_problems(connection, [LANE]))[LANE]
        assert (found.problem, found.waiting, found.since) == (what, waiting, NOW)
        now += 60
    await desk.report(LANE, Problem(what="the provider is down", remedy="wait", pause=None))
    async with rows.database.read() as connection:
        found = (await lane_problems(connection, [LANE]))[LANE]
    assert (found.waiting, found.since) == (None, now)
