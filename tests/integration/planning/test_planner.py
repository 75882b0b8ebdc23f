"""Plan steps on a real store and queue: everybody once, whoever does a step and however often, and never too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from stentor.audience.contract import NO_LANE, Range, Selection, Wanted
from stentor.audience.failed import FailedAudience
from stentor.config import SendingConfig
from stentor.planning.planner import PATIENT
from stentor.queue.contract import PLAN
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.tables import batches, failures
from tests.integration.planning.world import ANDROID, CAMPAIGN, HOLD, IOS, World, crowd, world


@pytest.fixture
async def planning(database_url: str) -> AsyncIterator[World]:
    async with world(database_url, crowd(IOS, ANDROID, size=100)) as found:
        yield found


@pytest.fixture
async def local(tmp_path: object) -> AsyncIterator[World]:
    """For what is no affair of the database."""
    async with world(f"sqlite:///{tmp_path}/stentor.db", crowd(IOS, ANDROID, size=100)) as found:
        yield found


async def assert_exact(planning: World, *lanes: str) -> None:
    assert await planning.planned() == {lane: planning.everybody(lane) for lane in lanes or (IOS, ANDROID)}
    assert await planning.read() == (len(planning.people.rows), len(planning.people.rows))
    assert (await planning.campaign()).planned


async def test_everybody_is_planned_once_in_parallel_ranges(planning: World) -> None:
    await planning.start()
    (lease,) = await planning.take(10)
    await planning.do(lease)
    assert await planning.chains() == {"0.0": False, "0.1": False, "0.2": False}
    campaign = await planning.campaign()
    assert (campaign.planned, campaign.planning_over) == (False, False)
    await planning.do_all()
    assert set((await planning.chains()).values()) == {True}
    await assert_exact(planning)
    assert (await planning.queue.depths([PLAN]))[PLAN].total == 0


async def test_a_step_that_is_done_again_changes_nothing(planning: World) -> None:
    await planning.start()
    for _ in range(3):
        (lease,) = await planning.take()
        await planning.do(lease)
        before = await planning.snapshot()
        await planning.do(lease)  # whoever held it before did it late
        assert await planning.snapshot() == before
    await planning.do_all()
    await assert_exact(planning)


async def test_a_step_whose_lease_ended_is_done_once_by_two(planning: World) -> None:
    await planning.start()
    await planning.do_one()
    (slow,) = await planning.take()
    planning.clock.move(HOLD)
    again = next(lease for lease in await planning.take(10) if lease.id == slow.id)
    await asyncio.gather(planning.do(slow), planning.do(again))
    planning.clock.move(HOLD)
    await planning.do_all()
    await assert_exact(planning)


async def test_two_planners_at_once_plan_everybody_once(planning: World) -> None:
    await planning.start()

    async def work() -> None:
        planner = planning.planner()
        while not (await planning.campaign()).planned:
            for lease in await planning.take(2):
                await planning.do(lease, planner)
            await planning.send()

    await asyncio.gather(work(), work())
    await assert_exact(planning)


async def test_chains_that_end_at_once_end_the_planning(planning: World) -> None:
    """Each must see the other's end, whichever commits first."""
    planning.settings = SendingConfig(page=100, batch=50, ranges=8, depth=100)
    for number in range(5):
        name = f"c{number + 1}"
        await planning.start(name)
        await planning.do_one()
        leases = await planning.take(100)
        assert len(leases) == 8
        await asyncio.gather(*(planning.do(lease) for lease in leases))
        assert (await planning.campaign(name)).planned


@pytest.mark.parametrize("lane", [IOS, ANDROID])
async def test_the_queue_stays_bounded(planning: World, lane: str) -> None:
    planning.people.rows = crowd(lane, size=400)
    await planning.start()
    (lease,) = await planning.take()
    await planning.do(lease)
    for _ in range(60):
        leases = await planning.take(3)
        await asyncio.gather(*(planning.do(each) for each in leases))
        # Each of three steps at once may have found one batch too few, and brings two.
        assert (await planning.queue.depths([lane]))[lane].total <= 8 - 1 + 3 * 2
        planning.clock.move(0.1)
    assert (await planning.queue.depths([lane]))[lane].total >= 8
    campaign = await planning.campaign()
    assert (campaign.planned, campaign.planning_over) == (False, False)
    while not (await planning.campaign()).planned:
        await planning.do_all()
        planning.clock.move(0.1)
    await assert_exact(planning, lane)


async def test_a_deep_lane_does_not_hold_up_a_hungry_one(planning: World) -> None:
    await planning.clog(IOS, 8)
    planning.people.rows |= {"9999": NO_LANE}
    await planning.start()
    for _ in range(30):
        await planning.do_all(drain=[ANDROID])
        planning.clock.move(0.1)
    assert (await planning.planned())[ANDROID] == planning.everybody(ANDROID)
    assert (await planning.planned())[NO_LANE] == ["9999"]
    assert IOS not in await planning.planned()
    campaign = await planning.campaign()
    assert (campaign.planned, campaign.planning_over) == (False, False)
    assert {chain for chain, done in (await planning.chains()).items() if not done} == {
        f"0.{number}=apns_ios" for number in range(3)
    }
    for _ in range(30):  # it is well again
        await planning.do_all()
        planning.clock.move(0.1)
    await assert_exact(planning, IOS, ANDROID, NO_LANE)
    assert await planning.count(failures) == 1


