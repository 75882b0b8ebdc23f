"""The sender: takes a lane's batches, keeps the wire full with several at once, and settles what came of each.

`LaneSender.run` takes; `_deliver` is the way of one batch: read it, leave out who is settled or must wait, send, decide
(`retry.decide`, pure), tell the gate, record. Rules: nothing sleeps inside a send, what must wait goes back to the
queue; every way out of `_deliver` acks, releases or buries its lease, or dies with the process and lets it lapse; about
once a second the outcomes of what is still under way are recorded, so that after a crash only what was in flight since
is sent again, with the same ids.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from stentor.batch import Batch, decode_batch
from stentor.config import SendingConfig
from stentor.errors import (
    BatchUnreadable,
    CredentialError,
    CredentialUnavailable,
    InvalidConfiguration,
    InvalidMessage,
    PoolClosed,
    StoreUnavailable,
)
from stentor.outcome import Outcome, Verdict
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Failure, Ledger, Settlement, Standing, Then, Waiting
from stentor.senders.contract import Answer
from stentor.senders.gate import TRIAL, Gate, Pass, Problem
from stentor.senders.lane import CampaignContent, Flight, Lane, Prepared
from stentor.senders.retry import Circumstances, Decision, decide
from stentor.states import STOPPED, CampaignState

CHECKPOINT = 1.0
"""Seconds between two recordings of what is under way."""
TICK = 0.1
"""Seconds between two looks at pauses, leases and checkpoints."""
SHORTEST_IDLE, LONGEST_IDLE = 0.01, 0.25
"""Seconds between two looks into an empty queue."""
RELOAD = 2.0
"""Seconds between two looks at the credential files of a lane that has a problem."""
SOON = 0.05
"""Seconds by which a recipient may be tried too early, so that it goes along with others of its batch."""
HELD_PAUSE = 0.5
"""Seconds after which a paused campaign's batch is looked at again."""
SUSPECT = 2
"""Deliveries from which a batch is sent alone: if it kills its sender, nobody else's count rises with it."""
DEAD_LETTER = "DeadLetter"
LIFETIME = "Lifetime"
GOES_ON = "nothing to do here; the lane goes on by itself"
MEND = "mend the credentials; the lane goes on by itself"


class Desk(Protocol):
    """What a sender must know of campaigns, and whom it tells about its lane."""

    async def content(self, campaign_id: str) -> CampaignContent:
        """What the campaign sends. Raises: UnknownCampaign, StoreUnavailable."""

    async def state(self, campaign_id: str) -> CampaignState:
        """Its state, a fraction of a second old at most. Raises: UnknownCampaign, StoreUnavailable."""

    def halted(self, campaign_id: str) -> bool:
        """Whether nothing of it may be sent just now."""

    @property
    def stopped(self) -> bool:
        """Whether any campaign with work in the queue was cancelled or has failed."""

    async def report(self, lane: str, problem: Problem | None) -> None:
        """Tell everybody why a lane doesn't send, or that it does again."""


@dataclass(slots=True, eq=False)
class _Delivery:
    """A batch that this process holds."""

    lease: Lease
    began: float
    flight: Flight | None = None
    positions: Sequence[int] = ()
    """In the batch, of those that the flight sends."""
    batch: Batch | None = None
    withdrawn: bool = False
    checkpointed: int = 0
    """How many of the flight's recipients the last checkpoint had as accepted."""
    held_until: float = 0.0
    """When the lease ends, by the monotonic clock."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a lane has done since its process started, for displays and metrics."""

    batches: int = 0
    sent: int = 0
    accepted: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    """Answers that no table has, by reason."""


