"""A sender within a budget: batches go out in slices, and whatever forbids the next slice stops it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stentor.errors import CredentialError
from stentor.model import Action
from stentor.outcome import Outcome, Scope, Verdict
from stentor.pace import budget as budget_module
from stentor.pace import paced
from stentor.pace.budget import Budget, PlaceInLine
from stentor.pace.pacing import decode_sheet
from stentor.pace.throttles import Throttle, Throttles
from stentor.providers.contract import Answer, Renewal
from stentor.sending import sender
from stentor.sending.gate import Pass
from stentor.states import CampaignState
from stentor.testing.board import MemoryBoard
from tests.integration.sending.doubles import LANE, FlightDouble, LaneDouble, Works, refused, until, works

ALL = b"\1"
SLOW_DOWN = refused(Verdict.RETRY, "TooFast", Scope.LANE, status=429, retry_after=60.0, asked=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"TICK": 0.01, "CHECKPOINT": 0.02}.items():
        monkeypatch.setattr(sender, name, seconds)
    monkeypatch.setattr(paced, "REVIEW", 0.0)
    monkeypatch.setattr(paced, "WIRE", 0.001)


class SlicingLane(LaneDouble):
    """Its flights are as many as there are slices."""

    allowed = 1_000_000
    """Recipients after which `begin` raises `trouble`."""

    async def begin(self, prepared: object, recipients: Sequence[bytes], *columns: Any) -> FlightDouble:
        trouble, self.trouble = self.trouble, None
        if len(self.sent) >= self.allowed:
            self.trouble = trouble
        try:
            return await super().begin(prepared, recipients, *columns)
        finally:
            self.trouble = trouble


class Paced:
    """A sender at work within a budget, and another sender's part in that budget, driven by hand."""

    def __init__(self, stage: Works, rate: float | None, lane: SlicingLane | None = None) -> None:
        self.stage = stage
        self.board = MemoryBoard()
        self.lane = lane or SlicingLane()
        stage.begin_again(self.lane)
        self.budget = Budget(self.board, LANE, rate)
        stage.sender.share(self.budget)
        self.other = Budget(self.board, LANE, rate)
        self.unpaced = Budget(self.board, LANE, None)
        self.heard: list[float] = []
        self.unpaced.attach(self.heard.append, self._no_work)

    async def _no_work(self) -> bool:
        return False

    @property
    def slices(self) -> list[int]:
        return [len(flight.recipients) for flight in self.lane.flights]

    def script(self, after: int, answer: Answer) -> None:
        """From so many recipients on, all get this answer."""
        seen: list[bytes] = []

        def script(recipient: bytes) -> Answer | None:
            seen.append(recipient)
            return answer if len(seen) > after else None

        self.lane.script = script


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Works]:
    async with works(tmp_path, stop_within=0.2) as made:
        yield made


async def test_batches_go_out_in_slices_one_after_the_other_and_are_settled(stage: Works) -> None:
    made = Paced(stage, 4000.0)
    names = [await stage.put(number, 300) for number in range(1, 4)]
    async with stage.at_work():
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [ALL * 300] * 3
    assert made.lane.sent == [b"c1-%d-%d" % (number, at) for number in (1, 2, 3) for at in range(300)]
    assert len(made.slices) >= 900 / 200  # a twentieth of a second's worth at most
    assert max(made.slices) <= 200
    assert (stage.sender.tally.batches, stage.sender.tally.sent, stage.sender.tally.accepted) == (3, 900, 900)


async def test_a_slow_budget_sends_one_by_one_and_costs_no_more_memory(stage: Works) -> None:
    made = Paced(stage, 40.0)
    name = await stage.put(1, 12)
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == ALL * 12
    assert set(made.slices) <= {1, 2}


async def test_what_is_urgent_goes_before_the_rest_of_a_batch_in_hand(stage: Works) -> None:
    made = Paced(stage, 40.0)
    names = [await stage.put(1, 40)]
    async with stage.at_work():
        await until(lambda: len(made.lane.sent) >= 3)
        before = len(made.lane.sent)
        names.append(await stage.put(1, 2, campaign="m1", urgent=True))
        await until(lambda: b"m1-1-1" in made.lane.sent)
        assert len(made.lane.sent) < 42
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [ALL * 40, ALL * 2]
    assert made.lane.sent.index(b"m1-1-0") >= before
    assert max(made.slices) <= 2  # never more than the rate allows, for its sake


