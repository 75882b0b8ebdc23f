"""The sender: takes a lane's batches, keeps the wire full with several at once, and settles what came of each.

    queue ─▶ Suspects ─▶ Held ─▶ Courier ─▶ ledger
                           │        │
           leases, checkpoints    Gatekeeper: gate, budget, credentials

`LaneSender.run` takes batches and begins a task for each; `_see_through` is what such a task does. Urgent ones are
taken beside it, whatever is in hand, when somebody says that there are (`look_for_urgent`). Watches run beside it, each
on its own: what was paused is withdrawn, leases are renewed, credential files looked at, and about once a
second the outcomes of what is still under way are recorded. Rules: what can't be sent now goes back to the queue; a
batch is held until its outcomes are durable, or dies with the process and its lease lapses, so that after a crash only
what was in flight since the last checkpoint is sent again, with the same ids.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from stentor.answer_times import AnswerTimes
from stentor.clock import steady
from stentor.config import SendingConfig
from stentor.errors import StoreUnavailable, UnknownCampaign
from stentor.meter import Meter
from stentor.pace.budget import Budget
from stentor.pace.paced import PacedFlight
from stentor.pace.throttles import Throttles
from stentor.providers.lane import Expires, Lane, LaneState, TimesAnswers
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Known, Ledger
from stentor.sending.courier import Courier
from stentor.sending.delivery import Delivery
from stentor.sending.desk import Desk
from stentor.sending.gate import Pass
from stentor.sending.gatekeeper import Gatekeeper
from stentor.sending.held import Held
from stentor.sending.judging import WAIT
from stentor.sending.suspects import Suspects

CHECKPOINT = 1.0
"""Seconds between two recordings of what is under way."""
STOPS = "the sender is stopping"
TICK = 0.1
"""Seconds between two looks at pauses, leases and credentials."""
SHORTEST_IDLE, BUSY_IDLE, LONGEST_IDLE = 0.01, 0.04, 0.25
"""Seconds between two looks into an empty queue: just after something was there, at most while campaigns run, and
at most otherwise."""
URGENT_AT_ONCE = 64
"""Urgent batches that fly at a time at most; each has few recipients."""
URGENT_AT_A_TIME = 16
"""Of these, how many are taken from the queue by one question."""
AHEAD, LEAST_AHEAD = 2.0, 1.0
"""Seconds' worth of a budget that is taken from the queue at most, and below which more is."""


