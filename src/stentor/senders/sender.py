"""The sender: takes a lane's batches, keeps the wire full with several at once, and settles what came of each.

`LaneSender.run` takes; `_deliver` is the way of one batch: read it, leave out who is settled or must wait, send, decide
(`retry.decide`, pure), tell the gate, record. Rules: nothing sleeps inside a send, what must wait goes back to the
queue; every way out of `_deliver` acks, releases or buries its lease, or dies with the process and lets it lapse; about
once a second the outcomes of what is still under way are recorded, so that after a crash only what was in flight since
is sent again, with the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from stentor.batch import Batch
from stentor.config import SendingConfig
from stentor.errors import (
    BatchTooNew,
    BatchUnreadable,
    CredentialError,
    CredentialUnavailable,
    InvalidConfiguration,
    InvalidMessage,
    PoolClosed,
    StoreUnavailable,
    UnknownCampaign,
)
from stentor.meter import Meter
from stentor.outcome import Outcome, Scope, Verdict
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Ledger, Settlement, Standing, Then
from stentor.senders.budget import Budget
from stentor.senders.contract import Answer, text
from stentor.senders.gate import TRIAL, Gate, Pass, Problem
from stentor.senders.lane import CampaignContent, Flight, Lane, LaneState, Prepared
from stentor.senders.paced import Controls, PacedFlight
from stentor.senders.retry import Circumstances, Decision, decide, quiet
from stentor.senders.settling import at_positions, bury, called_off, due, end_all, give_back, read_batch
from stentor.states import STOPPED, CampaignState

logger = logging.getLogger(__name__)

CHECKPOINT = 1.0
"""Seconds between two recordings of what is under way."""
TICK = 0.1
"""Seconds between two looks at pauses, leases and checkpoints."""
SHORTEST_IDLE, BUSY_IDLE, LONGEST_IDLE = 0.01, 0.04, 0.25
"""Seconds between two looks into an empty queue: just after something was there, at most while campaigns run, and
at most otherwise."""
RELOAD = 0.8
"""Seconds between two looks at the credential files."""
HELD_PAUSE, LONGEST_HELD_PAUSE = 0.5, 5.0
"""Seconds after which a paused campaign's batch is looked at again: the rarer the longer it has been paused."""
SUSPECT = 2
"""Deliveries from which a batch is sent alone: if it kills its sender, nobody else's count rises with it."""
AHEAD, LEAST_AHEAD = 2.0, 1.0
"""Seconds' worth of a budget that is taken from the queue at most, and below which more is."""
CONTENTS = 16
"""Campaigns whose rendered content is kept at most."""
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

    @property
    def busy(self) -> bool:
        """Whether any campaign is being planned and sent, so that new work is to be expected."""

    async def report(self, lane: str, problem: Problem | None) -> None:
        """Tell everybody why a lane doesn't send, or that it does again."""


@dataclass(slots=True, eq=False)
class _Delivery:
    """A batch that this process holds."""

    lease: Lease
    began: float
    beginning: asyncio.Timeout | None = None
    """Cuts short what comes before the flight."""
    flight: Flight | None = None
    positions: Sequence[int] = ()
    """In the batch, of those that the flight sends."""
    batch: Batch | None = None
    withdrawn: bool = False
    trouble: tuple[str, str] | None = None
    """Why it could not be begun, or not to its end, and what mends that."""
    suspect: bool = False
    """Whether it may have killed its sender: it is sent when nothing else is held, and nothing is taken meanwhile."""
    collapses: bool = False
    """See `Prepared.collapses`."""
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
    retried: int = 0
    """Recipients that were put back to be tried again, each time."""
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason; as many as the provider's table has, and our own."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Answers that no table has, by reason."""

    def settle(self, settlement: Settlement) -> None:
        self.retried += len(settlement.waiting)
        if settlement.failures:
            self.rejected.update(each.reason for each in settlement.failures if each.outcome is Outcome.REJECTED)