async def test_what_is_urgent_goes_before_first_tries_when_it_is_tried_again(stage: Works) -> None:
    made = Paced(stage, 40.0)
    refusals = iter([refused(Verdict.RETRY, "Busy", status=503)])
    made.lane.script = lambda recipient: next(refusals, None) if recipient.startswith(b"m1") else None
    name = await stage.put(1, 1, campaign="m1", urgent=True)
    async with stage.at_work():
        await stage.until_queue(delayed=1)
        await stage.put(1, 60)
        await until(lambda: len(made.lane.sent) >= 3)
        stage.clock.move(10.0)
        stage.sender.look_for_urgent()
        await until(lambda: made.lane.sent.count(b"m1-1-0") == 2)
        assert len(made.lane.sent) < 62
        await stage.until_queue()
    assert await stage.outcomes(name) == ALL


async def test_an_urgent_batch_does_not_hold_up_those_that_are_tried_again(stage: Works) -> None:
    budget = Budget(MemoryBoard(), LANE, 10.0)
    with budget.line(urgent=True):
        assert not budget.has_first_tries
        with budget.line():
            assert budget.has_first_tries


async def test_a_sender_without_a_slice_takes_nothing_urgent(stage: Works) -> None:
    made = Paced(stage, 4000.0)
    await stage.put(1, 1, campaign="m1", urgent=True)
    assert made.budget.rate == 0.0  # it has not looked at the board yet
    assert stage.sender._urgent_limit() == 0


async def test_without_a_limit_a_batch_is_sent_whole(stage: Works) -> None:
    made = Paced(stage, None)
    await stage.put(1, 300)
    async with stage.at_work():
        await stage.until_queue()
    assert made.slices == [300]
    assert made.board.writes == 0


async def test_without_a_slice_nothing_is_taken_and_with_one_it_is(stage: Works) -> None:
    made = Paced(stage, 1000.0)
    await made.other.look()  # it has all
    with made.other.line():
        await made.other.look()
        await stage.put(1, 30)
        async with stage.at_work():
            await until(lambda: made.board.writes >= 4)  # it asks for its part
            assert made.lane.flights == []
            assert decode_sheet((await made.board.read(LANE))[0]).claims.keys() == {
                made.budget._member.name,
                made.other._member.name,
            }
            await made.other.leave()
            made.budget.hint()
            await stage.until_queue()
    assert len(made.lane.sent) == 30


async def test_what_a_slow_lane_cannot_send_soon_stays_in_the_queue(stage: Works) -> None:
    made = Paced(stage, 20.0)
    for number in range(5):
        await stage.put(number, 30)
    async with stage.at_work():
        await until(lambda: made.lane.flights)
        await stage.until_queue(ready=4, leased=1)
        await until(lambda: len(made.lane.sent) > 12)  # less than a second's worth is left
        await stage.until_queue(ready=3, leased=2)


async def test_a_stop_gives_back_at_once_what_would_take_long(tmp_path: Path) -> None:
    async with works(tmp_path, stop_within=3600.0) as stage:
        made = Paced(stage, 20.0)
        name = await stage.put(1, 1000)
        async with stage.at_work():
            await until(lambda: len(made.lane.sent) >= 3)
        sent = len(made.lane.sent)
        assert sent < 1000
        assert (await stage.outcomes(name)).count(Outcome.ACCEPTED) == sent
        await stage.until_queue(ready=1)


async def test_a_call_for_quiet_stops_the_rest_of_the_batch_and_all_other_senders(stage: Works) -> None:
    made = Paced(stage, 2000.0)
    name = await stage.put(1, 1000)
    made.script(200, SLOW_DOWN)
    async with stage.at_work():
        await stage.until_queue(delayed=1)
        sent = len(made.lane.sent)
        assert 200 < sent < 600
        await until(lambda: made.board.writes > 1)
        await made.unpaced.look()
    assert len(made.heard) == 1
    assert 55.0 < made.heard[0] <= 60.0
    assert (await stage.outcomes(name)).count(Outcome.ACCEPTED) == 200
    waiting = await stage.waiting(name)
    assert len(waiting) == sent - 200
    assert {each.reason for each in waiting} == {"TooFast"}
    assert made.slices == [len(flight.recipients) for flight in made.lane.flights]
    assert stage.sender.tally.sent == sent


