"""The sender when something is wrong: messages, campaigns, batches, the store, its own end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stentor.account import DEAD_LETTER
from stentor.clock import steady
from stentor.errors import InvalidMessage, PoolClosed, StoreUnavailable
from stentor.outcome import Outcome, Scope, Verdict
from stentor.queue.contract import Lease
from stentor.recording.contract import Known, Settlement
from stentor.sending import gatekeeper, judging, suspects
from stentor.states import CampaignState
from tests.integration.sending.doubles import LANE, FlightDouble, Works, quicken, refused, until, works

ALL = b"\1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Works]:
    async with works(tmp_path, stop_within=0.2) as made:
        yield made


# -- checkpoints and crashes -------------------------------------------------------------------------------------------


async def test_a_slow_batch_is_recorded_while_it_flies_and_after_a_crash_only_the_rest_is_sent(stage: Works) -> None:
    name = await stage.put(1, 10)
    stage.lane.holds = True
    async with stage.recording():
        running = asyncio.create_task(stage.sender.run())
        await until(lambda: stage.lane.flights)
        stage.lane.flights[0].answer(4)
        async with asyncio.timeout(30):
            while await stage.outcomes(name) != b"\1" * 4 + b"\0" * 6:
                await stage.until_queue(leased=1)
        running.cancel()
        await asyncio.wait([running])
    assert (await stage.queue.depths([LANE]))[LANE].leased == 1  # nobody could give it back
    stage.clock.move(stage.settings.lease)
    stage.begin_again()
    async with stage.at_work():
        await stage.until_queue()
    assert stage.lane.sent == [b"c1-1-%d" % position for position in range(4, 10)]
    assert await stage.outcomes(name) == ALL * 10


async def test_who_failed_is_shown_while_the_rest_of_the_batch_is_on_its_way_and_is_not_sent_to_again(
    stage: Works,
) -> None:
    name = await stage.put(1, 10)
    stage.lane.holds = True
    stage.lane.script = lambda recipient: refused(Verdict.DROP, "Gone") if recipient.endswith(b"-2") else None
    async with stage.recording():
        running = asyncio.create_task(stage.sender.run())
        await until(lambda: stage.lane.flights)
        stage.lane.flights[0].answer(4)
        async with asyncio.timeout(30):
            while await stage.outcomes(name) != b"\1\1\2\1" + bytes(6):
                await stage.until_queue(leased=1)
        assert [(row.position, row.reason, row.dead) for row in await stage.failures()] == [(2, "Gone", True)]
        running.cancel()
        await asyncio.wait([running])
    stage.clock.move(stage.settings.lease)
    stage.begin_again()
    async with stage.at_work():
        await stage.until_queue()
    assert stage.lane.sent == [b"c1-1-%d" % position for position in range(4, 10)]
    assert await stage.outcomes(name) == b"\1\1\2" + ALL * 7
    assert len(await stage.failures()) == 1


async def test_while_the_settings_may_be_wrong_nobody_is_called_dead_before_the_batch_has_landed(stage: Works) -> None:
    name = await stage.put(1, 30)
    stage.lane.holds = True
    strange = refused(Verdict.DROP, "BadDeviceToken", stop_if_all=True)
    stage.lane.script = lambda _: strange
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        stage.lane.flights[0].answer(25)
        (delivery,) = stage.sender._held
        assert delivery.checkpoint(stage.clock(), proven=stage.sender.gate.proven) is None
        stage.lane.holds = False
        stage.lane.script = lambda _: None
        stage.lane.flights[0].cut(strange)
        await stage.drained()
    assert await stage.outcomes(name) == ALL * 30
    assert await stage.failures() == []


async def test_the_lease_of_a_slow_batch_is_extended(tmp_path: Path) -> None:
    async with works(tmp_path, lease=1.0) as stage:
        await stage.put()
        stage.lane.holds = True
        extended = asyncio.Event()
        extend = stage.queue.extend

        async def watched(leases: Sequence[Lease], lease: float) -> list[Lease]:
            kept = await extend(leases, lease)
            extended.set()
            return kept

        stage.queue.extend = watched  # type: ignore[method-assign]
        async with stage.at_work():
            await until(lambda: stage.lane.flights)
            stage.clock.move(0.9)
            await asyncio.wait_for(extended.wait(), 30)
            stage.clock.move(0.9)
            assert await stage.queue.take(LANE, 1, 1.0) == []
            stage.lane.flights[0].answer()
            await stage.until_queue()


# -- pauses and cancels ------------------------------------------------------------------------------------------------


async def test_a_pause_takes_back_what_is_not_sent_and_counts_no_try(stage: Works) -> None:
    name = await stage.put(1, 10)
    stage.lane.holds = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        stage.lane.flights[0].answer(4)
        stage.desk.states["c1"] = CampaignState.PAUSED
        await stage.until_queue(delayed=1)
        assert await stage.outcomes(name) == b"\1" * 4 + b"\0" * 6
        assert await stage.waiting(name) == []
        assert await stage.failures() == []
        stage.lane.holds = False
        stage.desk.states["c1"] = CampaignState.RUNNING
        stage.clock.move(gatekeeper.LONGEST_WAIT)
        await stage.until_queue()
    assert stage.lane.flights[1].recipients == stage.lane.flights[0].recipients[4:]
    assert await stage.outcomes(name) == ALL * 10


async def test_another_campaign_goes_on_while_one_is_paused(stage: Works) -> None:
    await stage.put(1)
    await stage.put(2, campaign="c2")
    stage.desk.states["c1"] = CampaignState.PAUSED
    async with stage.at_work():
        await stage.until_queue(delayed=1)
    assert stage.lane.sent == [b"c2-2-%d" % position for position in range(30)]


@pytest.mark.parametrize("state", [CampaignState.CANCELLING, CampaignState.CANCELLED, CampaignState.FAILED])
async def test_what_was_called_off_is_settled_without_being_sent(stage: Works, state: CampaignState) -> None:
    name = await stage.put(1, 10)
    queued = await stage.put(2, 3)
    stage.lane.holds = True
    stage.lane.room = 1
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        stage.lane.flights[0].answer(4)
        stage.desk.states["c1"] = state
        await stage.until_queue()
    assert await stage.outcomes(name) == b"\1" * 4 + bytes([Outcome.CANCELLED] * 6)
    assert set(await stage.outcomes(queued)) <= {Outcome.CANCELLED}
    assert await stage.failures() == []


async def test_a_closed_gate_does_not_keep_what_was_called_off(stage: Works) -> None:
    names = [await stage.put(number) for number in (1, 2)]
    stage.sender.gate.throttle(3600.0, steady())
    async with stage.at_work():
        await stage.until_queue(ready=2)
        stage.desk.states["c1"] = CampaignState.CANCELLING
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [bytes([Outcome.CANCELLED] * 30)] * 2
    assert stage.lane.began == 0


async def test_who_may_have_got_it_is_not_called_cancelled(stage: Works) -> None:
    name = await stage.put(1, 2)
    stage.lane.script = lambda recipient: refused(
        Verdict.AMBIGUOUS if recipient == b"c1-1-0" else Verdict.RETRY, "NoAnswer", status=0
    )
    async with stage.at_work():
        await stage.until_queue(delayed=1)
        stage.desk.states["c1"] = CampaignState.CANCELLING
        await stage.drained()
    assert await stage.outcomes(name) == bytes([Outcome.AMBIGUOUS, Outcome.CANCELLED])
    assert [(row.installation, row.reason) for row in await stage.failures()] == [("c1-1-0", "NoAnswer")]


# -- the message -------------------------------------------------------------------------------------------------------


async def test_a_message_that_the_provider_refuses_is_sent_no_more(stage: Works) -> None:
    names = [await stage.put(number) for number in range(1, 6)]
    other = await stage.put(9, campaign="c2")
    fix = refused(Verdict.FIX, "BadPriority", Scope.MESSAGE, detail="10, 5 or 1")
    stage.lane.script = lambda recipient: fix if recipient.startswith(b"c1") else None
    stage.lane.room = 1
    stage.lane.holds = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        stage.lane.holds = False
        for flight in list(stage.lane.flights):
            flight.answer()
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [bytes([Outcome.REJECTED] * 30)] * 5
    assert await stage.outcomes(other) == ALL * 30
    assert len([flight for flight in stage.lane.flights if flight.recipients[0].startswith(b"c1")]) <= 2
    rows = await stage.failures()
    assert {(row.reason, row.detail, row.status, row.dead) for row in rows} == {
        ("BadPriority", "10, 5 or 1", 400, False)
    }
    assert len(rows) == 150


@pytest.mark.parametrize(
    "theirs", [{"variables": [{"name": "x" * 5000}] * 30}, {"languages": bytes([1] * 30)}], ids=["texts", "language"]
)
async def test_texts_that_the_provider_refuses_concern_those_who_got_them(stage: Works, theirs: dict[str, Any]) -> None:
    refused_for = await stage.put(1, **theirs)
    too_long = refused(Verdict.FIX, "TooLong", Scope.MESSAGE)
    stage.lane.script = lambda recipient: too_long if recipient.startswith(b"c1-1-") else None
    async with stage.at_work():
        await stage.until_queue()
        names = [await stage.put(number) for number in (2, 3)]
        await stage.until_queue()
    assert await stage.outcomes(refused_for) == bytes([Outcome.REJECTED] * 30)
    assert [await stage.outcomes(name) for name in names] == [ALL * 30] * 2
    assert {(row.reason, row.dead) for row in await stage.failures()} == {("TooLong", False)}


async def test_a_message_that_cannot_be_prepared_is_refused(stage: Works) -> None:
    name = await stage.put()
    stage.lane.wrong = InvalidMessage("apns.priority", "must be 10, 5 or 1")
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == bytes([Outcome.REJECTED] * 30)
    assert (await stage.failures())[0].detail == "apns.priority: must be 10, 5 or 1"


# -- poison ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"garbage", b"\x81\xa2id\xa1\xff"], ids=["garbage", "no text"])
async def test_what_cannot_be_read_is_buried(stage: Works, payload: bytes) -> None:
    name = await stage.put(1, 3, payload=payload)
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == bytes([Outcome.AMBIGUOUS] * 3)
    assert [(row.installation, row.reason) for row in await stage.failures()] == [
        (f"c1-1-{position}", DEAD_LETTER) for position in range(3)
    ]
    (letter,) = await stage.queue.dead_letters()
    assert letter.id == name
    assert letter.reason == (await stage.failures())[0].detail


async def test_a_batch_with_other_recipients_than_planned_is_buried(stage: Works) -> None:
    name = await stage.put(1, 3, recipients=[b"x"], addresses=[b"to-x"])
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == bytes([Outcome.AMBIGUOUS] * 3)
    assert stage.lane.sent == []


async def test_a_batch_that_keeps_killing_its_senders_is_buried(stage: Works) -> None:
    name = await stage.put(1, 2)
    await stage.die_holding(stage.settings.deliveries)
    async with stage.at_work():
        await stage.until_queue()
    assert stage.lane.sent == []
    (letter,) = await stage.queue.dead_letters()
    assert "5 senders died" in letter.reason
    assert {row.outcome for row in await stage.failures()} == {Outcome.AMBIGUOUS}
    assert await stage.outcomes(name) == bytes([Outcome.AMBIGUOUS] * 2)


async def test_suspects_are_sent_alone_one_after_the_other(stage: Works) -> None:
    names = [await stage.put(number, 2) for number in range(4)]
    await stage.die_holding(suspects.SUSPECT)
    names += [await stage.put(number, 2) for number in range(4, 8)]
    stage.lane.holds = True
    crowds = []
    async with stage.at_work():
        for number in range(8):
            await until(partial(stage.lane.has_begun, number + 1))
            flight = stage.lane.flights[number]
            under_way = [each for each in stage.lane.flights if not each.landed]
            if flight.recipients[0] < b"c1-4":
                crowds.append(len(under_way))
            flight.answer()
        await stage.drained()
    assert crowds == [1] * 4
    assert [await stage.outcomes(name) for name in names] == [ALL * 2] * 8


async def test_of_several_that_were_held_by_the_same_dead_senders_none_is_buried_unheard(stage: Works) -> None:
    names = [await stage.put(number, 2) for number in range(4)]
    await stage.die_holding(stage.settings.deliveries)
    async with stage.at_work():
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [ALL * 2] * 4
    assert await stage.queue.dead_letters() == []


async def test_a_batch_of_a_campaign_that_is_gone_is_put_aside(stage: Works) -> None:
    await stage.put()
    del stage.desk.states["c1"]
    async with stage.at_work():
        await stage.until_queue()
    (letter,) = await stage.queue.dead_letters()
    assert "doesn't know" in letter.reason


# -- the store ---------------------------------------------------------------------------------------------------------


class Outage:
    """A queue and a ledger that cannot be reached while `on`."""

    def __init__(self, stage: Works) -> None:
        self.on = False
        self.attempts = 0
        self._take, self._settle, self._known = stage.queue.take, stage.queue.settle, stage.recorder.known
        stage.queue.take = self.take  # type: ignore[method-assign]
        stage.queue.settle = self.settle  # type: ignore[method-assign]
        stage.recorder.known = self.known  # type: ignore[method-assign]
        self.after_taking = False

    def _attempt(self) -> None:
        self.attempts += self.on
        if self.on:
            raise StoreUnavailable

    async def take(self, lane: str, limit: int, lease: float, *, urgent: bool = False) -> list[Lease]:
        self._attempt()
        return await self._take(lane, limit, lease)

    async def settle(self, *arguments: Any, **named: Any) -> None:
        self._attempt()
        await self._settle(*arguments, **named)

    async def known(self, leases: Sequence[Lease]) -> dict[str, Known]:
        if self.after_taking:
            self.after_taking = False
            raise StoreUnavailable
        return await self._known(leases)


async def test_an_outage_of_the_store_loses_nothing_and_holds_little(stage: Works) -> None:
    names = [await stage.put(number, 1) for number in range(60)]
    outage = Outage(stage)
    stage.lane.room = 1
    stage.lane.holds = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        outage.on = True
        stage.lane.holds = False
        for flight in list(stage.lane.flights):
            flight.answer()
        await until(lambda: outage.attempts > 10 and stage.recorder.problem)
        assert stage.sender.held <= 8
        outage.on = False
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [ALL] * 60
    assert len(stage.lane.sent) == 60


async def test_what_was_taken_in_an_outage_is_handed_back(stage: Works) -> None:
    """At once, as it counts as a death of its holder otherwise."""
    name = await stage.put()
    outage = Outage(stage)
    outage.after_taking = True
    async with stage.at_work():
        await stage.until_queue(delayed=1)
        stage.clock.move(stage.settings.lease)
        await stage.until_queue()
    assert await stage.outcomes(name) == ALL * 30


async def test_what_was_taken_while_the_process_stood_still_is_handed_back_unsent(tmp_path: Path) -> None:
    """Others may have it; and where nobody has, being slow is no death."""
    async with works(tmp_path, lease=1.0) as stage:
        name = await stage.put(1, 2)
        take = stage.queue.take

        async def slow(lane: str, limit: int, lease: float, *, urgent: bool = False) -> list[Lease]:
            leases = await take(lane, limit, lease, urgent=urgent)
            await asyncio.sleep(lease)
            stage.queue.take = take  # type: ignore[method-assign]
            return leases

        stage.queue.take = slow  # type: ignore[method-assign]
        async with stage.at_work():
            await stage.until_queue(delayed=1)
            assert stage.lane.sent == []
            stage.clock.move(judging.WAIT)
            await stage.until_queue()
        assert await stage.outcomes(name) == ALL * 2


async def test_a_suspect_that_is_handed_back_leaves_its_turn_to_another(stage: Works) -> None:
    names = [await stage.put(number, 2) for number in range(2)]
    await stage.die_holding(suspects.SUSPECT)
    outage = Outage(stage)
    outage.after_taking = True
    async with stage.at_work():
        await stage.drained()
    assert not outage.after_taking
    assert [await stage.outcomes(name) for name in names] == [ALL * 2] * 2


async def test_little_is_taken_while_much_waits_to_be_recorded(stage: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [await stage.put(number, 1) for number in range(60)]
    stage.lane.room = 1
    record, writes = stage.recorder.record, asyncio.Event()

    async def late(settlement: Settlement) -> None:
        await writes.wait()
        await record(settlement)

    monkeypatch.setattr(stage.recorder, "record", late)
    async with stage.at_work():
        await until(lambda: stage.sender.held >= 8)
        for _ in range(3):
            beat = stage.sender.beat
            await until(lambda: stage.sender.beat > beat)  # noqa: B023 - it is called at once
        assert stage.sender.held == 8
        writes.set()
        await stage.until_queue()
    assert [await stage.outcomes(name) for name in names] == [ALL] * 60


async def test_of_a_batch_whose_lease_has_ended_nothing_more_is_sent(stage: Works) -> None:
    """Another sender may have it by now, and what was accepted here is told all the same."""
    name = await stage.put(1, 4)
    stage.lane.holds = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        flight = stage.lane.flights[0]
        flight.answer(2)
        stage.lane.holds = False
        (delivery,) = stage.sender._held
        delivery.lease = replace(delivery.lease, until=0.0)
        await until(lambda: flight.withdrawn)
        await stage.until_queue()
    assert flight.withdrawn == "its lease has ended"
    assert len(stage.lane.sent) == 4 + 2
    assert await stage.outcomes(name) == ALL * 4


async def test_a_batch_whose_lease_has_ended_before_it_began_is_not_begun(
    stage: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await stage.put(1, 4)
    state, looked, go_on = stage.desk.state, asyncio.Event(), asyncio.Event()

    async def slow(campaign_id: str) -> CampaignState:
        looked.set()
        await go_on.wait()
        return await state(campaign_id)

    monkeypatch.setattr(stage.desk, "state", slow)
    async with stage.at_work():
        await looked.wait()
        (delivery,) = stage.sender._held
        delivery.lease = replace(delivery.lease, until=0.0)
        await until(lambda: delivery.lost)
        go_on.set()
        await until(lambda: not stage.sender.held)
        assert stage.lane.flights == []
        stage.clock.move(gatekeeper.LONGEST_WAIT)
        await stage.until_queue()
    assert await stage.outcomes(name) == ALL * 4


async def test_a_batch_whose_lease_ends_just_when_it_begins_is_called_back(
    stage: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await stage.put(1, 4)
    begin = stage.lane.begin

    async def ends(*columns: Any) -> FlightDouble:
        flight = await begin(*columns)
        if stage.lane.began == 1:
            (delivery,) = stage.sender._held
            delivery.lose()
        return flight

    monkeypatch.setattr(stage.lane, "begin", ends)
    stage.lane.holds = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights and stage.lane.flights[0].withdrawn)
        stage.lane.holds = False
        await stage.drained()
    assert [flight.withdrawn for flight in stage.lane.flights] == ["its lease has ended", None]
    assert await stage.outcomes(name) == ALL * 4


# -- its end -----------------------------------------------------------------------------------------------------------


async def test_what_is_under_way_at_the_end_is_finished(stage: Works) -> None:
    name = await stage.put(1, 4)
    await stage.put(2, 4)
    stage.lane.holds = True
    stage.lane.room = 1
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        stage.sender.stop()
        for flight in stage.lane.flights:
            flight.answer()
    assert await stage.outcomes(name) == ALL * 4
    assert stage.lane.flights[0].withdrawn is None
    assert stage.lane.calls == ["aclose 0.0"]


async def test_what_takes_too_long_at_the_end_is_taken_back(stage: Works) -> None:
    name = await stage.put(1, 4)
    stage.lane.holds = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        stage.lane.flights[0].answer(1)
    assert stage.lane.flights[0].withdrawn == "the sender is stopping"
    assert await stage.outcomes(name) == bytes([1, 0, 0, 0])
    assert await stage.waiting(name) == []
    await stage.until_queue(ready=1)


async def test_a_stop_does_not_wait_for_a_credential_that_does_not_come(
    stage: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def begin(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(stage.lane, "begin", begin)
    batch = await stage.put(1, 10)
    async with asyncio.timeout(30), stage.at_work():
        await asked.wait()
        stage.sender.stop()
    assert await stage.outcomes(batch) == bytes(10)
    await stage.until_queue(ready=1)


async def test_what_cannot_be_taken_back_is_cut_off(stage: Works) -> None:
    name = await stage.put(1, 2)
    stage.lane.holds = stage.lane.stubborn = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
    assert await stage.outcomes(name) == bytes(2)
    assert [each.ambiguous for each in await stage.waiting(name)] == [True, True]
    await stage.until_queue(delayed=1)


async def test_a_lane_that_is_closed_gives_its_batches_back(stage: Works) -> None:
    name = await stage.put()
    stage.lane.trouble = PoolClosed()
    async with stage.at_work():
        await until(lambda: stage.lane.began)
    assert await stage.outcomes(name) == bytes(30)
    assert stage.told == []


async def test_a_defect_ends_the_sender_and_nothing_is_lost(stage: Works) -> None:
    name = await stage.put()
    stage.lane.trouble = ZeroDivisionError()
    async with stage.recording():
        with pytest.raises(ExceptionGroup) as caught:
            await stage.sender.run()
    assert caught.group_contains(ZeroDivisionError)
    stage.clock.move(stage.settings.lease)
    stage.begin_again()
    async with stage.at_work():
        await stage.until_queue()
    assert await stage.outcomes(name) == ALL * 30


async def test_a_refusal_that_did_not_concern_all_is_forgotten(stage: Works) -> None:
    names = [await stage.put(number) for number in (1, 2)]
    stage.lane.script = lambda recipient: refused(Verdict.FIX) if recipient.startswith(b"c1-1-") else None
    stage.lane.holds = True
    async with stage.at_work():
        await until(partial(stage.lane.has_begun, 2))
        for flight in sorted(stage.lane.flights, key=lambda each: each.recipients[0]):
            flight.answer()
            await until(lambda: stage.sender.tally.rejected or stage.sender.tally.accepted)
        await stage.until_queue()
        stage.lane.holds = False
        names.append(await stage.put(3))
        await stage.until_queue()
    assert [set(await stage.outcomes(name)) for name in names] == [{Outcome.REJECTED}, {1}, {1}]