class LaneSender:
    """Sends one lane's batches until it is told to stop."""

    problem: str | None = None
    """Never one: that a lane is closed or its provider silent is a notice, and that the store is away others tell."""

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
        quarantine: see `Suspects`; None: a process with one lane.
        """
        self._lane = lane
        self._queue = queue
        self._ledger = ledger
        self._desk = desk
        self._settings = settings
        self._clock = clock
        self._meter = meter or Meter()
        self._suspects = Suspects(set() if quarantine is None else quarantine)
        self._held = Held(queue, ledger, settings.lease, self._suspects)
        self._gatekeeper = Gatekeeper(lane, desk, settings.longest_backoff)
        self._courier = Courier(lane, ledger, desk, self._gatekeeper, self._suspects, settings, clock, self._meter)
        self._stopping = False
        self._group: asyncio.TaskGroup | None = None  # while it runs
        self._being_taken = 0  # urgent batches that were asked for, and may come
        self.gate = self._gatekeeper.gate
        self.tally = self._courier.tally
        self.beat = time.monotonic()
        """When `run` last went round, by the monotonic clock."""

    @property
    def name(self) -> str:
        return self._lane.name

    @property
    def notice(self) -> str | None:
        return self._gatekeeper.notice

    @property
    def stands_still(self) -> bool:
        """Whether `notice` is about the lane as a whole, not about some of its hosts."""
        return self._gatekeeper.stands_still

    @property
    def silent_hosts(self) -> int:
        """How many of the lane's hosts are waited for and answer nothing."""
        return self._gatekeeper.silent_hosts.count

    @property
    def state(self) -> LaneState:
        """Of its connections."""
        return self._lane.state

    @property
    def answer_times(self) -> AnswerTimes | None:
        """How long the provider takes to answer; None where the lane doesn't count that."""
        return self._lane.answer_times if isinstance(self._lane, TimesAnswers) else None

    @property
    def credentials_expire_at(self) -> float | None:
        """When the lane's credentials end by themselves, in epoch seconds; None: never, or nobody knows."""
        return self._lane.expires_at if isinstance(self._lane, Expires) else None

    @property
    def held(self) -> int:
        """Batches in hand."""
        return len(self._held)

    def __repr__(self) -> str:
        return f"<LaneSender {self._lane.name}, {self.held} batches, {self.gate!r}>"

    def share(self, budget: Budget, throttles: Throttles | None = None) -> None:
        """Keep to the budget and the calls for quiet that the lane's senders share, wherever they are, and to what
        campaigns have of their own. Before `run`."""
        self._gatekeeper.share(budget, self._has_work, throttles)

    def look_for_urgent(self) -> None:
        """There may be urgent batches: take them now. Several may be asked for at a time: on a busy machine it takes a
        while to learn what is known of one, and the next one shall not wait for that."""
        if self._group is None or self._stopping:
            return
        limit = min(URGENT_AT_A_TIME, self._urgent_limit() - self._being_taken)
        if limit > 0:
            self._being_taken += limit
            self._group.create_task(self._serve_urgent(self._group, limit))

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is under way is settled or given back."""
        self._stopping = True
        self._courier.stop()
        self._held.wake()

    async def run(self) -> None:
        """Send until `stop`, and then finish or give back what is held within `SendingConfig.stop_within` seconds."""
        budget = self._gatekeeper.budget
        async with asyncio.TaskGroup() as group:
            watches: list[Coroutine[Any, Any, None]] = [
                _every(TICK, self._heed),
                _every(TICK, self._held.renew_leases),
                _every(TICK, self._gatekeeper.report),
                _every(CHECKPOINT, self._checkpoint),
                _every(CHECKPOINT, self._listen),
            ]
            if budget is not None:
                watches.append(budget.run())
            watchers = [group.create_task(watch) for watch in watches]
            self._group = group
            idle = SHORTEST_IDLE
            while not self._stopping:
                self.beat = time.monotonic()
                taken = await self._take(self._limit())
                for delivery in taken:
                    group.create_task(self._see_through(delivery))
                    await asyncio.sleep(0)  # to encode all of them in one turn would keep the loop from all else
                idle = SHORTEST_IDLE if taken else min(BUSY_IDLE if self._desk.busy else LONGEST_IDLE, idle * 1.5)
                if not taken or self._room() <= 0:
                    await self._held.wait_for_change(idle)
            while self._being_taken:
                await self._held.wait_for_change(TICK)
            await self._finish()
            for watcher in watchers:
                watcher.cancel()
            if budget is not None:
                await budget.leave()
            await self._gatekeeper.report()

    async def _serve_urgent(self, group: asyncio.TaskGroup, limit: int) -> None:
        """Take urgent batches, so many at most, and begin with them."""
        try:
            taken = await self._take(limit, urgent=True)
        finally:
            self._being_taken -= limit
            self._held.wake()
        if len(taken) == limit:
            self.look_for_urgent()  # there may be more
        for delivery in taken[1:]:
            group.create_task(self._see_through(delivery))
        for delivery in taken[:1]:  # usually the only one: it needn't wait for a task's first turn
            await self._see_through(delivery)

    async def _see_through(self, delivery: Delivery) -> None:
        """One batch, from when it was taken until its lease has ended."""
        try:
            await self._held.its_turn(delivery)
            settlement = await self._courier.deliver(delivery)
            self.tally.settle(settlement)
            self._held.land(delivery)
            await self._ledger.record(settlement)
        finally:
            self._held.let_go(delivery)

    async def _finish(self) -> None:
        """Let what is under way finish; what takes too long is withdrawn, and at last cut off. Of a batch that goes
        slice by slice nothing more is begun: it may take longer than anybody wants to wait."""
        began = steady()
        while self._held.flying and steady() < began + self._settings.stop_within:
            late = steady() >= began + self._settings.stop_within / 2
            for delivery in self._held:
                if late:
                    delivery.break_off(STOPS)
                elif isinstance(delivery.flight, PacedFlight):
                    delivery.withdraw(STOPS)
            await self._held.wait_for_change(TICK)
        await self._lane.aclose(0.0)
        while self._held:
            await self._held.wait_for_change(TICK)

    async def _checkpoint(self) -> None:
        await self._held.checkpoint(CHECKPOINT, self._clock(), proven=self.gate.proven)

    async def _listen(self) -> None:
        now = self._clock()
        under_way, heard = self._held.listen(now)
        self._gatekeeper.listen(under_way, now, heard=heard)

    async def _heed(self) -> None:
        """Withdraw what was paused or cancelled or has lost its lease, and everything when the provider wants quiet."""
        self._held.lose_ended()
        is_quiet = self.gate.is_quiet(steady())
        for delivery in self._held:
            if is_quiet:
                delivery.withdraw("the provider asked for quiet")
            elif self._desk.halted(delivery.lease.campaign_id):
                delivery.withdraw("the campaign was paused or cancelled")

    # -- taking -----------------------------------------------------------------------------------------------------

    async def _take(self, limit: int, *, urgent: bool = False) -> list[Delivery]:
        """Batches to begin with now."""
        if limit <= 0:
            return []
        leases: list[Lease] = []
        taking = self._queue.take(self._lane.name, limit, self._settings.lease, urgent=urgent)
        try:
            leases = await self._meter.during("take", taking)
            leases = await self._leave_one_suspect(leases)
            known = await self._meter.during("take", self._look_up(leases)) if leases else {}
        except StoreUnavailable:
            await self._hand_back(leases)
            return []
        now = steady()
        if late := [lease for lease in leases if lease.until <= now]:
            # This process stood still, and others may be at it by now.
            await self._hand_back(late)
            leases = [lease for lease in leases if lease.until > now]
        return self._held.take_in(leases, known)

    def _limit(self) -> int:
        """How many batches may be taken now."""
        if self._held.has_suspect:
            return 0
        way = self.gate.look(steady())
        if way is Pass.TRIAL:
            return 0 if self._held else 1
        if way is Pass.CLOSED and not self._desk.stopped:  # what was called off is settled all the same
            return 0
        return self._room()

    def _urgent_limit(self) -> int:
        """How many urgent batches may be taken now, whatever else is in hand."""
        if self._held.has_suspect or self.gate.look(steady()) is not Pass.OPEN:
            return 0  # `_limit` has more to say of a gate that is closed, and takes the urgent ones first
        budget = self._gatekeeper.budget
        if budget is not None and budget.is_paced and self._unsent(urgent=True) >= AHEAD * budget.rate:
            return 0
        return min(URGENT_AT_ONCE - self._held.flying_urgent, 4 * URGENT_AT_ONCE - self._held.urgent)

    def _room(self) -> int:
        """How many more batches keep the wire full while the next ones are fetched: none before half of them have
        landed, so that several are taken at a time; none while many wait to be recorded, as the store is away, say."""
        wanted = max(2, 2 * -(-self._lane.window() // self._settings.batch))
        flying = self._held.flying - self._held.flying_urgent
        if flying > wanted // 2 or len(self._held) - self._held.urgent >= 4 * wanted:
            return 0
        room = wanted - flying
        budget = self._gatekeeper.budget
        return min(room, self._paced_room(budget.rate)) if budget is not None and budget.is_paced else room

    def _paced_room(self, rate: float) -> int:
        """How many batches may be taken within the budget: a slow lane's stay in the queue, where others find them."""
        unsent = self._unsent(urgent=False)
        if rate <= 0 or unsent >= LEAST_AHEAD * rate:
            return 0
        return max(1, int((AHEAD * rate - unsent) // self._settings.batch))

    def _unsent(self, *, urgent: bool) -> int:
        """Recipients in hand whose turn is still to come, of urgent batches or of the others."""
        unknown = 1 if urgent else self._settings.batch  # of a batch that hasn't begun
        return sum(
            held.flight.unsent if isinstance(held.flight, PacedFlight) else unknown
            for held in self._held
            if held.is_urgent is urgent
        )

    async def _leave_one_suspect(self, leases: Sequence[Lease]) -> list[Lease]:
        """Put back all suspects but one. Raises: StoreUnavailable."""
        kept, away = self._suspects.draw(leases)
        if away:
            await self._queue.settle(put_back=away)
        return kept

    async def _known(self, leases: Sequence[Lease]) -> Mapping[str, Known]:
        """Raises: StoreUnavailable: also where the answer takes so long that others will have the batches by then."""
        try:
            async with asyncio.timeout(self._settings.lease / 2):
                return await self._ledger.known(leases)
        except TimeoutError:
            raise StoreUnavailable from None

    async def _look_up(self, leases: Sequence[Lease]) -> Mapping[str, Known]:
        """As `_known`, and have the desk ask meanwhile what the urgent ones send: they are sent the sooner."""
        contents = [
            asyncio.create_task(self._have_content(each))
            for each in {lease.campaign_id for lease in leases if lease.urgent}
        ]
        try:
            known = await self._known(leases)  # by this task: another one's first question would be a turn later
        finally:
            await asyncio.gather(*contents)
        return known

    async def _have_content(self, campaign_id: str) -> None:
        with suppress(StoreUnavailable, UnknownCampaign):
            await self._desk.content(campaign_id)

    async def _hand_back(self, leases: Sequence[Lease]) -> None:
        """Nothing can be done with them now, which counts as nobody's death. Where this fails too they come back when
        their leases end."""
        self._suspects.put_off(leases)
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(self._settings.lease / 4):
                await self._queue.settle(put_back=[(lease, WAIT) for lease in leases])

    async def _has_work(self) -> bool:
        return (await self._queue.depths([self._lane.name]))[self._lane.name].ready > 0


async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    """Each on its own, so that one that waits for the store doesn't keep another from heeding a pause."""
    while True:
        await asyncio.sleep(seconds)
        await do()