async def test_one_overloaded_server_among_many_does_not_silence_the_lane(stage: Works) -> None:
    made = Paced(stage, 3000.0)
    name = await stage.put(1, 600)
    made.lane.script = lambda recipient: SLOW_DOWN if recipient.endswith(b"17") else None
    async with stage.at_work():
        await stage.until_queue(delayed=1)
    assert len(made.lane.sent) == 600
    assert (await stage.outcomes(name)).count(Outcome.ACCEPTED) == 594
    assert decode_sheet((await made.board.read(LANE))[0]).quiet is None


@pytest.mark.parametrize("rate", [None, 300.0])
async def test_another_senders_call_for_quiet_stops_what_is_under_way(stage: Works, rate: float | None) -> None:
    made = Paced(stage, rate)
    made.lane.holds = True
    await stage.put(1, 500)
    await stage.put(2, 500)
    async with stage.at_work():
        await until(lambda: made.lane.flights)
        made.unpaced.be_quiet(60.0)
        await made.unpaced.look()
        made.budget.hint()
        await until(lambda: all(flight.landed for flight in made.lane.flights))
        await until(lambda: stage.sender.held == 0)
        assert made.lane.flights[0].withdrawn == "the provider asked for quiet"
        assert (await stage.queue.depths([LANE]))[LANE].leased == 0
    assert rate is None or len(made.lane.sent) < 1000
    assert made.heard == []


async def test_a_refused_credential_is_renewed_before_the_next_slice(stage: Works) -> None:
    made = Paced(stage, 2000.0)
    name = await stage.put(1, 400)
    made.script(100, refused(Verdict.REFRESH, "Expired", Scope.CREDENTIAL, status=401))
    renewed: list[object] = []

    async def renew(_flight: object) -> Renewal:
        made.lane.script = lambda _recipient: None
        renewed.append(_flight)
        return Renewal(True)

    made.lane.refused = renew  # type: ignore[method-assign]
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == ALL * 400
    assert len(renewed) == 1
    assert renewed[0] in made.lane.flights
    assert Counter(made.lane.sent).most_common(1)[0][1] == 2  # who was refused
    assert len(made.lane.sent) < 700


async def test_wrong_credentials_stop_the_rest_of_the_batch(stage: Works) -> None:
    made = Paced(stage, 2000.0)
    name = await stage.put(1, 600)
    made.script(0, refused(Verdict.STOP, "Forbidden", Scope.LANE, status=403))
    async with stage.at_work():
        await until(lambda: stage.sender.gate.problem)
        await stage.until_queue(delayed=1)
    assert len(made.lane.sent) < 400
    assert await stage.outcomes(name) == bytes(600)


async def test_credentials_that_go_wrong_between_slices_lose_nothing(stage: Works) -> None:
    made = Paced(stage, 2000.0)
    name = await stage.put(1, 600)
    made.lane.trouble = CredentialError("the key is gone")
    made.lane.allowed = 150
    made.lane.holds = True
    made.lane.script = lambda _recipient: refused(Verdict.DROP, "Gone")
    async with stage.at_work():
        await until(lambda: made.lane.began > len(made.lane.flights) > 0)
        await until(lambda: not made.budget._line)
        assert stage.sender.held == 1  # it waits for those that were begun before
        for flight in made.lane.flights:
            flight.answer()
        await stage.until_queue(delayed=1)
        assert stage.sender.gate.problem is not None
        assert "the key is gone" in stage.sender.gate.problem.what
        assert stage.sender.gate.look(0.0) is Pass.CLOSED
    sent = len(made.lane.sent)
    assert await stage.outcomes(name) == bytes([Outcome.REJECTED] * sent) + bytes(600 - sent)


