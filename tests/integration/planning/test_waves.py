"""Waves: everybody is read once, held until their moment, and put in time, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace

import pytest
import sqlalchemy as sa

from stentor.audience.contract import Page
from stentor.batch import Batch, decode_batch
from stentor.own_reasons import NOT_IN_AUDIENCE
from stentor.planning.caretaker import AHEAD, Caretaker
from stentor.planning.division import Assigned, LeftOut, Wave
from stentor.planning.planner import FULL_PAUSE, LATE, Plan
from stentor.queue.contract import PLAN, Lease
from stentor.recording.audit import audit
from stentor.recording.losses import Losses
from stentor.recording.report import LaneCounts, progress
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.tables import failures
from stentor.testing.queue import ManualClock
from tests.integration.planning.world import ANDROID, CAMPAIGN, HOLD, IOS, World, crowd, world

HOUR = 3600.0
LATER = {"1": HOUR, "3": HOUR, "5": HOUR, "7": HOUR, "9": 2 * HOUR}
"""By the last digit of a key: after how many seconds it gets the message."""
LEFT_OUT = "8"
LIFETIME = 3600.0


@dataclass
class Waves(World):
    """A world in which each second recipient, all those on Android, gets the message later."""

    began: float = 0.0
    gated: Collection[str] = ()
    late: Assigned = field(default_factory=Assigned)

    async def plan(self, lease: Lease) -> Plan:
        return replace(await super().plan(lease), moments=self)

    def wave(self, key: str, now: float) -> Wave | None:
        at, gated = self.began + LATER.get(key[-1], 0.0), key in self.gated
        return Wave(at, gated=gated) if at > now or gated else None

    def again(self, page: Page, now: float) -> Assigned:
        return self.late

    def assign(self, page: Page, now: float) -> Assigned:
        return Assigned(
            waves=[self.wave(key.decode(), now) for key in page.keys],
            left_out={key: LeftOut("Skipped", "by a rule") for key in page.keys if key.decode()[-1] == LEFT_OUT},
        )

    async def look_after(self) -> None:
        """As schedulers do."""
        await Caretaker(self.database, self.queue, self.clock).look()

    async def due(self) -> list[Batch]:
        """What has come to be sent by now, taken and ended."""
        found = []
        await self.look_after()
        for _ in range(100):
            for lane in self.lanes:
                leases = await self.queue.take(lane, 1000, HOLD)
                found += [decode_batch(lease.payload) for lease in leases]
                await self.queue.settle(ack=leases)
            if not (steps := await self.take()):
                return found
            await self.do(steps[0])
        raise AssertionError("the planning doesn't end")

    async def held(self) -> dict[float, int]:
        """Who is held, by the seconds after the start."""
        async with self.database.read() as connection:
            now = await progress(connection, CAMPAIGN, self.clock())
        return {wave.at - self.began: wave.held for wave in now.waves}


def keys(found: list[Batch]) -> list[str]:
    return sorted(key.decode() for batch in found for key in batch.recipients)


def everybody(size: int, after: float | None) -> list[str]:
    return [key for key in sorted(crowd(IOS, size=size)) if LATER.get(key[-1]) == after and key[-1] != LEFT_OUT]


@pytest.fixture
async def timed(database_url: str) -> AsyncIterator[Waves]:
    async with world(database_url, crowd(IOS, ANDROID, size=60)) as made:
        found = Waves(database=made.database, people=made.people)
        found.began = found.clock()
        yield found


async def test_each_wave_is_put_when_it_begins_and_everybody_once(timed: Waves) -> None:
    await timed.start()
    assert keys(await timed.due()) == everybody(60, None)
    assert await timed.held() == {HOUR: 24, 2 * HOUR: 6}
    timed.clock.move(HOUR - 1)
    assert await timed.due() == []
    timed.clock.move(1)
    first = await timed.due()
    assert keys(first) == everybody(60, HOUR)
    assert {batch.expires_at - timed.began for batch in first} == {HOUR + LIFETIME}
    assert await timed.held() == {2 * HOUR: 6}
    assert not (await timed.campaign()).planned
    timed.clock.move(HOUR)
    last = await timed.due()
    assert keys(last) == everybody(60, 2 * HOUR)
    assert {batch.expires_at - timed.began for batch in last} == {2 * HOUR + LIFETIME}
    assert (await timed.campaign()).planned
    assert await timed.planned() == {lane: timed.everybody(lane) for lane in (IOS, ANDROID)}


async def test_the_account_holds_while_some_are_held(timed: Waves) -> None:
    await timed.start()
    await timed.do_all(drain=())
    async with timed.database.read() as connection:
        found = await audit(connection, CAMPAIGN, timed.clock())
        now = await progress(connection, CAMPAIGN, timed.clock())
    assert found.exact, found
    assert (now.total.read, now.total.held, now.total.rejected) == (60, 30, 6)
    assert now.lanes[ANDROID] == LaneCounts(read=30, queued=0, held=30)
    assert now.total.queued == 24
    assert await Losses(timed.database, timed.queue, None).find(CAMPAIGN) == []


async def test_a_wave_is_queued_shortly_before_and_not_at_the_start(timed: Waves) -> None:
    await timed.start()
    await timed.do_all()
    await timed.look_after()
    assert (await timed.queue.depths([PLAN]))[PLAN].total == 0
    timed.clock.move(HOUR - AHEAD)
    await timed.look_after()
    await timed.look_after()
    assert (await timed.queue.depths([PLAN]))[PLAN].ready == 1
    await timed.do_one()
    assert (await timed.queue.depths([PLAN]))[PLAN].delayed == 1
    timed.clock.move(AHEAD)
    assert keys(await timed.due()) == everybody(60, HOUR)


async def test_addresses_are_read_again_and_who_has_gone_is_told(timed: Waves) -> None:
    await timed.start()
    await timed.due()
    gone, moved = everybody(60, HOUR)[:2]
    del timed.people.rows[gone]
    timed.people.rows[moved] = IOS
    timed.clock.move(HOUR)
    found = await timed.due()
    reached = {
        key.decode()
        for batch in found
        for key, address in zip(batch.recipients, batch.addresses, strict=True)
        if address
    }
    assert reached == {*everybody(60, HOUR)} - {gone, moved}
    async with timed.database.read() as connection:
        rows = (await connection.execute(sa.select(failures).where(failures.c.reason == NOT_IN_AUDIENCE))).all()
    assert sorted(row.installation for row in rows) == [gone, moved]
    assert {row.tries for row in rows} == {0}


async def test_a_batch_of_which_everybody_has_gone_is_not_queued(timed: Waves) -> None:
    await timed.start()
    await timed.due()
    timed.people.rows.clear()
    timed.clock.move(2 * HOUR)
    assert await timed.due() == []
    assert (await timed.campaign()).planned
    assert await timed.count(failures) == 30 + 6


async def test_a_planner_that_dies_between_two_steps_of_a_wave_loses_and_doubles_nobody(timed: Waves) -> None:
    """Each step is taken twice, by one who dies before it is done, and done twice."""
    timed.settings = timed.settings.model_copy(update={"page": 10, "depth": 100})
    await timed.start()
    await timed.due()
    timed.clock.move(2 * HOUR)
    await timed.look_after()
    found: list[Batch] = []
    for _ in range(40):
        if not (leases := await timed.take()):
            break
        timed.clock.move(HOLD + 1)  # whoever took it is dead
        again = await timed.take(10)
        for lease in again:
            await timed.do(lease)
            await timed.do(lease)
        await timed.do(leases[0])
    for lane in timed.lanes:
        found += [decode_batch(each.payload) for each in await timed.queue.take(lane, 1000, HOLD)]
    assert keys(found) == sorted(everybody(60, HOUR) + everybody(60, 2 * HOUR))
    assert (await timed.campaign()).planned


async def test_a_wave_that_gets_somebody_after_its_end_goes_on(timed: Waves) -> None:
    """A planner whose clock is an hour slow, or a page that took as long: its wave has begun, and ended."""
    await timed.start()
    await timed.do_one()
    slow, *others = await timed.take(10)
    for lease in others:
        await timed.do(lease)
    (slow,) = await timed.queue.extend([slow], 3 * HOUR)
    timed.clock.move(2 * HOUR)
    early = keys(await timed.due())
    assert await timed.held() == {}
    assert [done for chain, done in (await timed.chains()).items() if chain.startswith("w")] == [True, True]
    now, timed.clock = timed.clock, ManualClock(timed.began)
    await timed.do(slow, timed.planner())
    assert await timed.held() == {HOUR: 4, 2 * HOUR: 1}
    timed.clock = now
    late = keys(await timed.due())
    assert sorted(early + late) == sorted(key for after in (None, HOUR, 2 * HOUR) for key in everybody(60, after))
    assert (await timed.campaign()).planned


async def test_pausing_holds_waves_back_and_resuming_lets_them_go(timed: Waves) -> None:
    await timed.start()
    await timed.due()
    await timed.move(CampaignState.PAUSED)
    timed.clock.move(HOUR)
    await timed.look_after()
    assert await timed.take(10) == [], "a step that waits for days is not in the queue"
    assert await timed.held() == {HOUR: 24, 2 * HOUR: 6}
    await timed.move(CampaignState.RUNNING)
    timed.clock.move(10)
    assert keys(await timed.due()) == everybody(60, HOUR)


@pytest.mark.parametrize("state", [CampaignState.CANCELLING, CampaignState.FAILED])
async def test_whoever_is_held_of_a_stopped_campaign_ends_as_cancelled_at_once(
    timed: Waves, state: CampaignState
) -> None:
    await timed.start()
    await timed.due()
    await timed.move(state)
    assert await timed.due() == [], "no sender is asked: it may not know of the stop yet"
    assert await timed.held() == {}
    async with timed.database.read() as connection:
        now = await progress(connection, CAMPAIGN, timed.clock())
    assert (now.total.cancelled, now.total.pending) == (30, 24)
    assert now.campaign.planning_over


async def test_a_deep_lane_holds_up_no_other_lane_of_a_wave(timed: Waves) -> None:
    moved = everybody(60, HOUR)[::2]
    timed.people.rows.update(dict.fromkeys(moved, IOS))
    await timed.start()
    await timed.due()
    timed.clock.move(HOUR)
    await timed.clog(ANDROID, timed.settings.depth)
    await timed.look_after()
    for _ in range(20):
        for lease in await timed.take():
            await timed.do(lease)
    found = [decode_batch(lease.payload) for lease in await timed.queue.take(IOS, 1000, HOLD)]
    assert keys(found) == moved
    assert await timed.held() == {HOUR: 24 - len(moved), 2 * HOUR: 6}
    await timed.queue.settle(ack=await timed.queue.take(ANDROID, 1000, HOLD))
    timed.clock.move(FULL_PAUSE)
    assert keys(await timed.due()) == sorted({*everybody(60, HOUR)} - {*moved})


async def test_those_who_wait_for_a_release_hold_up_nobody_of_the_same_moment(timed: Waves) -> None:
    """All on iOS, who would get it now, and every other one of an hour later wait for a release."""
    gated = {key for key in crowd(IOS, size=60) if int(key) % 4 in (0, 2, 3) and key[-1] != LEFT_OUT}
    timed.gated = {key for key in gated if LATER.get(key[-1]) != 2 * HOUR}
    await timed.start()
    assert await timed.due() == []
    await timed.look_after()
    assert (await timed.queue.depths([PLAN]))[PLAN].total == 0, "nobody asks again and again whether it was released"
    timed.clock.move(HOUR)
    free = sorted({*everybody(60, HOUR)} - timed.gated)
    assert free
    assert keys(await timed.due()) == free
    await timed.database.write(lambda connection: campaigns.release(connection, CAMPAIGN, timed.clock()))
    released = await timed.due()
    assert keys(released) == sorted(timed.gated)
    assert {batch.expires_at - timed.began for batch in released} == {HOUR + LIFETIME}, "it counts from the release"


async def test_who_was_released_at_night_waits_for_the_morning_and_is_not_forgotten(timed: Waves) -> None:
    timed.gated = {key for key in crowd(IOS, size=60) if key[-1] == "0"}
    await timed.start()
    assert not timed.gated & {*keys(await timed.due())}
    await timed.database.write(lambda connection: campaigns.release(connection, CAMPAIGN, timed.clock()))
    timed.clock.move(LATE)
    timed.late = Assigned(waves=[Wave(timed.clock() + 60)] * len(timed.gated))
    assert await timed.due() == []
    timed.late = Assigned()
    timed.clock.move(60)
    assert keys(await timed.due()) == sorted(timed.gated)


async def test_who_is_late_for_a_wave_is_looked_at_again(timed: Waves) -> None:
    """The wave comes to be put when some of it must wait longer, and others get nothing."""
    await timed.start()
    await timed.due()
    timed.clock.move(HOUR + LATE)
    wave = everybody(60, HOUR)
    waits, out = wave[0], wave[-1]
    timed.late = Assigned(
        waves=[Wave(timed.clock() + 60) if key == waits else None for key in wave],
        left_out={out.encode(): LeftOut("QuietExpired", "at night")},
    )
    first = keys(await timed.due())
    assert waits not in first
    assert out in first, "it has its place in its batch"
    assert {*await timed.held()} == {HOUR + LATE + 60, 2 * HOUR}
    timed.late = Assigned()
    timed.clock.move(60)
    assert sorted(first + keys(await timed.due())) == wave
    async with timed.database.read() as connection:
        rows = (await connection.execute(sa.select(failures).where(failures.c.reason == "QuietExpired"))).all()
    assert [(row.installation, row.detail) for row in rows] == [(out, "at night")]
