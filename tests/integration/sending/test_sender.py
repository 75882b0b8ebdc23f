"""The sender's loop: what it takes, sends, gives back and settles, whatever the lane and the campaigns do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from stentor.outcome import Outcome, Verdict
from stentor.providers.contract import Answer
from stentor.queue.contract import Lease, Task
from stentor.recording.contract import Known
from stentor.sending import judging
from tests.integration.sending.doubles import LIFETIME, Works, refused, until, works

ALL = b"\1"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Works]:
    async with works(tmp_path, stop_within=0.2) as made:
        yield made


# -- the ordinary way --------------------------------------------------------------------------------------------------


async def test_what_is_queued_is_sent_once_and_settled(stage: Works) -> None:
    names = [await stage.put(number) for number in range(1, 21)]
    async with stage.at_work():
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [ALL * 30] * 20
    assert Counter(stage.lane.sent).most_common(1)[0][1] == 1
    assert (stage.sender.tally.batches, stage.sender.tally.sent, stage.sender.tally.accepted) == (20, 600, 600)
    assert await stage.failures() == []


async def test_as_many_batches_are_under_way_as_the_wire_can_hold_twice(stage: Works) -> None:
    for number in range(20):
        await stage.put(number, 1)
    stage.lane.holds = True
    stage.lane.room = 4000
    async with stage.at_work():
        await until(lambda: len(stage.lane.flights) == 8)
        for flight in stage.lane.flights[:3]:
            flight.answer()
        await stage.until_queue(ready=12, leased=5)  # more than half is still there
        stage.lane.flights[3].answer()
        await until(lambda: len(stage.lane.flights) == 12)
        stage.lane.holds = False
        for flight in stage.lane.flights[4:]:
            flight.answer()
        await stage.until_queue()


async def test_each_answer_settles_its_recipient(stage: Works) -> None:
    name = await stage.put(1, 4)
    answers = {
        b"c1-1-1": refused(Verdict.DROP, "Unregistered", status=410, since=5.0),
        b"c1-1-2": refused(Verdict.REJECT, "Malformed"),
        b"c1-1-3": refused(Verdict.RETRY, "Busy", known=False),
    }
    stage.lane.script = answers.get
    async with stage.at_work():
        await stage.until_queue(delayed=1)
    assert await stage.outcomes(name) == bytes([1, 2, 2, 0])
    assert [(row.installation, row.reason, row.dead, row.tries) for row in await stage.failures()] == [
        ("c1-1-1", "Unregistered", True, 1),
        ("c1-1-2", "Malformed", False, 1),
    ]
    assert [(each.position, each.tries, each.reason) for each in await stage.waiting(name)] == [(3, 1, "Busy")]
    assert stage.sender.tally.unknown == {"Busy": 1}


async def test_a_death_reported_before_the_address_was_registered_again_does_not_count(stage: Works) -> None:
    await stage.put(1, 3, registered_at=[100.0, 0.0, 10.0])
    stage.lane.script = lambda _: refused(Verdict.DROP, "Unregistered", since=50.0)
    async with stage.at_work():
        await stage.until_queue()
    assert [row.dead for row in await stage.failures()] == [False, True, True]


async def test_who_must_wait_is_sent_again_in_time_and_alone(stage: Works) -> None:
    name = await stage.put(1, 3)
    waits = {b"c1-1-0": 5.0, b"c1-1-1": 60.0}
    first = True

    def script(recipient: bytes) -> Answer | None:
        after = waits.get(recipient) if first else None
        return refused(Verdict.RETRY, "Busy", retry_after=after, asked=True) if after else None

    stage.lane.script = script
    async with stage.at_work():
        await stage.until_queue(delayed=1)
        first = False
        stage.clock.move(4.9)
        await stage.until_queue(delayed=1)
        assert len(stage.lane.flights) == 1
        stage.clock.move(1.0)
        await until(lambda: len(stage.lane.flights) == 2)
        await stage.until_queue(delayed=1)
        assert stage.lane.flights[1].recipients == [b"c1-1-0"]
        assert await stage.outcomes(name) == bytes([1, 0, 1])
        stage.clock.move(65.0)
        await stage.until_queue()
    assert stage.lane.flights[2].recipients == [b"c1-1-1"]
    assert await stage.outcomes(name) == ALL * 3
    assert await stage.waiting(name) == []


async def test_retries_end_with_the_message_and_keep_the_last_reason(stage: Works) -> None:
    name = await stage.put(1, 2)
    stage.lane.script = lambda recipient: refused(Verdict.RETRY, "Busy") if recipient == b"c1-1-1" else None
    async with stage.at_work():
        await stage.until_queue(delayed=1)
        stage.clock.move(LIFETIME)
        await stage.until_queue()
    assert len(stage.lane.flights) == 1
    assert await stage.outcomes(name) == bytes([1, Outcome.EXPIRED])
    assert [(row.reason, row.outcome, row.tries) for row in await stage.failures()] == [("Busy", Outcome.EXPIRED, 1)]


async def test_who_cannot_be_reached_for_too_long_is_given_up_although_the_message_lives(tmp_path: Path) -> None:
    async with works(tmp_path, stop_within=0.2, give_up_after=60.0) as stage:
        name = await stage.put(1, 2)
        stage.lane.script = lambda recipient: refused(Verdict.RETRY, "Strange") if recipient == b"c1-1-1" else None
        async with stage.at_work():
            await stage.until_queue(delayed=1)
            stage.clock.move(59.0)
            await stage.until_queue()
        assert await stage.outcomes(name) == bytes([1, Outcome.EXPIRED])
        assert [(row.reason, row.tries) for row in await stage.failures()] == [("Strange", 2)]


async def test_what_expired_in_the_queue_is_not_sent(stage: Works) -> None:
    name = await stage.put(1, 2)
    stage.clock.move(LIFETIME)
    async with stage.at_work():
        await stage.until_queue()
    assert stage.lane.sent == []
    assert await stage.outcomes(name) == bytes([Outcome.EXPIRED] * 2)
    assert [(row.reason, row.tries) for row in await stage.failures()] == [(judging.LIFETIME.reason, 0)] * 2


async def test_a_batch_that_is_settled_already_is_only_acked(stage: Works) -> None:
    name = await stage.put(1, 2)
    (lease,) = await stage.die_holding(1)
    async with stage.at_work():
        await stage.until_queue()
        again = Task(id=lease.id, lane=lease.lane, campaign_id=lease.campaign_id, payload=lease.payload)
        await stage.queue.settle(put=[again])
        await stage.until_queue()
    assert len(stage.lane.flights) == 1
    assert await stage.outcomes(name) == ALL * 2


async def test_what_is_urgent_is_sent_at_once_although_the_wire_is_full(stage: Works) -> None:
    stage.lane.holds = True
    for number in range(1, 20):
        await stage.put(number, 1000)
    async with stage.at_work():
        await until(lambda: stage.lane.has_begun(8))  # twice the wire's window: no more is taken
        await stage.put(1, 1, campaign="m1", urgent=True)
        await until(lambda: b"m1-1-0" in stage.lane.sent)
        assert len(stage.lane.flights) == 9
        stage.lane.holds = False
        for flight in stage.lane.flights:
            flight.answer()
        await stage.until_queue()
    assert len(stage.lane.sent) == 19_001


async def test_an_urgent_batch_is_not_held_up_by_what_is_asked_about_another(
    stage: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, asked, may_answer = stage.recorder.known, asyncio.Event(), asyncio.Event()

    async def slowly(leases: Sequence[Lease]) -> Mapping[str, Known]:
        if any(lease.campaign_id == "m1" for lease in leases):
            asked.set()
            await may_answer.wait()
        return await known(leases)

    monkeypatch.setattr(stage.recorder, "known", slowly)
    stage.lane.holds = True
    for number in range(1, 20):
        await stage.put(number, 1000)
    async with stage.at_work():
        await until(lambda: stage.lane.has_begun(8))  # twice the wire's window: no more is taken but what is urgent
        await stage.put(1, 1, campaign="m1", urgent=True)
        await asked.wait()
        await stage.put(1, 1, campaign="m2", urgent=True)
        await until(lambda: b"m2-1-0" in stage.lane.sent)
        assert b"m1-1-0" not in stage.lane.sent
        may_answer.set()
        stage.lane.holds = False
        for flight in stage.lane.flights:
            flight.answer()
        await stage.until_queue()
    assert len(stage.lane.sent) == 19_002


async def test_urgent_batches_leave_the_others_their_room(stage: Works) -> None:
    stage.lane.holds, stage.lane.room = True, 1000
    for number in range(1, 5):
        await stage.put(number, 1, campaign=f"m{number}", urgent=True)
    await stage.put(1, 1000)
    async with stage.at_work():
        await until(lambda: stage.lane.has_begun(5))
        assert stage.sender.held == 5
        for flight in stage.lane.flights:
            flight.answer()
        await stage.until_queue()
