"""The suite that every queue must pass: derive a class from `QueueContract` and give it its fixtures.

    class TestMine(QueueContract):
        @pytest.fixture
        async def queue(self, clock: Clock) -> AsyncIterator[Queue]: ...

`queue` and `other_queue` are two instances on the same backend, as two processes have them; both tell the time by
`clock`, whose hands only tests move. A backend with a clock of its own gives `time.time`, has `elapse` wait for real,
and sets HOLD to a few seconds. A test that a backend cannot pass is named in its DIFFERENCES with the
reason, and is skipped with it; how many there may be is asserted where the suite is used.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.clock import steady
from stentor.queue.contract import PLAN, Depth, Lease, Queue, Task

LANE = "apns/ios"
OTHER_LANE = "fcm/android"
MANY = 60


class ManualClock:
    """A clock that stands still until it is moved. Epoch seconds."""

    def __init__(self, now: float = 1_700_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def __repr__(self) -> str:
        return f"<ManualClock at {self.now}>"

    def move(self, seconds: float) -> None:
        self.now += seconds


Clock = Callable[[], float]
"""Tells the time, in epoch seconds."""


class ChangeFailed(Exception):
    """Raised by the changes of these tests."""


def make_task(
    number: int = 1,
    *,
    lane: str = LANE,
    campaign: str = "c1",
    payload: bytes = b"payload",
    urgent: bool = False,
) -> Task:
    name = f"{campaign}/{lane}/{number:04}"
    return Task(id=name, lane=lane, campaign_id=campaign, payload=payload, urgent=urgent)


def ids(tasks: Iterable[Task | Lease]) -> list[str]:
    return [task.id for task in tasks]


async def depth(queue: Queue, lane: str = LANE) -> Depth:
    return (await queue.depths([lane]))[lane]


async def fail(_connection: AsyncConnection) -> None:
    raise ChangeFailed


class QueueContract:
    """What `queue.contract.Queue` promises, sentence by sentence."""

    HOLD: ClassVar[float] = 30.0
    """Seconds for which these tests hold what they take."""
    DIFFERENCES: ClassVar[Mapping[str, str]] = {}
    """Tests that the backend cannot pass, and why."""

    @pytest.fixture(autouse=True)
    def _differences(self, request: pytest.FixtureRequest) -> None:
        name = getattr(request.node, "originalname", request.node.name)
        if (why := self.DIFFERENCES.get(name)) is not None:
            pytest.skip(why)

    @pytest.fixture
    def clock(self) -> Clock:
        return ManualClock()

    async def elapse(self, clock: Clock, seconds: float) -> None:
        """Returns when so much time has passed."""
        assert isinstance(clock, ManualClock)
        clock.move(seconds)

    async def take(self, queue: Queue, lane: str = LANE, limit: int = 10) -> list[Lease]:
        return await queue.take(lane, limit, self.HOLD)

    async def take_one(self, queue: Queue, lane: str = LANE) -> Lease:
        (lease,) = await self.take(queue, lane)
        return lease

    @pytest.fixture
    def queue(self, clock: Clock) -> Any:
        raise NotImplementedError("give the suite a queue: override this fixture")

    @pytest.fixture
    def other_queue(self, clock: Clock, queue: Queue) -> Any:
        raise NotImplementedError("give the suite a second instance on the same backend: override this fixture")

    # Taking

    async def test_an_empty_lane_gives_nothing(self, queue: Queue) -> None:
        assert await self.take(queue) == []

    async def test_what_was_put_is_taken_whole(self, queue: Queue, other_queue: Queue) -> None:
        payload = bytes(range(256)) * 1200  # larger than a database's page or a network's packet
        await queue.settle(put=[make_task(payload=payload)])
        lease = await self.take_one(other_queue)
        assert (lease.id, lease.lane, lease.campaign_id) == (make_task().id, LANE, "c1")
        assert lease.payload == payload
        assert lease.deliveries == 1
        assert lease.token

    async def test_an_empty_payload_is_kept(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(payload=b"")])
        assert (await self.take_one(queue)).payload == b""

    async def test_each_lane_has_its_own_tasks(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(1), make_task(1, lane=OTHER_LANE)])
        assert ids(await self.take(queue, OTHER_LANE)) == [make_task(1, lane=OTHER_LANE).id]
        assert ids(await self.take(queue)) == [make_task(1).id]

    async def test_what_was_ready_first_comes_first_then_by_id(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task(9), make_task(5), make_task(7)])
        await self.elapse(clock, self.HOLD / 100)
        await queue.settle(put=[make_task(2), make_task(1)])
        await self.elapse(clock, self.HOLD / 100)
        await queue.settle(put=[make_task(3)])
        expected = [make_task(number).id for number in (5, 7, 9, 1, 2, 3)]
        assert ids(await self.take(queue)) == expected

    async def test_no_more_than_the_limit_is_taken(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(number) for number in range(5)])
        taken = [ids(await self.take(queue, limit=2)) for _ in range(4)]
        assert taken == [[make_task(0).id, make_task(1).id], [make_task(2).id, make_task(3).id], [make_task(4).id], []]

    async def test_what_is_held_is_not_taken_again(self, queue: Queue, other_queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        await self.take_one(queue)
        await self.elapse(clock, self.HOLD / 4)
        assert await self.take(queue) == []
        assert await self.take(other_queue) == []

    async def test_it_comes_back_when_its_lease_ends(self, queue: Queue, other_queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        first = await self.take_one(queue)
        await self.elapse(clock, self.HOLD)
        second = await self.take_one(other_queue)
        assert second.id == first.id
        assert second.payload == first.payload
        assert second.token != first.token

    async def test_deliveries_count_every_time_it_was_taken(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        counted = []
        for _ in range(4):
            counted.append((await self.take_one(queue)).deliveries)
            await self.elapse(clock, self.HOLD)
        assert counted == [1, 2, 3, 4]

    # What is urgent

    async def test_what_is_urgent_comes_first_whatever_waits(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task(number) for number in range(5)])
        await self.elapse(clock, self.HOLD / 100)
        await queue.settle(put=[make_task(9, campaign="m1", urgent=True)])
        await self.elapse(clock, self.HOLD / 100)
        await queue.settle(put=[make_task(8, campaign="m2", urgent=True)])
        first, *others = await self.take(queue, limit=3)
        assert ids([first, *others]) == [
            make_task(9, campaign="m1").id,
            make_task(8, campaign="m2").id,
            make_task(0).id,
        ]
        assert [lease.urgent for lease in (first, *others)] == [True, True, False]
        assert first.payload == b"payload"

    async def test_what_is_urgent_is_taken_alone(self, queue: Queue, other_queue: Queue) -> None:
        assert await queue.take(LANE, 10, self.HOLD, urgent=True) == []
        await queue.settle(put=[make_task(1), make_task(2, urgent=True), make_task(3, lane=OTHER_LANE, urgent=True)])
        assert ids(await other_queue.take(LANE, 10, self.HOLD, urgent=True)) == [make_task(2).id]
        assert await queue.take(LANE, 10, self.HOLD, urgent=True) == []
        assert ids(await self.take(queue)) == [make_task(1).id]

    async def test_what_is_urgent_stays_so_however_it_comes_back(
        self, queue: Queue, other_queue: Queue, clock: Clock
    ) -> None:
        await queue.settle(put=[make_task(1, urgent=True)])
        await queue.settle(release=[(await self.take_one(queue), self.HOLD / 2)])
        await queue.settle(put=[make_task(2)])
        assert await queue.take(LANE, 1, self.HOLD, urgent=True) == []
        await self.elapse(clock, self.HOLD / 2)
        (again,) = await self.take(other_queue, limit=1)
        assert (again.id, again.urgent) == (make_task(1).id, True)
        await self.elapse(clock, self.HOLD)  # its holder died
        (third,) = await queue.take(LANE, 1, self.HOLD, urgent=True)
        assert (third.id, third.inherited) == (make_task(1).id, True)
        (extended,) = await queue.extend([third], self.HOLD)
        assert extended.urgent
        await queue.settle(ack=[extended])
        await self.elapse(clock, self.HOLD)
        assert ids(await self.take(queue)) == [make_task(2).id]

    async def test_what_is_urgent_counts_in_its_lane_s_depth(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(1, urgent=True), make_task(2)])
        assert await depth(queue) == Depth(ready=2)
        assert await queue.queued("c1") == {make_task(1).id, make_task(2).id}
        urgent, other = await self.take(queue)
        assert await depth(queue) == Depth(leased=2)
        await queue.settle(release=[(urgent, self.HOLD)], ack=[other])
        assert await depth(queue) == Depth(delayed=1)

    async def test_who_waits_for_what_is_urgent_is_told(self, queue: Queue, other_queue: Queue) -> None:
        async def until_there() -> list[Lease]:
            while True:
                assert OTHER_LANE in await queue.await_urgent([LANE, OTHER_LANE])
                if leases := await queue.take(OTHER_LANE, 1, self.HOLD, urgent=True):
                    return leases

        waiting = asyncio.create_task(until_there())
        await queue.settle(put=[make_task(1)])
        await asyncio.sleep(0)
        assert not waiting.done()
        await other_queue.settle(put=[make_task(2, lane=OTHER_LANE, urgent=True)])
        async with asyncio.timeout(20):
            assert ids(await waiting) == [make_task(2, lane=OTHER_LANE).id]

    # Putting

    async def test_a_campaign_is_withdrawn_from_all_lanes_but_what_is_held(
        self, queue: Queue, other_queue: Queue, clock: Clock
    ) -> None:
        held, delayed, ready, elsewhere = make_task(1), make_task(2), make_task(3), make_task(1, lane=OTHER_LANE)
        await queue.settle(put=[delayed])
        await queue.settle(release=[(await self.take_one(queue), 900.0)])
        await queue.settle(put=[held])
        assert (await self.take_one(other_queue)).id == held.id
        await queue.settle(put=[ready, elsewhere, make_task(1, campaign="c2")])
        withdrawn = await queue.withdraw("c1", 10, self.HOLD)
        assert sorted(ids(withdrawn)) == sorted(ids([ready, delayed, elsewhere]))
        assert {lease.lane for lease in withdrawn} == {LANE, OTHER_LANE}
        assert await other_queue.withdraw("c1", 10, self.HOLD) == []
        await queue.settle(ack=withdrawn)
        await self.elapse(clock, self.HOLD)
        assert ids(await queue.withdraw("c1", 10, self.HOLD)) == [held.id]

    async def test_no_more_than_the_limit_is_withdrawn(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(number) for number in range(3)])
        assert len(await queue.withdraw("c1", 2, self.HOLD)) == 2
        assert len(await queue.withdraw("c1", 2, self.HOLD)) == 1

    async def test_putting_again_leaves_what_is_there(self, queue: Queue, other_queue: Queue) -> None:
        await queue.settle(put=[make_task(payload=b"first")])
        await other_queue.settle(put=[make_task(payload=b"second"), make_task(2)])
        assert [lease.payload for lease in await self.take(queue)] == [b"first", b"payload"]

    async def test_the_same_task_twice_in_one_put_is_one(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(), make_task()])
        assert await depth(queue) == Depth(ready=1)

    async def test_putting_again_does_not_free_what_is_held(self, queue: Queue) -> None:
        await queue.settle(put=[make_task()])
        held = await self.take_one(queue)
        await queue.settle(put=[make_task()])
        assert await self.take(queue) == []
        await queue.settle(release=[(held, 0.0)])
        assert ids(await self.take(queue)) == [held.id]

    async def test_what_was_done_may_be_put_again(self, queue: Queue) -> None:
        await queue.settle(put=[make_task()])
        await queue.settle(ack=[await self.take_one(queue)])
        await queue.settle(put=[make_task(payload=b"again")])
        lease = await self.take_one(queue)
        assert (lease.payload, lease.deliveries) == (b"again", 1)

    async def test_iterators_serve_as_well_as_lists(self, queue: Queue) -> None:
        await queue.settle(put=iter([make_task(1), make_task(2), make_task(3)]))
        first, second, third = await self.take(queue)
        await queue.settle(ack=iter([first]), release=iter([(second, 0.0)]), bury=iter([(third, "why")]))
        assert (await depth(queue)).total == 1

    async def test_nothing_to_settle_is_nothing(self, queue: Queue) -> None:
        await queue.settle()
        assert await depth(queue) == Depth()

    # Ending leases

    async def test_an_acked_task_is_gone(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task(1), make_task(2)])
        one, two = await self.take(queue)
        await queue.settle(ack=[one])
        await self.elapse(clock, self.HOLD)
        assert ids(await self.take(queue)) == [two.id]

    async def test_an_ack_by_an_earlier_holder_is_left_alone(
        self, queue: Queue, other_queue: Queue, clock: Clock
    ) -> None:
        await queue.settle(put=[make_task()])
        earlier = await self.take_one(queue)
        await self.elapse(clock, self.HOLD)
        later = await self.take_one(other_queue)
        await queue.settle(ack=[earlier])
        assert await depth(queue) == Depth(leased=1)
        await other_queue.settle(ack=[later])
        assert await depth(queue) == Depth()

    async def test_a_lease_knows_its_end(self, queue: Queue) -> None:
        await queue.settle(put=[make_task()])
        before = steady()
        held = await self.take_one(queue)
        assert before <= held.until - self.HOLD <= steady()

    async def test_what_is_put_back_stays_inherited(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        await queue.settle(put_back=[(await self.take_one(queue), 0.0)])
        first = await self.take_one(queue)
        assert (first.deliveries, first.inherited) == (1, False)
        await self.elapse(clock, self.HOLD)
        await self.take_one(queue)
        await self.elapse(clock, self.HOLD)
        counted = []
        for _ in range(3):
            again = await self.take_one(queue)
            counted.append(again.deliveries)
            await queue.settle(put_back=[(again, 0.0)])
        assert counted == [3, 2, 2]
        await queue.settle(release=[(await self.take_one(queue), 0.0)])
        assert not (await self.take_one(queue)).inherited

    async def test_a_released_task_comes_back_after_its_delay(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task(1), make_task(2)])
        one, two = await self.take(queue)
        await queue.settle(release=[(one, self.HOLD / 2), (two, 0.0)])
        at_once = await self.take_one(queue)
        assert at_once.id == two.id
        await queue.settle(ack=[at_once])
        await self.elapse(clock, self.HOLD / 10)
        assert await self.take(queue) == []
        await self.elapse(clock, self.HOLD / 2)
        assert ids(await self.take(queue)) == [one.id]

    async def test_a_release_may_delay_beyond_the_lease(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        await queue.settle(release=[(await self.take_one(queue), self.HOLD * 2)])
        await self.elapse(clock, self.HOLD * 1.25)
        assert await self.take(queue) == []
        await self.elapse(clock, self.HOLD * 0.75)
        assert len(await self.take(queue)) == 1

    async def test_a_release_counts_deliveries_from_0(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        await self.take_one(queue)
        await self.elapse(clock, self.HOLD)
        second = await self.take_one(queue)
        await queue.settle(release=[(second, 0.0)])
        assert (second.deliveries, (await self.take_one(queue)).deliveries) == (2, 1)

    async def test_a_lost_lease_cannot_be_released_extended_or_buried(
        self, queue: Queue, other_queue: Queue, clock: Clock
    ) -> None:
        await queue.settle(put=[make_task()])
        lost = await self.take_one(queue)
        await self.elapse(clock, self.HOLD)
        held = await self.take_one(other_queue)
        await queue.settle(release=[(lost, 0.0)], bury=[(lost, "poison")])
        await queue.settle(put_back=[(lost, 0.0)])
        assert await queue.extend([lost], self.HOLD * 10) == []
        assert await depth(queue) == Depth(leased=1)
        assert await queue.dead_letters() == []
        await self.elapse(clock, self.HOLD)
        again = await self.take_one(queue)
        assert (again.id, again.deliveries) == (held.id, 2 + 1)

    async def test_what_was_released_cannot_be_released_or_buried_again(self, queue: Queue) -> None:
        await queue.settle(put=[make_task()])
        held = await self.take_one(queue)
        await queue.settle(release=[(held, 5.0)])
        await queue.settle(release=[(held, 0.0)], bury=[(held, "poison")])
        assert await depth(queue) == Depth(delayed=1)
        assert await queue.dead_letters() == []

    async def test_a_lease_that_ended_but_was_taken_by_nobody_still_holds(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        held = await self.take_one(queue)
        await self.elapse(clock, self.HOLD * 2)
        assert ids(await queue.extend([held], self.HOLD)) == [held.id]
        assert await self.take(queue) == []

    async def test_extending_holds_from_now(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task(1), make_task(2)])
        one, two = await self.take(queue)
        await self.elapse(clock, self.HOLD / 2)
        before = steady()
        (extended,) = await queue.extend([one], self.HOLD)
        assert extended.token == one.token
        assert before <= extended.until - self.HOLD <= steady()
        await self.elapse(clock, self.HOLD * 5 / 8)
        assert ids(await self.take(queue)) == [two.id]
        await self.elapse(clock, self.HOLD * 3 / 8)
        assert ids(await self.take(queue)) == [one.id]

    async def test_extending_nothing_is_nothing(self, queue: Queue) -> None:
        assert await queue.extend([], self.HOLD) == []

    # Dead letters

    async def test_a_buried_task_is_a_dead_letter(self, queue: Queue, other_queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task()])
        await self.take_one(queue)
        await self.elapse(clock, self.HOLD)
        await queue.settle(bury=[(await self.take_one(queue), "its columns have different lengths")])
        (letter,) = await other_queue.dead_letters()
        assert (letter.id, letter.lane, letter.campaign_id) == (make_task().id, LANE, "c1")
        assert letter.reason == "its columns have different lengths"
        assert letter.deliveries == 2
        assert abs(letter.at - clock()) < self.HOLD
        await self.elapse(clock, self.HOLD)
        assert await self.take(queue) == []
        assert await depth(queue) == Depth()

    async def test_dead_letters_are_told_by_campaign_the_latest_first(self, queue: Queue, clock: Clock) -> None:
        for campaign, number in (("c1", 1), ("c2", 2), ("c1", 3)):
            await queue.settle(put=[make_task(number, campaign=campaign)])
            await queue.settle(bury=[(await self.take_one(queue), "poison")])
            await self.elapse(clock, self.HOLD / 100)
        assert [letter.id[-1] for letter in await queue.dead_letters()] == ["3", "2", "1"]
        assert [letter.id[-1] for letter in await queue.dead_letters("c1")] == ["3", "1"]
        assert await queue.dead_letters("c3") == []

    async def test_what_is_buried_twice_is_one_letter_with_the_later_reason(self, queue: Queue, clock: Clock) -> None:
        for reason in ("first", "second"):
            await queue.settle(put=[make_task(1, payload=reason.encode())])
            await queue.settle(bury=[(await self.take_one(queue), reason)])
            await self.elapse(clock, self.HOLD / 100)
        assert [letter.reason for letter in await queue.dead_letters()] == ["second"]

    async def test_a_reason_may_be_of_any_text(self, queue: Queue) -> None:
        await queue.settle(put=[make_task()])
        await queue.settle(bury=[(await self.take_one(queue), "a\0b \r\n\udcff " + "x" * 3000)])
        (letter,) = await queue.dead_letters()
        assert letter.reason.startswith("a\ufffdb")
        assert await depth(queue) == Depth()

    # A change of the store

    async def test_a_change_runs_between_the_put_and_the_ends_of_leases(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(1)])
        held = await self.take_one(queue)
        ran = []

        async def change(_connection: AsyncConnection) -> None:
            ran.append(1)

        await queue.settle(change, put=[make_task(2)], ack=[held])
        assert ran
        assert ids(await self.take(queue)) == [make_task(2).id]

    async def test_a_change_that_raises_ends_no_lease(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(number) for number in (1, 2, 3)])
        one, two, three = await self.take(queue)
        with pytest.raises(ChangeFailed):
            await queue.settle(fail, ack=[one], release=[(two, 0.0)], bury=[(three, "poison")])
        assert await depth(queue) == Depth(leased=3)
        assert await queue.dead_letters() == []
        await queue.settle(ack=[one, two, three])
        assert await depth(queue) == Depth()

    async def test_all_of_a_settlement_at_once(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(number) for number in (1, 2, 3)])
        one, two, three = await self.take(queue)
        await queue.settle(put=[make_task(4)], ack=[one], release=[(two, 0.0)], bury=[(three, "poison")])
        assert (await depth(queue)).total == 2
        assert sorted(ids(await self.take(queue))) == [two.id, make_task(4).id]
        assert [letter.id for letter in await queue.dead_letters()] == [three.id]

    async def test_releasing_and_acking_one_lease_at_once_is_an_ack(self, queue: Queue) -> None:
        await queue.settle(put=[make_task()])
        held = await self.take_one(queue)
        await queue.settle(ack=[held], release=[(held, 0.0)])
        assert await depth(queue) == Depth()

    # Depths

    async def test_depths_tell_ready_delayed_and_leased_by_lane(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task(9)])
        await queue.settle(release=[(await self.take_one(queue), 60.0)])
        await queue.settle(put=[*(make_task(number) for number in range(6)), make_task(1, lane=OTHER_LANE)])
        await self.take(queue, limit=3)
        assert await queue.depths([LANE, OTHER_LANE, "none/at-all"]) == {
            LANE: Depth(ready=3, delayed=1, leased=3),
            OTHER_LANE: Depth(ready=1),
            "none/at-all": Depth(),
        }
        await self.elapse(clock, self.HOLD)
        assert await depth(queue) == Depth(ready=6, delayed=1)
        assert (await depth(queue)).total == 7
        assert await queue.depths([]) == {}

    async def test_what_is_queued_of_a_campaign_is_known_held_or_not(self, queue: Queue, other_queue: Queue) -> None:
        tasks = [make_task(1), make_task(2), make_task(1, lane=OTHER_LANE), make_task(3)]
        step = Task(id="c1/0.1/2", lane=PLAN, campaign_id="c1", payload=b"")
        await queue.settle(put=[*tasks, step, make_task(1, campaign="c2")])
        await queue.settle(ack=[await self.take_one(queue, OTHER_LANE)])
        await self.take(queue, limit=1)
        assert await other_queue.queued("c1") == set(ids([tasks[0], tasks[1], tasks[3]]))
        assert await other_queue.queued("c3") == set()

    # Clocks

    async def test_a_clock_set_back_loses_nothing(self, queue: Queue, clock: Clock) -> None:
        await queue.settle(put=[make_task(2)])
        await queue.settle(release=[(await self.take_one(queue), 5.0)])
        await queue.settle(put=[make_task(1)])
        held = await self.take_one(queue)
        await self.elapse(clock, -3600)
        await queue.settle(put=[make_task(3)])
        assert ids(await self.take(queue)) == [make_task(3).id]
        await queue.settle(release=[(held, 1.0)])
        assert (await depth(queue)).total == 3
        await self.elapse(clock, 3600 + self.HOLD)
        assert sorted(ids(await self.take(queue))) == [make_task(number).id for number in (1, 2, 3)]

    # Several at a time

    async def test_of_two_that_take_at_once_each_task_goes_to_one(self, queue: Queue, other_queue: Queue) -> None:
        await queue.settle(put=[make_task(number) for number in range(MANY)])

        async def work(mine: Queue) -> list[str]:
            done: list[str] = []
            while await depth(mine) != Depth():
                leases = await self.take(mine, limit=3)
                await mine.settle(ack=leases)
                done += ids(leases)
            return done

        done = await asyncio.gather(work(queue), work(other_queue), work(queue), work(other_queue))
        assert Counter(task for some in done for task in some) == {make_task(number).id: 1 for number in range(MANY)}

    async def test_of_two_that_put_at_once_each_task_is_there_once(self, queue: Queue, other_queue: Queue) -> None:
        steps = [[make_task(number + shift) for shift in range(4)] for number in range(MANY // 2)]
        await asyncio.gather(
            *(mine.settle(put=tasks) for tasks in steps for mine in (queue, other_queue)),
            *(mine.settle(put=reversed(tasks)) for tasks in steps for mine in (queue, other_queue)),
        )
        assert (await depth(queue)).total == MANY // 2 + 3

    async def test_putting_taking_and_ending_at_once_loses_nothing(self, queue: Queue, other_queue: Queue) -> None:
        acked: Counter[str] = Counter()
        released: set[str] = set()

        async def produce(mine: Queue, numbers: range) -> None:
            for number in numbers:
                await mine.settle(put=[make_task(number)])

        async def consume(mine: Queue) -> None:
            while len(acked) < MANY:
                leases = await self.take(mine, limit=4)
                again = [lease for lease in leases if lease.id not in released]
                released.update(ids(again))
                done = [lease for lease in leases if lease not in again]
                await mine.settle(ack=done, release=[(lease, 0.0) for lease in again])
                acked.update(ids(done))

        await asyncio.gather(
            produce(queue, range(MANY // 2)),
            produce(other_queue, range(MANY // 2, MANY)),
            consume(queue),
            consume(other_queue),
        )
        assert acked == {make_task(number).id: 1 for number in range(MANY)}
        assert await depth(queue) == Depth()