async def test_a_pause_stops_it_between_slices(stage: Works) -> None:
    made = Paced(stage, 100.0)
    name = await stage.put(1, 600)
    async with stage.at_work():
        await until(lambda: len(made.slices) >= 3)
        stage.desk.states["c1"] = CampaignState.PAUSED
        await stage.until_queue(delayed=1)
        sent = len(made.lane.sent)
        stage.desk.states["c1"] = CampaignState.RUNNING
        stage.clock.move(10.0)
        await until(lambda: len(made.lane.sent) > sent)
    assert (await stage.outcomes(name)).count(Outcome.ACCEPTED) == len(made.lane.sent) < 600
    assert len(set(made.lane.sent)) == len(made.lane.sent)


async def test_what_has_become_of_some_is_recorded_while_the_rest_waits_for_its_turn(stage: Works) -> None:
    made = Paced(stage, 50.0)
    name = await stage.put(1, 600)
    made.lane.script = lambda recipient: refused(Verdict.DROP, "Gone") if recipient.endswith(b"-0") else None
    async with stage.recording():
        running = asyncio.create_task(stage.sender.run())
        async with asyncio.timeout(30):
            while (await stage.outcomes(name)).count(Outcome.ACCEPTED) < 3:
                await stage.until_queue(leased=1)
        running.cancel()
        await asyncio.wait([running])
    accepted = await stage.outcomes(name)
    assert accepted[:4] == b"\2\1\1\1"
    assert len(accepted) == 600


async def test_while_the_wire_takes_nothing_nothing_more_is_begun(stage: Works) -> None:
    made = Paced(stage, 2000.0)
    made.lane.unwritten = 101  # more than a twentieth of a second's worth
    await stage.put(1, 300)
    async with stage.at_work():
        await until(lambda: stage.sender.held == 1)
        await until(lambda: made.budget._line and made.budget._line[0].aside)
        assert made.lane.flights == []
        made.lane.unwritten = 100
        await stage.until_queue()
    assert len(made.lane.sent) == 300


@pytest.mark.parametrize("max_rate", [None, 400.0], ids=["lane's rate", "campaign's rate"])
async def test_nobody_is_tried_again_before_everybody_was_tried_once(
    stage: Works, monkeypatch: pytest.MonkeyPatch, max_rate: float | None
) -> None:
    monkeypatch.setattr(budget_module, "FIRST_TRIES", 2.0)  # so long may the second half take to be put and taken
    max_rates = {} if max_rate is None else {"c1": max_rate}
    async with throttled(stage, 400.0 if max_rate is None else None, None, **max_rates) as made:
        busy = refused(Verdict.RETRY, "TooManyRequests", status=429, retry_after=0.01, asked=True)
        put_off: set[bytes] = set()

        def put_off_once(recipient: bytes) -> Answer | None:
            if not recipient.endswith(b"7") or recipient in put_off:
                return None
            put_off.add(recipient)
            return busy

        made.lane.script = put_off_once

        names = [await stage.put(number, 50) for number in range(5)]
        async with stage.at_work():
            await until(lambda: len(made.lane.sent) >= 150)
            stage.clock.move(1.0)  # those of the first batches are due again
            names += [await stage.put(number, 50) for number in range(5, 10)]
            await stage.drained()
        assert [await stage.outcomes(name) for name in names] == [ALL * 50] * 10
        assert len(made.lane.sent) == 550
        assert len(set(made.lane.sent[:500])) == 500


# -- the flight by itself ----------------------------------------------------------------------------------------------


def fly(
    lane: LaneDouble, budget: Budget, size: int, throttle: Throttle | None = None, **controls: Any
) -> paced.PacedFlight:
    recipients = [b"%d" % number for number in range(size)]

    async def begin(start: int, stop: int) -> FlightDouble:
        part = recipients[start:stop]
        return await lane.begin(None, part, [b"to-" + each for each in part])

    given: dict[str, Any] = {
        "closed": lambda: False,
        "forbids": lambda _answers, _sent: False,
        "backlog": lambda: 0,
        "clock": lambda: 0.0,
        **controls,
    }
    return paced.PacedFlight(size, budget, begin, paced.Controls(**given), throttle)


@pytest.fixture
async def budget() -> Budget:
    made = Budget(MemoryBoard(), LANE, 2000.0)
    await made.look()
    return made