class LaneSender:
    """Sends one lane's batches until it is told to stop."""

    problem: str | None = None

    def __init__(
        self,
        lane: Lane,
        queue: Queue,
        ledger: Ledger,
        desk: Desk,
        settings: SendingConfig,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
        quarantine: set[str] | None = None,
    ) -> None:
        """Args:
        quarantine: the batch under way that may kill this process, if one is; shared by all its lanes.
        """
        self._meter = meter or Meter()
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
        self._blamed = False
        self._paused_at: dict[str, float] = {}
        self._suspected: set[str] = set()
        self._quarantine = set[str]() if quarantine is None else quarantine
        self._budget: Budget | None = None
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._reported: list[Problem | None] = []  # the last; none yet, as one that was killed may have left another
        self._reload_at = 0.0
        self._warned = ""
        self.beat = time.monotonic()
        """When `run` last went round, by the monotonic clock."""

    @property
    def name(self) -> str:
        return self._lane.name

    @property
    def notice(self) -> str | None:
        problem = self.gate.problem
        return f"closed: {problem.what}; {problem.remedy}" if problem else None

    @property
    def state(self) -> LaneState:
        """Of its connections."""
        return self._lane.state

    @property
    def held(self) -> int:
        """Batches in hand."""
        return len(self._deliveries)

    def __repr__(self) -> str:
        return f"<LaneSender {self._lane.name}, {len(self._deliveries)} batches, {self.gate!r}>"

    def share(self, budget: Budget) -> None:
        """Keep to the budget and the calls for quiet that the lane's senders share, wherever they are. Before `run`."""
        self._budget = budget
        budget.attach(self._hear_of_quiet, self._has_work)

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is under way is settled or given back."""
        self._stopping.set()
        self._changed.set()

    async def run(self) -> None:
        """Send until `stop`, and then finish or give back what is held within `SendingConfig.stop_within` seconds."""
        async with asyncio.TaskGroup() as group:
            watches = ((TICK, self._heed), (TICK, self._hold_on), (TICK, self._report), (CHECKPOINT, self._checkpoint))
            watchers = [group.create_task(_every(seconds, watch)) for seconds, watch in watches]
            if self._budget is not None:
                watchers.append(group.create_task(self._budget.run()))
            idle = SHORTEST_IDLE
            while not self._stopping.is_set():
                self.beat = time.monotonic()
                held_until = self.beat + self._settings.lease
                taken = await self._take(held_until)
                for lease, standing in taken:
                    suspect = self._suspects(lease)
                    delivery = _Delivery(lease, time.monotonic(), suspect=suspect, held_until=held_until)
                    self._deliveries.add(delivery)
                    self._flying += 1
                    group.create_task(self._see_through(delivery, standing))
                idle = SHORTEST_IDLE if taken else min(BUSY_IDLE if self._desk.busy else LONGEST_IDLE, idle * 1.5)
                if not taken or self._room() <= 0:
                    await self._wait_for_change(idle)
            await self._finish()
            for watcher in watchers:
                watcher.cancel()
            if self._budget is not None:
                await self._budget.leave()
            await self._report()

    # -- taking -----------------------------------------------------------------------------------------------------

    async def _take(self, held_until: float) -> list[tuple[Lease, Standing | None]]:
        """Batches to begin with now, and what is recorded of each.

        Args:
            held_until: when a lease that begins now ends, by the monotonic clock.
        """
        way = self.gate.look(time.monotonic())
        room = self._room()
        if way is Pass.TRIAL:
            room = 1 if not self._deliveries else 0
        elif way is Pass.CLOSED and not self._desk.stopped:
            room = 0
        if room <= 0 or any(held.suspect for held in self._deliveries):
            return []
        leases: list[Lease] = []
        try:
            taking = self._queue.take(self._lane.name, room, self._settings.lease)
            leases = await self._meter.during("take", taking)
            leases = await self._leave_one_suspect(leases)
            standings = await self._meter.during("take", self._standings(leases)) if leases else {}
        except StoreUnavailable:
            self._quarantine.difference_update(lease.id for lease in leases)
            await self._hand_back(leases)
            return []
        if time.monotonic() >= held_until:  # this process stood still, and others may be at it by now
            self._quarantine.difference_update(lease.id for lease in leases)
            return []
        held = {delivery.lease.id: delivery for delivery in self._deliveries}
        for lease in leases:
            if (delivery := held.get(lease.id)) is not None:  # its lease had ended under us, the store was gone, say
                delivery.lease, delivery.held_until = lease, held_until
        return [(lease, standings.get(lease.id)) for lease in leases if lease.id not in held]

    async def _standings(self, leases: Sequence[Lease]) -> Mapping[str, Standing]:
        """Raises: StoreUnavailable: also where the answer takes so long that others will have the batches by then."""
        try:
            async with asyncio.timeout(self._settings.lease / 2):
                return await self._ledger.standings(leases)
        except TimeoutError:
            raise StoreUnavailable from None

    async def _hand_back(self, leases: Sequence[Lease]) -> None:
        """Nothing can be done with them now. Where this fails too they come back when their leases end."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(self._settings.lease / 4):
                await self._queue.settle(release=[(lease, HELD_PAUSE) for lease in leases])

    async def _leave_one_suspect(self, leases: list[Lease]) -> list[Lease]:
        """Give back all suspects but one, drawn by lot, their deaths forgotten: it is sent, and if it kills us no other
        was held; if it doesn't, the next has its turn. So a batch is put aside for deaths of its own only."""
        suspects = [lease for lease in leases if self._suspects(lease)]
        kept = random.choice(suspects) if suspects and not self._quarantine else None
        if kept is not None:
            self._quarantine.add(kept.id)
        others = [lease for lease in suspects if lease is not kept]
        if others:
            self._suspected.update(lease.id for lease in suspects)
            await self._queue.settle(release=[(lease, LONGEST_IDLE if kept is None else 0.0) for lease in others])
        return [lease for lease in leases if lease not in others]

    def _suspects(self, lease: Lease) -> bool:
        return lease.deliveries > SUSPECT or lease.id in self._suspected

    def _room(self) -> int:
        """How many batches may be taken: enough to keep the wire full while the next ones are fetched."""
        wanted = max(2, 2 * -(-self._lane.window() // self._settings.batch))
        room = wanted - self._flying if self._flying <= wanted // 2 and len(self._deliveries) < 4 * wanted else 0
        return min(room, self._paced_room()) if self._budget is not None and self._budget.is_paced else room

    def _paced_room(self) -> int:
        """How many batches may be taken within the budget: a slow lane's stay in the queue, where others find them."""
        assert self._budget is not None
        rate = self._budget.rate
        unsent = sum(
            held.flight.unsent if isinstance(held.flight, PacedFlight) else self._settings.batch
            for held in self._deliveries
        )
        if rate <= 0 or unsent >= LEAST_AHEAD * rate:
            return 0
        return max(1, int((AHEAD * rate - unsent) // self._settings.batch))

    async def _wait_for_change(self, timeout: float) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    # -- one batch --------------------------------------------------------------------------------------------------

    async def _see_through(self, delivery: _Delivery, standing: Standing | None) -> None:
        flying = True
        try:
            while delivery.suspect and len(self._deliveries) > 1:
                await self._wait_for_change(LONGEST_IDLE)
            settlement = await self._deliver(delivery, standing)
            self.tally.settle(settlement)
            self._flying -= 1
            flying = False
            self._changed.set()
            await self._ledger.record(settlement)
        finally:
            self._suspected.discard(delivery.lease.id)
            self._quarantine.discard(delivery.lease.id)
            self._flying -= flying
            self._deliveries.discard(delivery)
            self._changed.set()

    async def _deliver(self, delivery: _Delivery, standing: Standing | None) -> Settlement:
        """What becomes of a batch: the whole way from its payload to its settlement."""
        lease = delivery.lease
        if standing is None:
            return await self._unplanned(lease)
        try:
            with self._meter.stage("take"):
                batch = delivery.batch = read_batch(lease, standing)
        except BatchTooNew:
            return give_back(lease, None, LONGEST_HELD_PAUSE)
        except BatchUnreadable as error:
            return bury(lease, None, standing, str(error))
        if lease.deliveries > self._settings.deliveries and lease.id not in self._suspected:
            return bury(lease, batch, standing, f"{lease.deliveries - 1} senders died while they held it")
        try:
            state = await self._desk.state(batch.campaign_id)
        except StoreUnavailable:
            return give_back(lease, batch, HELD_PAUSE)
        except UnknownCampaign:  # it was deleted a moment ago
            return await self._unplanned(lease)
        return self._unless_sent(lease, batch, standing, state) or await self._fly(delivery, batch, standing)

    async def _unplanned(self, lease: Lease) -> Settlement:
        try:
            return await self._ledger.unplanned(lease)
        except StoreUnavailable:
            return give_back(lease, None, HELD_PAUSE)

    def _unless_sent(self, lease: Lease, batch: Batch, standing: Standing, state: CampaignState) -> Settlement | None:
        """What becomes of a batch of which nothing is to be sent now."""
        if state in STOPPED:
            return called_off(lease, standing)
        if batch.expires_at <= self._clock():
            return end_all(lease, batch, standing, Outcome.EXPIRED, Answer(verdict=Verdict.REJECT, reason=LIFETIME))
        if state is CampaignState.PAUSED:
            return give_back(lease, batch, self._held_pause(batch.campaign_id))
        self._paused_at.pop(batch.campaign_id, None)
        if (refusal := self._refused.get(batch.campaign_id)) is not None:
            return end_all(lease, batch, standing, Outcome.REJECTED, refusal)
        if not standing.pending:
            return Settlement(lease=lease, batch=batch, outcomes=b"", then=Then.ACK)
        if self._stopping.is_set():
            return give_back(lease, batch, 0.0)
        return None

    def _held_pause(self, campaign_id: str) -> float:
        now = time.monotonic()
        paused = now - self._paused_at.setdefault(campaign_id, now)
        return min(max(paused, HELD_PAUSE), LONGEST_HELD_PAUSE)

    async def _fly(self, delivery: _Delivery, batch: Batch, standing: Standing) -> Settlement:
        """Send those whose time has come, unless the gate is closed, and decide what becomes of them."""
        positions, next_at = due(standing, self._clock())
        if not positions:
            return give_back(delivery.lease, batch, next_at - self._clock())
        way = self.gate.look(time.monotonic())
        if way is Pass.CLOSED:
            return give_back(delivery.lease, batch, max(self._until_open(), HELD_PAUSE))
        if way is Pass.TRIAL:
            positions = positions[:TRIAL]
            self.gate.begin_trial()
        delivery.positions = positions
        try:
            async with asyncio.timeout(None) as delivery.beginning:
                delivery.flight = await self._meter.during("encode", self._begin(delivery, batch, positions))
            delivery.beginning = None
            if delivery.flight is not None:
                self.tally.batches += 1
                await delivery.flight.done()
        except InvalidMessage as error:  # it was checked before the start, so an option of the app's has changed since
            refusal = Answer(verdict=Verdict.FIX, reason="InvalidMessage", detail=text(str(error)))
            self._refused[batch.campaign_id] = refusal
            return end_all(delivery.lease, batch, standing, Outcome.REJECTED, refusal)
        except (CredentialError, InvalidConfiguration) as error:
            delivery.trouble = (str(error), MEND)
        except CredentialUnavailable as error:
            delivery.trouble = (str(error), GOES_ON)
        except (PoolClosed, TimeoutError, UnknownCampaign):
            pass  # this process is stopping, and another one goes on with the batch; or the store soon knows it no more
        finally:
            delivery.beginning = None
            if way is Pass.TRIAL:
                self.gate.end_trial()
        if delivery.flight is None:
            self._close_over(delivery)
            delay = 0.0 if self._stopping.is_set() else max(self._until_open(), HELD_PAUSE)
            return give_back(delivery.lease, batch, delay)
        return await self._meter.during("decide", self._land(delivery, delivery.flight, batch, standing))

    async def _begin(self, delivery: _Delivery, batch: Batch, positions: Sequence[int]) -> Flight | None:
        prepared = self._prepared.get(batch.campaign_id)
        if prepared is None:
            try:
                content = await self._desk.content(batch.campaign_id)
            except StoreUnavailable:
                return None
            prepared = await self._lane.prepare(content)
            while len(self._prepared) >= CONTENTS:
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[batch.campaign_id] = prepared
        delivery.collapses = prepared.collapses
        whole = len(positions) == len(batch)

        def some(column: Any) -> Any:
            if whole or column is None:
                return column
            chosen = [column[position] for position in positions]
            return bytes(chosen) if isinstance(column, bytes) else chosen

        columns = [some(each) for each in (batch.recipients, batch.addresses, batch.languages, batch.variables)]
        budget = self._budget
        if budget is None or not budget.is_paced:
            self.tally.sent += len(positions)
            return await self._lane.begin(prepared, *columns)

        async def begin(start: int, stop: int) -> Flight:
            self.tally.sent += stop - start
            part = [column and column[start:stop] for column in columns]
            return await self._meter.during("encode", self._lane.begin(prepared, *part))

        controls = Controls(
            closed=lambda: self.gate.closed_until > time.monotonic(),
            forbids=self._forbids,
            backlog=self._lane.backlog,
            clock=self._clock,
        )
        return PacedFlight(len(positions), budget, begin, controls)

    async def _land(self, delivery: _Delivery, flight: Flight, batch: Batch, standing: Standing) -> Settlement:
        """Everything is settled on the wire: what is to be recorded, and what the lane is to do."""
        now = self._clock()
        answers = at_positions(flight.answers(now), delivery.positions, batch)
        sent: Sequence[int] = delivery.positions
        if delivery.withdrawn or (isinstance(flight, PacedFlight) and flight.stopped):
            untouched = {at for at, answer in answers.items() if answer.verdict is Verdict.RECONNECT}
            sent = [position for position in sent if position not in untouched]
            answers = {at: answer for at, answer in answers.items() if at not in untouched}
        before = {each.position: each for each in standing.waiting}
        where = Circumstances(
            now=now,
            deadline=batch.expires_at,
            longest_backoff=self._settings.longest_backoff,
            chance=random.random(),
            collapses=delivery.collapses,
            proven=self.gate.proven,
            blamed=self._blamed,
        )
        decision = decide(len(batch), sent, answers, before, where)
        await self._tell_the_lane(decision, batch.campaign_id, answers, flight)
        self._close_over(delivery)
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
            waiting=tuple(decision.waiting),
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
            self._refused.pop(campaign_id, None)
            self._blamed = False
        elif decision.refusal is not None and campaign_id not in self._proven:
            self._refused[campaign_id] = decision.refusal
        error = next((a.detail or a.reason for a in answers.values() if a.verdict is not Verdict.DROP), "")
        self.gate.note(accepted=decision.accepted, answered=decision.answered, down=decision.down, error=error, now=now)
        if (stop := decision.stop) is not None:
            self._blamed = self._blamed or decision.blamed
            what = f"{stop.reason}: {stop.detail}" if stop.detail else stop.reason
            self.gate.stop(what, self._lane.meaning(stop.reason), now, stop.retry_after or 0.0)
        if decision.refresh:
            await self._refresh(flight, now)
        if decision.hold:
            self._lane.hold()
        if decision.throttle:
            self._be_quiet(decision.throttle)

    def _forbids(self, answers: Mapping[int, Answer], sent: int) -> bool:
        """Whether the answers to a part of a batch forbid to send the rest now. Where the provider wants quiet, all
        senders are quiet from this moment."""
        if seconds := quiet(answers, sent, self._settings.longest_backoff):
            self._be_quiet(seconds)
        return bool(seconds) or any(
            answer.verdict is Verdict.REFRESH or (answer.verdict is Verdict.STOP and answer.scope is not Scope.PLATFORM)
            for answer in answers.values()
        )

    def _be_quiet(self, seconds: float) -> None:
        self._hear_of_quiet(seconds)
        if self._budget is not None:
            self._budget.be_quiet(seconds)

    def _hear_of_quiet(self, seconds: float) -> None:
        self.gate.throttle(seconds, time.monotonic())

    async def _has_work(self) -> bool:
        return (await self._queue.depths([self._lane.name]))[self._lane.name].ready > 0

    def _close_over(self, delivery: _Delivery) -> None:
        """Close the gate where a batch could not be sent, or not to its end, for want of credentials; after what came
        back of it was noted, which may open it."""
        if delivery.trouble is not None:
            self.gate.stop(*delivery.trouble, time.monotonic())

    async def _refresh(self, flight: Flight, now: float) -> None:
        sent = flight.refused if isinstance(flight, PacedFlight) else flight
        if sent is None:
            return
        try:
            renewal = await self._lane.refused(sent)
        except CredentialError as error:
            self.gate.stop(str(error), MEND, now)
        except CredentialUnavailable as error:
            self.gate.stop(str(error), GOES_ON, now)
        else:
            if not renewal.renewed:
                self.gate.stop(renewal.explanation, GOES_ON, now, renewal.wait)

    def _until_open(self) -> float:
        """Seconds for which a batch is given back while the gate is closed; 0 where it isn't. Few where that may be
        mended any moment: nothing is taken before it opens anyway."""
        closed = max(0.0, self.gate.closed_until - time.monotonic())
        return closed if self.gate.problem is None else min(closed, LONGEST_HELD_PAUSE)

    # -- what is under way ------------------------------------------------------------------------------------------

    async def _heed(self) -> None:
        """Withdraw what was paused or cancelled, and everything when the provider wants quiet."""
        is_quiet = self.gate.is_quiet(time.monotonic())
        for delivery in self._deliveries:
            if is_quiet:
                _withdraw(delivery, "the provider asked for quiet")
            elif self._desk.halted(delivery.lease.campaign_id):
                _withdraw(delivery, "the campaign was paused or cancelled")

    async def _checkpoint(self) -> None:
        """Record who was accepted of what has been under way for long."""
        now = time.monotonic()
        news = [found for each in self._deliveries if now - each.began >= CHECKPOINT and (found := _so_far(each))]
        await asyncio.gather(*(self._ledger.record(settlement) for settlement in news))

    async def _hold_on(self) -> None:
        """Keep the leases of what is still under way. Where one has ended all the same, as this process stood still or
        the queue couldn't be reached, another sender may have the batch: nothing more of it is sent here."""
        now = time.monotonic()
        late = []
        for held in self._deliveries:
            if held.held_until <= now:
                _withdraw(held, "its lease has ended")
            elif held.held_until - now < self._settings.lease / 2:
                late.append(held)
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
        if time.monotonic() >= self._reload_at:
            self._reload_at = time.monotonic() + RELOAD
            try:
                if await self._lane.reload():
                    self._blamed = False
                    self.gate.reset()
            except (CredentialError, InvalidConfiguration) as error:
                if problem is None and str(error) != self._warned:  # else that says what is wrong
                    logger.warning("the credential files of %s cannot be used: %s", self._lane.name, error)
                    self._warned = str(error)
        if [problem] != self._reported:
            self._reported = [problem]
            await self._desk.report(self._lane.name, problem)

    async def _finish(self) -> None:
        """Let what is under way finish; what takes too long is withdrawn, and at last cut off."""
        half = self._settings.stop_within / 2
        began = time.monotonic()
        while self._flying and time.monotonic() < began + 2 * half:
            if time.monotonic() >= began + half:
                for delivery in self._deliveries:
                    _withdraw(delivery, "the sender is stopping")
                    if delivery.beginning is not None:  # it waits for a credential, say
                        delivery.beginning.reschedule(0.0)
                        delivery.beginning = None
            await self._wait_for_change(TICK)
        await self._lane.aclose(0.0)
        while self._deliveries:
            await self._wait_for_change(TICK)


async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    """Each on its own, so that one that waits for the store doesn't keep another from heeding a pause."""
    while True:
        await asyncio.sleep(seconds)
        await do()


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
