"""Messages that nothing replaces: a sender that dies has sent nobody of whom nothing is on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stentor.outcome import Outcome, Verdict
from stentor.pace.budget import Budget
from stentor.providers.contract import Answer
from stentor.recording.contract import Settlement
from stentor.recording.recorder import Recorder
from stentor.states import CampaignState
from stentor.testing.board import MemoryBoard
from tests.integration.sending.doubles import LANE, LaneDouble, Works, quicken, refused, until, works

RATE = 400.0
SIZE = 300
DEATH = 2000.0
"""Seconds after which a lease has ended."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Works]:
    async with works(tmp_path, stop_within=0.2) as made:
        yield made


def begin(stage: Works, *, rate: float | None = RATE, holds: bool = False) -> LaneDouble:
    """Another process, with a lane whose messages nothing replaces."""
    lane = LaneDouble()
    lane.collapses, lane.holds = False, holds
    stage.begin_again(lane)
    stage.sender.share(Budget(MemoryBoard(), LANE, rate))
    return lane


@asynccontextmanager
async def dying(stage: Works) -> AsyncIterator[None]:
    """A sender at work that is gone at the end, with all that it hasn't recorded."""
    async with stage.recording():
        running = asyncio.create_task(stage.sender.run())
        yield
        recorder = stage.recorder
        recorder.stop()
        running.cancel()
        await asyncio.wait([running])
    stage.clock.move(DEATH)


async def test_after_a_death_nobody_is_sent_twice_and_who_was_begun_is_ambiguous(stage: Works) -> None:
    first = begin(stage, holds=True)
    name = await stage.put(1, SIZE)
    async with dying(stage):
        await until(lambda: len(first.sent) > 40)
        for flight in first.flights[:3]:
            flight.answer()
        await until(lambda: len(first.sent) > 100)  # the outcomes of the first went along with later intents
        known = set(first.sent)
    begun = {each.position for each in await stage.waiting(name) if each.begun}
    answered = sum(len(flight.recipients) for flight in first.flights[:3])
    assert (await stage.outcomes(name)).count(Outcome.ACCEPTED) == answered
    assert {int(recipient.rpartition(b"-")[2]) for recipient in known} <= begun | set(range(answered))
    assert len(begun) <= len(known) - answered + RATE / 10 + 1

    second = begin(stage)
    async with stage.at_work():
        await stage.until_queue()
    assert not known & set(second.sent)
    outcomes = await stage.outcomes(name)
    assert outcomes.count(Outcome.AMBIGUOUS) == len(begun)
    assert outcomes.count(Outcome.ACCEPTED) == SIZE - len(begun) == answered + len(second.sent)
    failures = await stage.failures()
    assert {(each.position, each.reason, each.tries) for each in failures} == {
        (position, "Interrupted", 1) for position in begun
    }


async def test_who_was_on_record_and_not_sent_after_all_is_sent_later(stage: Works) -> None:
    lane = begin(stage)
    name = await stage.put(1, SIZE)
    async with stage.at_work():
        await until(lambda: len(lane.sent) > 30)
        stage.desk.states["c1"] = CampaignState.PAUSED
        await until(lambda: stage.sender.held == 0)
        assert not any(each.begun for each in await stage.waiting(name))
        stage.desk.states["c1"] = CampaignState.RUNNING
        await stage.drained()
    assert await stage.outcomes(name) == bytes([Outcome.ACCEPTED]) * SIZE
    assert sorted(lane.sent) == sorted(set(lane.sent))


@pytest.mark.parametrize(
    "answer",
    [
        refused(Verdict.WAIT, "Pace", status=0, retry_after=0.01, asked=True),
        refused(Verdict.RETRY, "Busy", status=500),
        refused(Verdict.REFRESH, "Expired", status=401),
    ],
    ids=["its turn", "busy", "credential"],
)
async def test_who_must_be_tried_again_is(stage: Works, answer: Answer) -> None:
    lane = begin(stage)
    name = await stage.put(1, 40)
    seen: set[bytes] = set()

    def script(recipient: bytes) -> Answer | None:
        again = recipient in seen or int(recipient.rpartition(b"-")[2]) % 4
        seen.add(recipient)
        return None if again else answer

    lane.script = script
    async with stage.at_work():
        while (await stage.outcomes(name)).count(Outcome.ACCEPTED) < 40:
            stage.clock.move(1.0)
            await asyncio.sleep(0.01)
    assert await stage.failures() == []


