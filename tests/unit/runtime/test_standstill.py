"""Who is missing where a campaign stands still; and nobody is where it only looks so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import cast

import pytest

from stentor.queue.contract import PLAN, Depth, Outbox, Queue
from stentor.recording.report import LaneCounts, LaneProblem, Progress, with_missing
from stentor.runtime.standstill import LOOK_AGAIN, STILL, Standstill
from stentor.states import CampaignState
from stentor.testing.queue import ManualClock
from tests.unit.cli.moments import campaign

LANE = "apns/ios"
LEASE = 30.0
READY, HELD, DELAYED = Depth(ready=1), Depth(leased=1), Depth(delayed=1)


class FakeQueue:
    """A queue, and an outbox, that are as a test says."""

    def __init__(self) -> None:
        self.lanes: dict[str, Depth] = {}
        self.told: set[str] = set()
        self.asked = 0

    async def depths(self, lanes: Iterable[str]) -> Mapping[str, Depth]:
        self.asked += 1
        return {lane: self.lanes.get(lane, Depth()) for lane in lanes}

    async def tasks(self, campaign_id: str) -> AbstractSet[str]:
        return self.told


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def standstill(queue: FakeQueue, clock: ManualClock) -> Standstill:
    return Standstill(cast("Queue", queue), cast("Outbox", queue), LEASE, clock)


def moment(*, state: CampaignState = CampaignState.RUNNING, planned: bool = True, **counts: int) -> Progress:
    lane = LaneCounts(**{"read": 10, "queued": 10, **counts})
    return Progress(campaign=campaign(state=state, planned=planned), lanes={LANE: lane}, at=0.0)


async def after(standstill: Standstill, clock: ManualClock, progress: Progress, seconds: float) -> dict[str, str]:
    """What is said when nothing has moved for so long."""
    await standstill.look(progress)
    clock.now += seconds
    return {lane: str(problem) for lane, problem in (await standstill.look(progress)).items()}


async def test_what_was_stopped_needs_no_planner(standstill: Standstill, clock: ManualClock) -> None:
    """What is left of its audience is not read any more."""
    now = moment(state=CampaignState.CANCELLING, planned=False, queued=0)
    over = replace(now, campaign=replace(now.campaign, planning_over=True))
    assert await after(standstill, clock, over, STILL) == {}
    assert (await after(standstill, clock, now, STILL)).keys() == {PLAN}


async def test_nobody_plans(standstill: Standstill, queue: FakeQueue, clock: ManualClock) -> None:
    queue.lanes = {PLAN: READY}
    found = await after(standstill, clock, moment(planned=False, read=0, queued=0), STILL)
    assert found.keys() == {PLAN}
    assert (
        "No planner takes the work that is ready. Nothing is working on it: check whether `stentor serve`"
        in found[PLAN]
    )


async def test_nobody_puts_the_next_step(standstill: Standstill, clock: ManualClock) -> None:
    found = await after(standstill, clock, moment(planned=False, read=0, queued=0), STILL)
    assert "no scheduler" in found[PLAN]


async def test_nobody_sends(standstill: Standstill, queue: FakeQueue, clock: ManualClock) -> None:
    queue.lanes = {LANE: READY}
    found = await after(standstill, clock, moment(), STILL)
    assert "No sender takes the work that is ready" in found[LANE]
    assert "`stentor worker sender`" in found[LANE]
    assert "run `stentor campaign resume 7k2m9x1qabcdefgh`, which sends it from here" in found[LANE]


async def test_nobody_records(standstill: Standstill, queue: FakeQueue, clock: ManualClock) -> None:
    queue.told = {"a batch"}
    assert "No recorder" in (await after(standstill, clock, moment(), STILL))[LANE]


async def test_whoever_held_it_is_gone_for_good(standstill: Standstill, queue: FakeQueue, clock: ManualClock) -> None:
    """JetStream counts what a dead process held until another asks for work."""
    queue.lanes = {LANE: HELD}
    assert await after(standstill, clock, moment(), STILL + LEASE) == {}
    clock.now += LEASE
    assert "No sender" in str((await standstill.look(moment()))[LANE])


@pytest.mark.parametrize(
    ("progress", "depth"),
    [
        (moment(), HELD),
        (moment(), DELAYED),  # for the provider
        (moment(queued=0, in_flight=10), READY),
        (moment(queued=5, retrying=5), READY),
        (moment(state=CampaignState.PAUSED), READY),
        (moment(state=CampaignState.COMPLETED, queued=0), READY),
        (replace(moment(), problems={LANE: LaneProblem(problem="The key was refused")}), READY),
    ],
)
async def test_a_quiet_campaign_is_not_called_a_dead_one(
    standstill: Standstill, queue: FakeQueue, clock: ManualClock, progress: Progress, depth: Depth
) -> None:
    queue.lanes = {LANE: depth}
    assert await after(standstill, clock, progress, 10 * STILL if depth is not HELD else STILL) == {}


async def test_a_scheduled_one_should_move_when_its_time_has_come(
    standstill: Standstill, queue: FakeQueue, clock: ManualClock
) -> None:
    queue.lanes = {PLAN: READY}
    early = moment(state=CampaignState.SCHEDULED, planned=False, read=0, queued=0)
    starts_at = early.campaign.starts_at
    assert starts_at is not None
    assert await after(standstill, clock, replace(early, at=starts_at - 1), STILL) == {}
    assert PLAN in await after(standstill, clock, replace(early, at=starts_at + 1), 2 * STILL)


async def test_what_moves_is_not_asked_about(standstill: Standstill, queue: FakeQueue, clock: ManualClock) -> None:
    queue.lanes = {LANE: READY}
    for accepted in range(5):
        assert await after(standstill, clock, moment(queued=10 - accepted, accepted=accepted), STILL - 0.1) == {}
    assert queue.asked == 0
    assert await after(standstill, clock, moment(), STILL)
    assert await after(standstill, clock, moment(queued=9, accepted=1), 0.0) == {}, "it moves again"


async def test_the_queue_is_asked_now_and_then(standstill: Standstill, queue: FakeQueue, clock: ManualClock) -> None:
    queue.lanes = {LANE: READY}
    await after(standstill, clock, moment(), STILL)
    await after(standstill, clock, moment(), LOOK_AGAIN / 2)
    assert queue.asked == 1
    await after(standstill, clock, moment(), LOOK_AGAIN)
    assert queue.asked == 2


async def test_without_an_outbox_there_are_no_recorders(queue: FakeQueue, clock: ManualClock) -> None:
    queue.told = {"a batch"}
    standstill = Standstill(cast("Queue", queue), None, LEASE, clock)
    assert await after(standstill, clock, moment(), STILL) == {}


async def test_somebody_may_have_less_patience(queue: FakeQueue, clock: ManualClock) -> None:
    queue.lanes = {LANE: READY}
    standstill = Standstill(cast("Queue", queue), None, LEASE, clock, still=3.0)
    assert await after(standstill, clock, moment(), 2.9) == {}
    assert "No sender" in (await after(standstill, clock, moment(), 0.1))[LANE]


async def test_who_is_missing_is_told_although_a_part_of_the_lane_waited(
    standstill: Standstill, clock: ManualClock, queue: FakeQueue
) -> None:
    """A sender left word of silent hosts, and died."""
    queue.lanes[LANE] = READY
    part = LaneProblem(problem="the receiver a.example has answered nothing", waiting=3)
    now = replace(moment(), problems={LANE: part})
    assert "No sender takes the work" in (await after(standstill, clock, now, STILL))[LANE]
    missing = {LANE: LaneProblem(problem="no sender takes the work that is ready")}
    assert with_missing({LANE: part}, missing) == missing
    whole = {LANE: LaneProblem(problem="the provider answers nothing")}
    assert with_missing(whole, missing) == whole
    assert with_missing({LANE: part}, {}) == {LANE: part}
