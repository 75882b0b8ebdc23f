"""What a lane's sender holds: leases that are kept up or were lost, checkpoints, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from stentor.account import Account, Failure, Receipt, Waiting, unknown
from stentor.batch import VERSION, Batch
from stentor.clock import steady
from stentor.errors import StoreUnavailable
from stentor.outcome import Outcome, Verdict
from stentor.providers.contract import Answer, Taken
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Known, Ledger, Settlement, Then
from stentor.sending.delivery import Delivery
from stentor.sending.held import Held
from stentor.sending.suspects import SUSPECT, Suspects

LEASE = 30.0
NOW = 1_800_000_000.0


class QueueDouble:
    def __init__(self) -> None:
        self.extended: list[list[str]] = []
        self.is_away = False
        self.meanwhile: Callable[[], None] = lambda: None
        self.lost: set[str] = set()

    async def extend(self, leases: Sequence[Lease], lease: float) -> list[Lease]:
        if self.is_away:
            raise StoreUnavailable
        assert lease == LEASE
        self.extended.append([each.token for each in leases])
        self.meanwhile()
        return [replace(each, until=steady() + lease) for each in leases if each.token not in self.lost]


class LedgerDouble:
    def __init__(self) -> None:
        self.recorded: list[Settlement] = []

    async def record(self, settlement: Settlement) -> None:
        self.recorded.append(settlement)


class FlightDouble:
    def __init__(self, accepted: bytes = b"") -> None:
        self.mask = accepted
        self.refused: dict[int, Answer] = {}
        self.withdrawn: list[str] = []

    def answers(self, _now: float) -> dict[int, Answer]:
        return self.refused

    def accepted(self) -> bytes:
        return self.mask

    def receipts(self) -> dict[int, Taken]:
        return {0: Taken(at=NOW, id="7")}

    async def done(self) -> None: ...

    def withdraw(self, reason: str) -> None:
        self.withdrawn.append(reason)


class Stage:
    def __init__(self) -> None:
        self.queue = QueueDouble()
        self.ledger = LedgerDouble()
        self.quarantine: set[str] = set()
        self.suspects = Suspects(self.quarantine)
        self.held = Held(cast(Queue, self.queue), cast(Ledger, self.ledger), LEASE, self.suspects)

    def hold(self, name: str, seconds: float = LEASE, **lease: Any) -> Delivery:
        """One that is held for so many seconds more, and flies."""
        (delivery,) = self.held.take_in([made(name, seconds, **lease)], {})
        delivery.flight = FlightDouble()
        return delivery


def made(name: str, seconds: float = LEASE, *, deliveries: int = 1, token: str = "") -> Lease:
    return Lease(
        id=name,
        lane="apns/ios",
        campaign_id="c1",
        payload=b"",
        deliveries=deliveries,
        token=token or f"{name}'s",
        until=steady() + seconds,
    )


def batch(size: int) -> Batch:
    columns = [b"%d" % position for position in range(size)]
    return Batch(
        version=VERSION,
        id="b",
        campaign_id="c1",
        lane="apns/ios",
        expires_at=0.0,
        recipients=columns,
        addresses=columns,
    )


def withdrawn(delivery: Delivery) -> list[str]:
    assert isinstance(delivery.flight, FlightDouble)
    return delivery.flight.withdrawn


@pytest.fixture
async def stage() -> Stage:
    return Stage()


# -- leases ------------------------------------------------------------------------------------------------------------


async def test_leases_are_renewed_when_half_of_their_time_is_over(stage: Stage) -> None:
    fresh, late = stage.hold("fresh", LEASE * 0.6), stage.hold("late", LEASE * 0.4)
    until = fresh.lease.until
    await stage.held.renew_leases()
    assert stage.queue.extended == [["late's"]]
    assert late.lease.until > steady() + LEASE * 0.9
    assert fresh.lease.until == until
    await stage.held.renew_leases()
    assert len(stage.queue.extended) == 1


async def test_what_lost_its_lease_is_withdrawn_once_and_not_asked_for_again(stage: Stage) -> None:
    lost, kept = stage.hold("lost", -0.001), stage.hold("kept")
    for _ in range(2):
        stage.held.lose_ended()
        await stage.held.renew_leases()
    assert withdrawn(lost) == ["its lease has ended"]
    assert (lost.lost, kept.lost) == (True, False)
    assert stage.queue.extended == []


async def test_what_lost_its_lease_before_it_flies_does_not_begin_to(stage: Stage) -> None:
    lost = stage.hold("lost", -0.001)
    lost.flight, lost.beginning = None, asyncio.timeout(None)
    is_cut_off = False
    try:
        async with lost.beginning:
            stage.held.lose_ended()
            await asyncio.sleep(30)
    except TimeoutError:
        is_cut_off = True
    assert is_cut_off
    assert lost.lost


async def test_a_lease_that_another_has_by_now_is_not_renewed(stage: Stage) -> None:
    early, late = stage.hold("early", LEASE * 0.4), stage.hold("late", LEASE * 0.4)
    until = early.lease.until
    stage.queue.lost = {"late's"}
    await stage.held.renew_leases()
    assert stage.queue.extended == [["early's", "late's"]]
    assert (late.lost, withdrawn(late)) == (True, ["its lease has ended"])
    assert (early.lost, early.lease.until > until) == (False, True)


async def test_a_batch_that_is_taken_again_while_it_is_renewed_has_its_new_lease(stage: Stage) -> None:
    held = stage.hold("b", LEASE * 0.4)
    stage.queue.meanwhile = lambda: held.retake(made("b", token="new"))
    await stage.held.renew_leases()
    assert held.lease.token == "new"


async def test_a_lease_that_cannot_be_renewed_is_not_believed_to_be(stage: Stage) -> None:
    late = stage.hold("late", LEASE * 0.4)
    until = late.lease.until
    stage.queue.is_away = True
    await stage.held.renew_leases()
    assert late.lease.until == until
    assert withdrawn(late) == []
    stage.queue.is_away = False
    await stage.held.renew_leases()
    assert late.lease.until > until


async def test_what_is_taken_again_while_it_is_held_is_called_back_and_settled_by_the_new_lease(stage: Stage) -> None:
    """Others may have had it in between, and sent to those who come next."""
    held = stage.hold("b", -1.0)
    (begun,) = stage.held.take_in([made("b", token="new"), made("c")], {})
    assert begun.lease.id == "c"
    assert held.lease.token == "new"
    assert (held.settle(None, Then.ACK).then, held.give_back(1.0).then) == (Then.PUT_BACK, Then.PUT_BACK)
    assert (held.lost, withdrawn(held)) == (True, ["its lease has ended"])
    assert len(stage.held) == stage.held.flying == 2


# -- checkpoints -------------------------------------------------------------------------------------------------------


async def test_a_checkpoint_tells_who_was_accepted_at_their_places_in_the_batch(stage: Stage) -> None:
    delivery = stage.hold("b")
    delivery.read, delivery.positions = batch(5), (1, 2, 4)
    delivery.known = Known(account=unknown(5), beside=unknown(5))
    delivery.flight = flight = FlightDouble(b"\1\0\1")
    await stage.held.checkpoint(0.0, NOW, proven=False)
    await stage.held.checkpoint(0.0, NOW, proven=False)  # nothing is new
    flight.mask = b"\1\1\1"
    await stage.held.checkpoint(0.0, NOW, proven=False)
    receipts = (Receipt(1, NOW, "7"),)
    assert [each.account for each in stage.ledger.recorded] == [
        Account(outcomes=b"\0\1\0\0\1", receipts=receipts),
        Account(outcomes=b"\0\1\1\0\1", receipts=receipts),
    ]
    assert {each.then for each in stage.ledger.recorded} == {Then.KEEP}


async def test_a_checkpoint_tells_who_has_failed_for_good_and_of_nobody_else(stage: Stage) -> None:
    delivery = stage.hold("b")
    delivery.read, delivery.positions = batch(6), (0, 1, 3, 5)
    delivery.flight = flight = FlightDouble(b"\0\0\0\0")
    account = Account(outcomes=bytes(6), waiting=(Waiting(3, 2, NOW - 1, "Busy"),))
    delivery.known = Known(account=account, beside=unknown(6))
    busy = Answer(verdict=Verdict.RETRY, reason="Busy", status=503)
    flight.refused = {1: Answer(verdict=Verdict.FIX, reason="TooLarge", status=413), 3: busy}
    await stage.held.checkpoint(0.0, NOW, proven=False)
    flight.refused |= {2: Answer(verdict=Verdict.DROP, reason="Gone", status=410)}
    await stage.held.checkpoint(0.0, NOW, proven=True)
    large = Failure(position=1, outcome=Outcome.REJECTED, reason="TooLarge", status=413)
    gone = Failure(position=3, outcome=Outcome.REJECTED, reason="Gone", status=410, dead=True, since=NOW, tries=3)
    assert [(each.account.outcomes, each.account.failures) for each in stage.ledger.recorded if each.account] == [
        (b"\0\2\0\0\0\0", (large,)),
        (b"\0\2\0\2\0\0", (large, gone)),
    ]


def test_an_intent_tells_who_is_next_after_which_tries_and_who_was_accepted_so_far(stage: Stage) -> None:
    delivery = stage.hold("b")
    delivery.read, delivery.positions, delivery.flight = batch(5), (1, 2, 4), FlightDouble(b"\1\0\0")
    account = Account(outcomes=bytes(5), waiting=(Waiting(4, 2, NOW - 1, "Busy"),))
    delivery.known = Known(account=account, beside=unknown(5))
    first, second = Waiting(2, 0, NOW, "Interrupted", begun=True), Waiting(4, 2, NOW, "Interrupted", begun=True)
    for upto, waiting in ((2, (first,)), (3, (first, second))):
        settlement = delivery.intend(upto - 1, upto, NOW, proven=False)
        assert settlement is not None
        assert settlement.then is Then.KEEP
        assert settlement.account == Account(outcomes=b"\0\1\0\0\0", waiting=waiting, receipts=(Receipt(1, NOW, "7"),))


async def test_a_checkpoint_tells_who_is_about_to_be_sent_as_well(stage: Stage) -> None:
    """It may be left in place of what was left before."""
    delivery = stage.hold("b")
    delivery.read, delivery.positions, delivery.flight = batch(5), (1, 2, 4), FlightDouble(b"\0\0\0")
    delivery.known = Known(account=unknown(5), beside=unknown(5))
    intent = delivery.intend(0, 3, NOW, proven=False)
    delivery.flight = FlightDouble(b"\1\0\0")
    await stage.held.checkpoint(0.0, NOW, proven=False)
    assert intent is not None
    assert intent.account is not None
    (told,) = stage.ledger.recorded
    assert told.account is not None
    assert told.account.waiting == intent.account.waiting[1:]


async def test_a_checkpoint_waits_while_it_is_told_who_is_next(stage: Stage) -> None:
    """Else the older of the two might be left over the later one."""
    delivery = stage.hold("b")
    delivery.read, delivery.positions, delivery.flight = batch(1), (0,), FlightDouble(b"\1")
    delivery.known = Known(account=unknown(1), beside=unknown(1))
    async with delivery.telling:
        checkpoint = asyncio.create_task(stage.held.checkpoint(0.0, NOW, proven=False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert stage.ledger.recorded == []
    await checkpoint
    assert len(stage.ledger.recorded) == 1


async def test_what_has_only_begun_needs_no_checkpoint(stage: Stage) -> None:
    young, unread = stage.hold("young"), stage.hold("unread")
    young.read, young.positions, young.flight = batch(1), (0,), FlightDouble(b"\1")
    young.known = Known(account=unknown(1), beside=unknown(1))
    await stage.held.checkpoint(3600.0, NOW, proven=False)
    assert stage.ledger.recorded == []
    unread.flight = None
    await stage.held.checkpoint(0.0, NOW, proven=False)
    assert [each.lease.id for each in stage.ledger.recorded] == ["young"]


# -- what comes and goes -----------------------------------------------------------------------------------------------


async def test_what_has_landed_is_held_until_it_is_let_go(stage: Stage) -> None:
    delivery = stage.hold("b")
    stage.held.land(delivery)
    assert (len(stage.held), stage.held.flying) == (1, 0)
    stage.held.let_go(delivery)
    assert (len(stage.held), stage.held.flying) == (0, 0)


async def test_a_suspect_waits_until_nothing_else_is_held_and_is_acquitted_when_it_is_let_go(stage: Stage) -> None:
    other = stage.hold("other")
    stage.suspects.draw([made("suspect", deliveries=SUSPECT + 1)])
    suspect = stage.hold("suspect", deliveries=SUSPECT + 1)
    assert suspect.suspect
    assert stage.held.has_suspect
    await asyncio.wait_for(stage.held.its_turn(other), 30)  # who is none waits for nobody
    waiting = asyncio.create_task(stage.held.its_turn(suspect))
    await asyncio.sleep(0)
    stage.held.land(other)
    await asyncio.sleep(0)
    assert not waiting.done()
    stage.held.let_go(other)
    await asyncio.wait_for(waiting, 30)
    assert stage.quarantine == {"suspect"}
    stage.held.let_go(suspect)
    assert stage.quarantine == set()
    assert not stage.held.has_suspect


async def test_what_waits_for_a_credential_is_broken_off_and_what_flies_is_withdrawn(stage: Stage) -> None:
    flying, waiting = stage.hold("flying"), stage.hold("waiting")
    waiting.flight = None

    async def begin() -> None:
        async with asyncio.timeout(None) as waiting.beginning:
            await asyncio.Event().wait()

    beginning = asyncio.create_task(begin())
    await asyncio.sleep(0)
    for delivery in (flying, waiting):
        delivery.break_off("enough")
        delivery.break_off("enough")
    await asyncio.wait([beginning], timeout=30)
    assert isinstance(beginning.exception(), TimeoutError)
    assert withdrawn(flying) == ["enough"]