async def test_a_lane_that_falls_ill_in_the_middle_gets_all_of_its_own_later(planning: World) -> None:
    await planning.start()
    await planning.do_one()
    for lease in await planning.take(2):
        await planning.do(lease)
    for ill, well in ((IOS, ANDROID), (ANDROID, IOS)):
        await planning.clog(ill, 8)
        for _ in range(6):
            await planning.do_all(drain=[well])
            planning.clock.move(0.1)
    for _ in range(30):
        await planning.do_all()
        planning.clock.move(0.1)
    await assert_exact(planning)


async def test_what_waits_to_be_tried_again_hardly_counts(local: World) -> None:
    """A paused campaign, or one with many retries, keeps no other from being planned; yet there is an end to it."""
    await local.clog(IOS, 8, delay=60.0)
    await local.clog(ANDROID, 8 * PATIENT, delay=60.0)
    await local.start()
    await local.do_all(drain=[IOS])
    for _ in range(30):
        local.clock.move(0.1)
        await local.do_all(drain=[IOS])
    assert (await local.planned()) == {IOS: local.everybody(IOS)}


@pytest.mark.parametrize("state", [CampaignState.CANCELLING, CampaignState.FAILED])
async def test_the_rest_of_a_stopped_campaign_is_not_read(planning: World, state: CampaignState) -> None:
    await planning.start()
    for _ in range(3):
        await planning.do_one()
    read = await planning.read()
    await planning.move(state)
    (stale,) = await planning.take()
    await planning.do(stale)
    await planning.do(stale)
    await planning.do_all()
    assert await planning.read() == read
    campaign = await planning.campaign()
    assert (campaign.planned, campaign.planning_over) == (False, True)
    assert all((await planning.chains()).values())
    assert (await planning.queue.depths([PLAN]))[PLAN].total == 0
    await assert_that_the_rest_can_be_read(planning)


async def test_of_what_is_stopped_before_it_began_nobody_is_read(planning: World) -> None:
    await planning.start()
    await planning.move(CampaignState.CANCELLING)
    await planning.do_all()
    assert await planning.read() == (0, 0)
    campaign = await planning.campaign()
    assert (campaign.planned, campaign.planning_over) == (False, True)
    assert (await planning.queue.depths([PLAN]))[PLAN].total == 0
    await assert_that_the_rest_can_be_read(planning)


async def assert_that_the_rest_can_be_read(planning: World) -> None:
    """Whoever isn't in a batch is unread, and nobody else."""
    planned = {key for keys in (await planning.planned()).values() for key in keys}
    left = FailedAudience(planning.database, planning.people, Selection(source="people", failed_of=CAMPAIGN))
    found: list[str] = []
    for whole in await left.ranges(4):
        part: Range | None = whole
        while part is not None:
            page = await left.page(part, 7, Wanted())
            found += [key.decode() for key in page.keys]
            part = None if page.cursor is None else msgspec.structs.replace(part, after=page.cursor)
    assert sorted(found) == sorted(planning.people.rows.keys() - planned)
    assert sum((await left.count()).values()) == len(found)


async def test_a_paused_campaign_waits(local: World) -> None:
    await local.start()
    for _ in range(2):
        await local.do_one()
    await local.move(CampaignState.PAUSED)
    before = await local.read()
    for _ in range(5):
        await local.do_all()
        local.clock.move(1.0)
    assert await local.read() == before
    await local.move(CampaignState.RUNNING)
    await local.do_all()
    await assert_exact(local)


async def test_a_scheduled_campaign_starts_at_its_time(local: World) -> None:
    await local.start(state=CampaignState.SCHEDULED, starts_at=local.clock() + 90)
    for _ in range(3):
        await local.do_all()
        assert (await local.campaign()).state is CampaignState.SCHEDULED
        assert await local.read() == (0, 0)
        local.clock.move(29.9)
    local.clock.move(0.4)
    await local.do_all()
    assert (await local.campaign()).state is CampaignState.RUNNING
    await assert_exact(local)


async def test_an_audience_that_emptied_meanwhile_ends_at_once(planning: World) -> None:
    await planning.start()
    planning.people.rows.clear()
    await planning.do_all()
    assert (await planning.campaign()).planned
    assert await planning.count(batches) == 0
    now = planning.clock()
    assert await planning.database.write(lambda connection: campaigns.finish(connection, [CAMPAIGN], now))
    assert (await planning.campaign()).state is CampaignState.COMPLETED


async def test_rows_that_come_go_or_change_shift_nobody_else(local: World) -> None:
    rows = local.people.rows
    await local.start()
    for _ in range(3):
        await local.do_one()
    planned = {key for keys in (await local.planned()).values() for key in keys}
    left = sorted(set(rows) - planned)
    gone, moved = left[0], left[-1]
    passed = min(planned)
    del rows[gone], rows[passed]
    rows[moved] = ANDROID if rows[moved] == IOS else IOS
    rows |= {"000000a": IOS, "999999": IOS, "~": ANDROID}  # one that the chain has passed, two behind the end
    await local.do_all()
    found = [key for keys in (await local.planned()).values() for key in keys]
    assert len(found) == len(set(found))
    assert {f"{number:06}" for number in range(100)} - set(found) == {gone}
    assert moved in (await local.planned())[rows[moved]]
    assert not {"999999", "~"} & set(found)