async def test_answers_are_those_of_all_slices_by_the_batchs_own_indices(budget: Budget) -> None:
    lane = LaneDouble()
    bad = refused(Verdict.DROP, "Gone")
    lane.script = lambda recipient: bad if int(recipient) % 7 == 3 else None
    flight = fly(lane, budget, 250)
    await flight.done()
    assert len(lane.flights) > 1
    assert flight.answers(0.0) == {index: bad for index in range(250) if index % 7 == 3}
    assert flight.accepted() == bytes(index % 7 != 3 for index in range(250))
    assert (flight.unsent, flight.stopped) == (0, False)
    assert "250" in repr(flight)


async def test_what_is_withdrawn_before_it_began_sends_nothing(budget: Budget) -> None:
    lane = LaneDouble()
    flight = fly(lane, budget, 30)
    flight.withdraw("paused")
    await flight.done()
    assert lane.flights == []
    assert {answer.detail for answer in flight.answers(0.0).values()} == {"paused"}
    assert len(flight.answers(0.0)) == 30
    assert (flight.accepted(), flight.unsent, flight.stopped, flight.refused) == (bytes(30), 0, True, None)


async def test_whoever_waits_may_be_cancelled(budget: Budget) -> None:
    lane = LaneDouble()
    lane.holds = True
    flight = fly(lane, budget, 5000)
    waits = asyncio.create_task(flight.done())
    await until(lambda: lane.flights)
    waits.cancel()
    await asyncio.wait([waits])
    assert waits.cancelled()
    assert all(each.withdrawn for each in lane.flights)
    assert len(flight.answers(0.0)) == 5000
    with budget.line() as place:  # the line is free again
        assert await budget.take(place, 1) == 1


async def test_answers_are_judged_by_the_latest_alone(budget: Budget) -> None:
    lane = LaneDouble()
    lane.script = lambda recipient: SLOW_DOWN if int(recipient) < 5 else None
    judged: list[tuple[int, int]] = []

    def forbids(answers: Any, sent: int) -> bool:
        judged.append((len(answers), sent))
        return False

    flight = fly(lane, budget, 400, forbids=forbids)
    await flight.done()
    assert judged[0][0] == 5
    assert len(judged) < len(lane.flights) - 1  # after others came, those are forgotten
    assert all(0 < calls <= sent <= 150 for calls, sent in judged)


async def test_a_flight_that_waits_in_the_line_can_be_withdrawn(budget: Budget) -> None:
    lane = LaneDouble()
    with budget.line() as first:
        assert isinstance(first, PlaceInLine)
        flight = fly(lane, budget, 10)
        waits = asyncio.create_task(flight.done())
        await until(lambda: len(budget._line) == 2)
        flight.withdraw("paused")
        async with asyncio.timeout(30):
            await waits
    assert lane.flights == []


# -- campaigns that go slowly ------------------------------------------------------------------------------------------