class LaneSender:
    """Sends one lane's batches until it is told to stop."""

    def __init__(
        self,
        lane: Lane,
        queue: Queue,
        ledger: Ledger,
        desk: Desk,
        settings: SendingConfig,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tally = Tally()
        self.gate = Gate()
        self._lane = lane
        self._queue = queue
        self._ledger = ledger
        self._desk = desk
        self._settings = settings
        self._clock = clock
        self._deliveries: set[_Delivery] = set()
        self._flying = 0
        self._prepared: dict[str, Prepared] = {}
        self._refused: dict[str, Answer] = {}
        self._proven: set[str] = set()
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._reported: Problem | None = None
        self._reload_at = 0.0

    def __repr__(self) -> str:
        return f"<LaneSender {self._lane.name}, {len(self._deliveries)} batches, {self.gate!r}>"

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is under way is settled or given back."""
        self._stopping.set()
        self._changed.set()

    async def run(self) -> None:
        """Send until `stop`, and then finish or give back what is held within `SendingConfig.stop_within` seconds."""
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(self._tend()), group.create_task(self._checkpoint())]
            idle = SHORTEST_IDLE
            while not self._stopping.is_set():
                taken = await self._take()
                for lease, standing in taken:
                    delivery = _Delivery(lease, time.monotonic(), held_until=time.monotonic() + self._settings.lease)
                    self._deliveries.add(delivery)
                    group.create_task(self._see_through(delivery, standing))
                idle = SHORTEST_IDLE if taken else min(LONGEST_IDLE, idle * 1.5)
                if not taken or self._room() <= 0:
                    await self._wait_for_change(idle)
            await self._finish()
            for watcher in watchers:
                watcher.cancel()
            await self._report()

    # -- taking -----------------------------------------------------------------------------------------------------

    async def _take(self) -> list[tuple[Lease, Standing | None]]:
        """Batches to begin with now, and what is recorded of each."""
        way = self.gate.look(time.monotonic())
        room = self._room()
        if way is Pass.TRIAL:
            room = 1 if not self._deliveries else 0
        elif way is Pass.CLOSED and not self._desk.stopped:
            room = 0
        if room <= 0 or any(held.lease.deliveries > SUSPECT for held in self._deliveries):
            return []
        try:
            leases = await self._queue.take(self._lane.name, room, self._settings.lease)
            standings = await self._ledger.standings(leases) if leases else {}
        except StoreUnavailable:
            return []  # what was taken comes back when its lease ends
        return [(lease, standings.get(lease.id)) for lease in leases]

    def _room(self) -> int:
        """How many batches may be taken: enough to keep the wire full while the next ones are fetched."""
        wanted = max(2, 2 * -(-self._lane.window() // self._settings.batch))
        return wanted - self._flying if self._flying <= wanted // 2 and len(self._deliveries) < 4 * wanted else 0

    async def _wait_for_change(self, timeout: float) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    # -- one batch --------------------------------------------------------------------------------------------------

    async def _see_through(self, delivery: _Delivery, standing: Standing | None) -> None:
        self._flying += 1
        flying = True
        try:
            while delivery.lease.deliveries > SUSPECT and len(self._deliveries) > 1:
                await self._wait_for_change(LONGEST_IDLE)
            settlement = await self._deliver(delivery, standing)
            self._flying -= 1
            flying = False
            self._changed.set()
            await self._ledger.record(settlement)
        finally:
            self._flying -= flying
            self._deliveries.discard(delivery)
            self._changed.set()

    async def _deliver(self, delivery: _Delivery, standing: Standing | None) -> Settlement:
        """What becomes of a batch: the whole way from its payload to its settlement."""
        lease = delivery.lease
        if standing is None:
            return Settlement(lease=lease, batch=None, outcomes=b"", then=Then.BURY, why="the store doesn't know it")
        try:
            batch = delivery.batch = decode_batch(lease.payload)
        except BatchUnreadable as error:
            return _bury(lease, None, standing, str(error))
        if lease.deliveries > self._settings.deliveries:
            return _bury(lease, batch, standing, f"{lease.deliveries - 1} senders died while they held it")
        try:
            state = await self._desk.state(batch.campaign_id)
        except StoreUnavailable:
            return _release(lease, batch, HELD_PAUSE)
        if state in STOPPED:
            return _end(lease, batch, standing, Outcome.CANCELLED)
        if batch.expires_at <= self._clock():
            return _end(lease, batch, standing, Outcome.EXPIRED, Answer(verdict=Verdict.REJECT, reason=LIFETIME))
        if state is CampaignState.PAUSED:
            return _release(lease, batch, HELD_PAUSE)
        if (refusal := self._refused.get(batch.campaign_id)) is not None:
            return _end(lease, batch, standing, Outcome.REJECTED, refusal)
        positions, due = _due(standing, len(batch), self._clock())
        if not positions:
            if due is None:
                return Settlement(lease=lease, batch=batch, outcomes=b"", then=Then.ACK)
            return _release(lease, batch, due - self._clock())
        return await self._fly(delivery, batch, standing, positions)

    async def _fly(self, delivery: _Delivery, batch: Batch, standing: Standing, positions: Sequence[int]) -> Settlement:
        """Send those at `positions`, unless the gate is closed, and decide what becomes of them."""
        way = self.gate.look(time.monotonic())
        if way is Pass.CLOSED:
            return _release(delivery.lease, batch, self._until_open())
        if way is Pass.TRIAL:
            positions = positions[:TRIAL]
            self.gate.begin_trial()
        delivery.positions = positions
        try:
            delivery.flight = await self._begin(batch, positions)
            if delivery.flight is not None:
                self.tally.batches += 1
                self.tally.sent += len(positions)
                await delivery.flight.done()
        except InvalidMessage as error:  # it was checked before the start, so an option of the app's has changed since
            refusal = Answer(verdict=Verdict.FIX, reason="InvalidMessage", detail=str(error))
            self._refused[batch.campaign_id] = refusal
            return _end(delivery.lease, batch, standing, Outcome.REJECTED, refusal)
        except (CredentialError, InvalidConfiguration) as error:
            self.gate.stop(str(error), MEND, time.monotonic())
        except CredentialUnavailable as error:
            self.gate.stop(str(error), GOES_ON, time.monotonic())
        except PoolClosed:
            pass  # this process is stopping; another one goes on with the batch
        finally:
            self.gate.end_trial()
        if delivery.flight is None:
            return _release(delivery.lease, batch, self._until_open())
        return await self._land(delivery, delivery.flight, batch, standing)

    async def _begin(self, batch: Batch, positions: Sequence[int]) -> Flight | None:
        prepared = self._prepared.get(batch.campaign_id)
        if prepared is None:
            try:
                content = await self._desk.content(batch.campaign_id)
            except StoreUnavailable:
                return None
            prepared = await self._lane.prepare(content)
            while len(self._prepared) >= 16:
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[batch.campaign_id] = prepared
        whole = len(positions) == len(batch)

        def some(column: Any) -> Any:
            if whole or column is None:
                return column
            chosen = [column[position] for position in positions]
            return bytes(chosen) if isinstance(column, bytes) else chosen

        return await self._lane.begin(
            prepared, some(batch.recipients), some(batch.addresses), some(batch.languages), some(batch.variables)
        )

    async def _land(self, delivery: _Delivery, flight: Flight, batch: Batch, standing: Standing) -> Settlement:
        """Everything is settled on the wire: what is to be recorded, and what the lane is to do."""
        now = self._clock()
        answers = _at_positions(flight.answers(now), delivery.positions, batch)
        sent: Sequence[int] = delivery.positions
        if delivery.withdrawn:
            untouched = {at for at, answer in answers.items() if answer.verdict is Verdict.RECONNECT}
            sent = [position for position in sent if position not in untouched]
            answers = {at: answer for at, answer in answers.items() if at not in untouched}
        before = {each.position: each for each in standing.waiting}
        prepared = self._prepared.get(batch.campaign_id)
        where = Circumstances(
            now=now,
            deadline=batch.expires_at,
            longest_backoff=self._settings.longest_backoff,
            chance=random.random(),
            collapses=prepared is not None and prepared.collapses,
            proven=self.gate.proven,
        )
        decision = decide(len(batch), sent, answers, before, where)
        await self._tell_the_lane(decision, batch.campaign_id, answers, flight)
        return self._settle(delivery.lease, batch, standing, decision)

    def _settle(self, lease: Lease, batch: Batch, standing: Standing, decision: Decision) -> Settlement:
        now = self._clock()
        waiting = {each.position: each for each in standing.waiting if not decision.outcomes[each.position]}
        waiting |= {each.position: each for each in decision.waiting}
        ended = len(batch) - decision.outcomes.count(Outcome.PENDING)
        left = standing.pending - ended
        if left > 0:
            then = Then.RELEASE
            at_once = left > len(waiting)
            delay = 0.0 if at_once else min(each.not_before for each in waiting.values()) - now
            delay = max(0.0, delay, self._until_open())
        else:
            then, delay = Then.ACK, 0.0
        return Settlement(
            lease=lease,
            batch=batch,
            outcomes=bytes(decision.outcomes),
            failures=tuple(decision.failures),
            waiting=tuple(waiting.values()) if waiting or standing.waiting else None,
            then=then,
            delay=delay,
        )

    async def _tell_the_lane(
        self, decision: Decision, campaign_id: str, answers: Mapping[int, Answer], flight: Flight
    ) -> None:
        """Do what the answers ask of the lane as a whole."""
        now = time.monotonic()
        self.tally.accepted += decision.accepted
        for answer in decision.unknown:
            self.tally.unknown[answer.reason] = self.tally.unknown.get(answer.reason, 0) + 1
        if decision.accepted:
            self._proven.add(campaign_id)
        elif decision.refusal is not None and campaign_id not in self._proven:
            self._refused[campaign_id] = decision.refusal
        error = next((a.detail or a.reason for a in answers.values() if a.verdict is not Verdict.DROP), "")
        self.gate.note(accepted=decision.accepted, answered=decision.answered, down=decision.down, error=error, now=now)
        if (stop := decision.stop) is not None:
            what = f"{stop.reason}: {stop.detail}" if stop.detail else stop.reason
            self.gate.stop(what, self._lane.meaning(stop.reason), now, stop.retry_after or 0.0)
        if decision.refresh:
            await self._refresh(flight, now)
        if decision.hold:
            self._lane.hold()
        if decision.throttle:
            self.gate.throttle(decision.throttle, now)

    async def _refresh(self, flight: Flight, now: float) -> None:
        try:
            renewal = await self._lane.refused(flight)
        except CredentialError as error:
            self.gate.stop(str(error), MEND, now)
        except CredentialUnavailable as error:
            self.gate.stop(str(error), GOES_ON, now)
        else:
            if not renewal.renewed:
                self.gate.stop(renewal.explanation, GOES_ON, now, renewal.wait)

    def _until_open(self) -> float:
        """Seconds until the gate may open; 0 where it isn't closed."""
        return max(0.0, self.gate.closed_until - time.monotonic())

    # -- what is under way ------------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        """Withdraw what was paused or cancelled, keep leases, look for mended credentials, and tell about problems."""
        while True:
            await asyncio.sleep(TICK)
            for delivery in self._deliveries:
                if self._desk.halted(delivery.lease.campaign_id):
                    _withdraw(delivery, "the campaign was paused or cancelled")
            await self._hold_on(time.monotonic())
            await self._report()

    async def _checkpoint(self) -> None:
        """Record who was accepted of what has been under way for long."""
        while True:
            await asyncio.sleep(CHECKPOINT)
            now = time.monotonic()
            news = [found for each in self._deliveries if now - each.began >= CHECKPOINT and (found := _so_far(each))]
            await asyncio.gather(*(self._ledger.record(settlement) for settlement in news))

    async def _hold_on(self, now: float) -> None:
        late = [held for held in self._deliveries if held.held_until - now < self._settings.lease / 2]
        if not late:
            return
        try:
            await self._queue.extend([held.lease for held in late], self._settings.lease)
        except StoreUnavailable:
            return
        for held in late:
            held.held_until = now + self._settings.lease

    async def _report(self) -> None:
        """Tell what keeps the lane from sending, once, and look whether its credentials were mended."""
        problem = self.gate.problem
        if problem is not None and time.monotonic() >= self._reload_at:
            self._reload_at = time.monotonic() + RELOAD
            try:
                if await self._lane.reload():
                    self.gate.reset()
            except (CredentialError, InvalidConfiguration):
                pass  # not mended yet; the gate's problem says what is wrong
        if problem != self._reported:
            self._reported = problem
            await self._desk.report(self._lane.name, problem)

    async def _finish(self) -> None:
        """Let what is under way finish; what takes too long is withdrawn, and at last cut off."""
        half = self._settings.stop_within / 2
        await self._all_done(half)
        for delivery in self._deliveries:
            _withdraw(delivery, "the sender is stopping")
        await self._all_done(half)
        await self._lane.aclose(0.0)
        await self._all_done(None)

    async def _all_done(self, timeout: float | None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        while self._deliveries and (end is None or time.monotonic() < end):
            await self._wait_for_change(TICK)


def _withdraw(delivery: _Delivery, why: str) -> None:
    if delivery.flight is not None and not delivery.withdrawn:
        delivery.withdrawn = True
        delivery.flight.withdraw(why)


def _so_far(delivery: _Delivery) -> Settlement | None:
    """Who was accepted of a batch that is still under way, if that is more than the last time."""
    if delivery.flight is None or delivery.batch is None:
        return None
    accepted = delivery.flight.accepted()
    count = accepted.count(1)
    if count <= delivery.checkpointed:
        return None
    delivery.checkpointed = count
    outcomes = bytearray(len(delivery.batch))
    for position, mark in zip(delivery.positions, accepted, strict=True):
        outcomes[position] = Outcome.ACCEPTED if mark else Outcome.PENDING
    return Settlement(lease=delivery.lease, batch=delivery.batch, outcomes=bytes(outcomes))


def _due(standing: Standing, size: int, now: float) -> tuple[Sequence[int], float | None]:
    """Positions of those to be sent now; and when the next one may be, where that is nobody yet.

    A clock that was set back must not keep anybody waiting for longer than was meant; the queue's delay has passed.
    """
    outcomes = standing.outcomes
    if outcomes is None and not standing.waiting:
        return range(size), None
    later = {each.position: each.not_before for each in standing.waiting if each.not_before > now + SOON}
    pending = range(size) if outcomes is None else [at for at in range(size) if outcomes[at] == Outcome.PENDING]
    positions = [position for position in pending if position not in later]
    return positions, min(later.values()) if later and not positions else None


def _at_positions(answers: Mapping[int, Answer], positions: Sequence[int], batch: Batch) -> dict[int, Answer]:
    """Answers by position in the batch, as they concern the addresses registered with us."""
    if not answers:
        return {}
    registered = batch.registered_at
    found = {positions[index]: answer for index, answer in answers.items()}
    if registered is None:
        return found
    return {at: answer.for_registration(registered[at] or None) for at, answer in found.items()}


def _end(lease: Lease, batch: Batch, standing: Standing, outcome: Outcome, answer: Answer | None = None) -> Settlement:
    """Everybody who is pending ends so, unsent."""
    pending = _pending(standing, len(batch))
    outcomes = bytes([outcome if mark else Outcome.PENDING for mark in pending])
    failures: tuple[Failure, ...] = ()
    if answer is not None:
        tried = {each.position: each for each in standing.waiting}
        failures = tuple(
            _unsent(position, outcome, answer, tried.get(position)) for position, mark in enumerate(pending) if mark
        )
        for failure in failures:
            if failure.outcome is not outcome:
                outcomes = outcomes[: failure.position] + bytes([failure.outcome]) + outcomes[failure.position + 1 :]
    return Settlement(lease=lease, batch=batch, outcomes=outcomes, failures=failures, waiting=(), then=Then.ACK)


def _unsent(position: int, outcome: Outcome, answer: Answer, tried: Waiting | None) -> Failure:
    """One that ends without being sent (again): for the reason it wasn't accepted before, if it was tried."""
    if outcome is Outcome.EXPIRED and tried is not None:
        end = Outcome.AMBIGUOUS if tried.ambiguous else outcome
        return Failure(position=position, outcome=end, reason=tried.reason, tries=tried.tries)
    return Failure(
        position=position,
        outcome=outcome,
        reason=answer.reason,
        status=answer.status,
        detail=answer.detail,
        tries=tried.tries if tried else 0,
    )


def _bury(lease: Lease, batch: Batch | None, standing: Standing, why: str) -> Settlement:
    """Nobody can work on it: its recipients may have been sent to or not, and it stays for people to look at."""
    pending = _pending(standing, len(batch) if batch is not None else standing.pending)
    failures = [
        Failure(position=position, outcome=Outcome.AMBIGUOUS, reason=DEAD_LETTER, detail=why, tries=lease.deliveries)
        for position, mark in enumerate(pending)
        if mark
    ]
    outcomes = bytes([Outcome.AMBIGUOUS if mark else Outcome.PENDING for mark in pending])
    return Settlement(
        lease=lease, batch=batch, outcomes=outcomes, failures=tuple(failures), waiting=(), then=Then.BURY, why=why
    )


def _pending(standing: Standing, size: int) -> list[bool]:
    if standing.outcomes is None:
        return [True] * size
    return [outcome == Outcome.PENDING for outcome in standing.outcomes]


def _release(lease: Lease, batch: Batch, delay: float) -> Settlement:
    return Settlement(lease=lease, batch=batch, outcomes=b"", then=Then.RELEASE, delay=max(0.0, delay))