async def test_what_may_have_been_sent_on_an_older_try_keeps_its_reason(stage: Works) -> None:
    lane = begin(stage)
    name = await stage.put(1, 3)
    lane.script = lambda _recipient: refused(Verdict.AMBIGUOUS, "NoAnswer", status=0)
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == bytes([Outcome.AMBIGUOUS]) * 3
    assert {each.reason for each in await stage.failures()} == {"NoAnswer"}


async def test_who_is_to_be_put_on_record_when_the_lease_is_lost_is_sent_by_another_alone(
    stage: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However sure of its lease the sender is: the store knows who took the batch last."""
    lane = begin(stage)
    name = await stage.put(1, SIZE)
    intend = stage.recorder.intend
    sent_before: list[bytes] = []

    async def late(settlement: Settlement) -> None:
        if len(lane.sent) > 50 and not sent_before:
            sent_before.extend(lane.sent)
            stage.clock.move(DEATH)
            (taken,) = await stage.queue.take(LANE, 1, 30.0)
            await stage.queue.settle(put_back=[(taken, 0.0)])
        await intend(settlement)

    monkeypatch.setattr(stage.recorder, "intend", late)
    async with stage.at_work():
        await stage.drained()
    assert sent_before
    assert sorted(lane.sent) == sorted(set(lane.sent))
    outcomes = await stage.outcomes(name)
    ambiguous = {at for at, outcome in enumerate(outcomes) if outcome == Outcome.AMBIGUOUS}
    assert outcomes.count(Outcome.ACCEPTED) == SIZE - len(ambiguous)
    sent = {int(recipient.rpartition(b"-")[2]) for recipient in lane.sent}
    assert {at for at, outcome in enumerate(outcomes) if outcome == Outcome.ACCEPTED} <= sent


async def test_while_nothing_can_be_recorded_nothing_is_sent(stage: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = begin(stage)
    name = await stage.put(1, SIZE)
    is_open = asyncio.Event()
    commit = Recorder._commit

    async def wait(self: Recorder, settlements: Sequence[Settlement]) -> AbstractSet[str]:
        await is_open.wait()
        return await commit(self, settlements)

    monkeypatch.setattr(Recorder, "_commit", wait)
    async with stage.at_work():
        await until(lambda: stage.sender.held == 1)
        await asyncio.sleep(0.1)
        assert lane.sent == []
        is_open.set()
        await stage.until_queue()
    assert await stage.outcomes(name) == bytes([Outcome.ACCEPTED]) * SIZE


async def test_after_a_death_only_those_are_ambiguous_who_would_be_shown_both(stage: Works) -> None:
    class Mixed(LaneDouble):
        def repeats(self, address: bytes) -> bool:
            return address.endswith(b"7")

    first = Mixed()
    first.holds = True
    stage.begin_again(first)
    stage.sender.share(Budget(MemoryBoard(), LANE, RATE))
    name = await stage.put(1, SIZE)
    async with dying(stage):
        await until(lambda: len(first.sent) > 40)
    begun = {each.position for each in await stage.waiting(name)}
    known = set(first.sent)
    assert {int(recipient.rpartition(b"-")[2]) for recipient in known} <= begun

    second = Mixed()
    stage.begin_again(second)
    stage.sender.share(Budget(MemoryBoard(), LANE, RATE))
    async with stage.at_work():
        await stage.until_queue()
    assert not [recipient for recipient in known & set(second.sent) if recipient.endswith(b"7")]
    ambiguous = {at for at, outcome in enumerate(await stage.outcomes(name)) if outcome == Outcome.AMBIGUOUS}
    assert ambiguous == {position for position in begun if position % 10 == 7}


async def test_a_lane_without_a_limit_has_it_on_record_too(stage: Works) -> None:
    first = begin(stage, rate=None, holds=True)
    name = await stage.put(1, SIZE)
    async with dying(stage):
        await until(lambda: first.sent)
    second = begin(stage, rate=None)
    async with stage.at_work():
        await stage.until_queue()
    assert second.sent == []
    assert await stage.outcomes(name) == bytes([Outcome.AMBIGUOUS]) * SIZE


async def test_where_a_second_push_replaces_the_first_nothing_is_noted(
    stage: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = begin(stage)
    lane.collapses = True
    monkeypatch.delattr(Recorder, "intend")
    name = await stage.put(1, 30)
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == bytes([Outcome.ACCEPTED]) * 30