@asynccontextmanager
async def throttled(
    stage: Works, rate: float | None, through: SlicingLane | None = None, **max_rates: float
) -> AsyncIterator[Paced]:
    """A lane within a budget, or without one, and campaigns that have a rate of their own."""
    made = Paced(stage, rate, through)
    stage.desk.max_rates |= max_rates
    throttles = Throttles(made.board)
    stage.sender.share(made.budget, throttles)
    running = asyncio.create_task(throttles.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("rate", [None, 100_000.0], ids=["no-budget", "ample-budget"])
async def test_a_campaign_goes_at_its_own_rate(stage: Works, rate: float | None) -> None:
    async with throttled(stage, rate, c1=1000.0) as made:
        names = [await stage.put(number, 100) for number in (1, 2)]
        async with stage.at_work():
            await stage.until_queue()
        assert [await stage.outcomes(name) for name in names] == [ALL * 100] * 2
        assert max(made.slices) <= 50  # a twentieth of a second's worth


async def test_a_slow_campaign_holds_up_no_other(stage: Works) -> None:
    """It holds one batch at a time; the rest of it waits in the queue."""
    async with throttled(stage, None, slow=1.0) as made:
        await stage.campaign("slow")
        for number in range(1, 9):
            await stage.put(number, 100, campaign="slow")
        names = [await stage.put(number, 100) for number in range(11, 15)]
        async with stage.at_work():
            async with asyncio.timeout(30):
                while [await stage.outcomes(name) for name in names] != [ALL * 100] * 4:
                    stage.clock.move(0.1)
                    await asyncio.sleep(0.01)
                while stage.sender.held > 2:  # noqa: ASYNC110 - nothing tells when what is on record was given back
                    await asyncio.sleep(0.01)
        assert sum(key.startswith(b"slow") for key in made.lane.sent) < 100


async def test_what_its_provider_takes_less_often_goes_more_slowly(stage: Works) -> None:
    asked: list[Action] = []

    class Slackening(SlicingLane):
        def rate_of(self, action: Action) -> float | None:
            asked.append(action)
            return 1000.0

    async with throttled(stage, 100_000.0, Slackening(), c1=50_000.0) as made:
        name = await stage.put(1, 100)
        async with stage.at_work():
            await stage.until_queue()
        assert await stage.outcomes(name) == ALL * 100
        assert set(asked) == {Action.SEND}
        assert max(made.slices) <= 50
        assert decode_sheet((await made.board.read(f"{LANE}/send"))[0]).claims


async def test_the_slower_of_both_holds(stage: Works) -> None:
    async with throttled(stage, 400.0, c1=4000.0) as made:
        name = await stage.put(1, 100)
        async with stage.at_work():
            await stage.until_queue()
        assert await stage.outcomes(name) == ALL * 100
        assert max(made.slices) <= 20


# -- one that can't send holds up nobody else --------------------------------------------------------------------------


async def flown(flight: paced.PacedFlight) -> None:
    async with asyncio.timeout(30):
        await flight.done()


@asynccontextmanager
async def stuck(flight: paced.PacedFlight) -> AsyncIterator[None]:
    """While this flight wants to go on, and can't."""
    waits = asyncio.create_task(flight.done())
    await asyncio.sleep(0)
    yield
    assert not waits.done()
    waits.cancel()
    await asyncio.wait([waits])


@pytest.fixture
async def throttle() -> Throttle:
    made = Budget(MemoryBoard(), "campaign/c1", 2000.0)
    await made.look()
    return Throttle(made, 2000.0)


def unpaced(lane: str) -> Budget:
    return Budget(MemoryBoard(), lane, None)


async def test_a_lane_whose_wire_takes_nothing_leaves_a_campaigns_rate_to_the_others(throttle: Throttle) -> None:
    backlog = 1000
    sick, healthy = LaneDouble(), LaneDouble()
    first = fly(sick, unpaced("fcm/android"), 300, throttle, backlog=lambda: backlog)
    async with stuck(first):
        await flown(fly(healthy, unpaced("apns/ios"), 300, throttle))
        assert sick.flights == []
    assert len(healthy.sent) == 300


async def test_a_lane_that_begins_slowly_leaves_a_campaigns_rate_to_the_others(throttle: Throttle) -> None:
    """Its token server is silent, say."""
    sick, healthy = LaneDouble(), LaneDouble()
    never = asyncio.Event()

    async def begin(*_columns: object) -> FlightDouble:
        await never.wait()
        raise AssertionError

    sick.begin = begin  # type: ignore[method-assign, assignment]
    async with stuck(fly(sick, unpaced("fcm/android"), 300, throttle)):
        await flown(fly(healthy, unpaced("apns/ios"), 300, throttle))
    assert len(healthy.sent) == 300


async def test_a_lane_without_a_budget_leaves_a_campaigns_rate_to_the_others(throttle: Throttle) -> None:
    """All of it is another process' just now."""
    healthy = LaneDouble()
    async with stuck(fly(LaneDouble(), Budget(MemoryBoard(), "fcm/android", 100.0), 300, throttle)):
        await flown(fly(healthy, unpaced("apns/ios"), 300, throttle))
    assert len(healthy.sent) == 300


async def test_a_slow_campaign_leaves_the_lanes_budget_to_the_others(budget: Budget) -> None:
    slow = Throttle(Budget(MemoryBoard(), "campaign/slow", 1.0), 1.0)  # it has no part of that yet
    lane = LaneDouble()
    async with stuck(fly(LaneDouble(), budget, 300, slow)):
        await flown(fly(lane, budget, 300))
    assert len(lane.sent) == 300
