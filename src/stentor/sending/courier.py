"""The courier: the way of one batch from its payload to its settlement.

`Courier.deliver` reads it, leaves out who is settled or must wait, sends, and has `retry.decide` say what the answers
ask for; what they ask of the lane as a whole the `Gatekeeper` does. Rules: nothing sleeps inside a send, what must wait
goes back to the queue; every way out is a `Settlement`, which acks, releases or buries the lease, or an error that ends
the process, so that the lease lapses. What is done for each recipient is done on the batch's columns.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

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
from stentor.outcome import Outcome, Verdict
from stentor.pace.intents import Intents
from stentor.pace.paced import Controls, PacedFlight
from stentor.pace.throttles import Throttle
from stentor.providers.contract import Answer, text
from stentor.providers.lane import Distinguishes, Flight, Lane, Prepared, Slackens
from stentor.queue.contract import Lease
from stentor.recording.contract import Ledger, Settlement, Standing, Then
from stentor.sending.desk import Desk
from stentor.sending.gate import TRIAL, Pass
from stentor.sending.gatekeeper import Gatekeeper
from stentor.sending.held import Delivery
from stentor.sending.retry import Circumstances, Decision, decide
from stentor.sending.settling import (
    at_positions,
    bury,
    called_off,
    concluded,
    due,
    end_all,
    give_back,
    interrupted,
    read_batch,
    receipts_of,
    with_failures,
)
from stentor.sending.suspects import Suspects
from stentor.sending.tally import Tally
from stentor.states import STOPPED, CampaignState

WAIT, LONGEST_WAIT = 0.5, 5.0
"""Seconds for which a batch is given back that cannot be sent now; where its campaign is paused, the longer the longer
that has been so."""
CONTENTS = 16
"""Campaigns whose rendered content is kept at most."""
LIFETIME = "Lifetime"
"""The reason of those whose message expired before they were sent to."""


class Courier:
    """Carries the batches of one lane in one process, several at once."""

    def __init__(
        self,
        lane: Lane,
        ledger: Ledger,
        desk: Desk,
        gatekeeper: Gatekeeper,
        suspects: Suspects,
        settings: SendingConfig,
        clock: Callable[[], float],
        meter: Meter,
    ) -> None:
        self.tally = Tally()
        self._lane = lane
        self._ledger = ledger
        self._desk = desk
        self._gatekeeper = gatekeeper
        self._gate = gatekeeper.gate
        self._suspects = suspects
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._controls = Controls(
            closed=gatekeeper.is_closed, forbids=gatekeeper.forbids, backlog=lane.backlog, clock=clock
        )
        self._stopping = False
        # Of campaigns, by id:
        self._prepared: dict[str, Prepared] = {}
        self._refused: dict[str, Answer] = {}  # their message, by the provider
        self._proven: set[str] = set()  # anything of them was accepted, so that no later refusal concerns their message
        self._paused_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Courier of {self._lane.name}>"

    def stop(self) -> None:
        """Begin nothing more: what hasn't begun is given back at once."""
        self._stopping = True

    async def deliver(self, delivery: Delivery, standing: Standing | None) -> Settlement:
        """What becomes of a batch of which this is recorded; None: nothing, not even that it was planned."""
        lease = delivery.lease
        if standing is None:
            return await self._unplanned(lease)
        try:
            with self._meter.stage("take"):
                batch = delivery.batch = read_batch(lease, standing)
        except BatchTooNew:
            return give_back(lease, None, LONGEST_WAIT)
        except BatchUnreadable as error:
            return bury(lease, None, standing, str(error))
        if lease.deliveries > self._settings.deliveries and not self._suspects.pardons(lease):
            return bury(lease, batch, standing, f"{lease.deliveries - 1} senders died while they held it")
        try:
            state = await self._desk.state(batch.campaign_id)
        except StoreUnavailable:
            return give_back(lease, batch, WAIT)
        except UnknownCampaign:  # it was deleted a moment ago
            return await self._unplanned(lease)
        lost, standing = interrupted(standing)
        settlement = self._unless_sent(lease, batch, standing, state) or await self._send(delivery, batch, standing)
        return with_failures(settlement, lost, standing.size)

    # -- what isn't sent --------------------------------------------------------------------------------------------

    async def _unplanned(self, lease: Lease) -> Settlement:
        try:
            return await self._ledger.unplanned(lease)
        except StoreUnavailable:
            return give_back(lease, None, WAIT)

    def _unless_sent(self, lease: Lease, batch: Batch, standing: Standing, state: CampaignState) -> Settlement | None:
        """What becomes of a batch of which nothing is to be sent now; None: something is."""
        if state in STOPPED:
            return called_off(lease, standing)
        if batch.expires_at <= self._clock():
            return end_all(lease, batch, standing, Outcome.EXPIRED, Answer(verdict=Verdict.REJECT, reason=LIFETIME))
        if state is CampaignState.PAUSED:
            return give_back(lease, batch, self._pause_of(batch.campaign_id))
        self._paused_at.pop(batch.campaign_id, None)
        if (refusal := self._refused.get(batch.campaign_id)) is not None:
            return end_all(lease, batch, standing, Outcome.REJECTED, refusal)
        if not standing.pending:
            return Settlement(lease=lease, batch=batch, outcomes=b"", then=Then.ACK)
        if self._stopping:
            return give_back(lease, batch, 0.0)
        return None

    def _pause_of(self, campaign_id: str) -> float:
        """Seconds for which a batch of a paused campaign is given back."""
        now = time.monotonic()
        paused = now - self._paused_at.setdefault(campaign_id, now)
        return min(max(paused, WAIT), LONGEST_WAIT)

    def _until_open(self) -> float:
        """Seconds for which a batch is given back while the gate is closed; 0 where it isn't. Few where that may be
        mended any moment: nothing is taken before it opens anyway."""
        closed = max(0.0, self._gate.closed_until - time.monotonic())
        return closed if self._gate.problem is None else min(closed, LONGEST_WAIT)

    # -- what is sent -----------------------------------------------------------------------------------------------

    async def _send(self, delivery: Delivery, batch: Batch, standing: Standing) -> Settlement:
        """Send those whose time has come, unless the gate is closed, and decide what becomes of them."""
        positions, next_at = due(standing, self._clock())
        if not positions:
            return give_back(delivery.lease, batch, next_at - self._clock())
        try:
            throttle = await self._throttle(batch.campaign_id)
        except StoreUnavailable:
            return give_back(delivery.lease, batch, WAIT)
        except UnknownCampaign:  # it was deleted a moment ago
            return await self._unplanned(delivery.lease)
        if throttle is not None and throttle.wait > 0:
            return give_back(delivery.lease, batch, min(throttle.wait, LONGEST_WAIT))
        way = self._gate.look(time.monotonic())
        if way is Pass.CLOSED:
            return give_back(delivery.lease, batch, max(self._until_open(), WAIT))
        if way is Pass.TRIAL:
            positions = positions[:TRIAL]
            self._gate.begin_trial()
        delivery.positions = positions
        delivery.tried = {each.position: each for each in standing.waiting}
        try:
            await self._fly(delivery, batch, throttle)
        except InvalidMessage as error:  # it was checked before the start, so an option of the app's has changed since
            refusal = Answer(verdict=Verdict.FIX, reason="InvalidMessage", detail=text(str(error)))
            self._refused[batch.campaign_id] = refusal
            return end_all(delivery.lease, batch, standing, Outcome.REJECTED, refusal)
        finally:
            if way is Pass.TRIAL:
                self._gate.end_trial()
        if delivery.flight is None:
            self._close_over(delivery)
            delay = 0.0 if self._stopping else max(self._until_open(), WAIT)
            return give_back(delivery.lease, batch, delay)
        return await self._meter.during("decide", self._land(delivery, delivery.flight, batch, standing))

    async def _fly(self, delivery: Delivery, batch: Batch, throttle: Throttle | None) -> None:
        """Have the delivery fly until everybody is settled on the wire. Where it could not, its flight is None or tells
        who wasn't sent, and its trouble says why.

        Raises: InvalidMessage.
        """
        try:
            async with asyncio.timeout(None) as delivery.beginning:
                delivery.flight = await self._meter.during("encode", self._begin(delivery, batch, throttle))
            delivery.beginning = None
            if delivery.flight is not None:
                if delivery.lost:  # just when it was begun
                    delivery.lose()
                self.tally.batches += 1
                await delivery.flight.done()
        except (CredentialError, CredentialUnavailable, InvalidConfiguration) as error:
            delivery.trouble = error
        except (PoolClosed, StoreUnavailable, TimeoutError, UnknownCampaign):
            pass  # this process is stopping, and another goes on with it; or the store is away, or forgets it soon
        finally:
            delivery.beginning = None

    async def _begin(self, delivery: Delivery, batch: Batch, throttle: Throttle | None) -> Flight | None:
        if delivery.lost:
            return None
        try:
            prepared = await self._prepare(batch.campaign_id)
        except StoreUnavailable:
            return None
        delivery.collapses = prepared.collapses
        positions = delivery.positions
        columns: Sequence[Any] = (batch.recipients, batch.addresses, batch.languages, batch.variables)
        if len(positions) < len(batch):
            columns = [_at(positions, column) for column in columns]
        budget = self._gatekeeper.budget
        if budget is None or not (budget.is_paced or throttle):
            self.tally.sent += len(positions)
            return await self._lane.begin(prepared, *columns)

        async def begin(start: int, stop: int) -> Flight:
            self.tally.sent += stop - start
            part: list[Any] = [None if column is None else column[start:stop] for column in columns]
            return await self._meter.during("encode", self._lane.begin(prepared, *part))

        intents = None
        if isinstance(self._lane, Distinguishes):
            delivery.repeats = self._lane.repeats
        if not prepared.collapses or isinstance(self._lane, Distinguishes):
            intents = Intents(len(positions), partial(self._intend, delivery))
        return PacedFlight(len(positions), budget, begin, self._controls, throttle, intents)

    async def _intend(self, delivery: Delivery, start: int, stop: int) -> None:
        """Have it on record that a part of a flight is about to be sent. Raises: StoreUnavailable."""
        intent = None if delivery.lost else delivery.intend(start, stop, self._clock())
        if intent is None:
            return
        try:
            await self._ledger.intend(intent)
        finally:
            if delivery.lost or delivery.held_until <= time.monotonic():
                # It took so long that another may have the batch, unaware of this. They aren't sent, and stay on record
                # all the same: to say that they weren't sent would be to say so of those whom the other may be sending.
                delivery.lose()
            else:
                delivery.intents += intent.waiting

    async def _throttle(self, campaign_id: str) -> Throttle | None:
        """Raises: UnknownCampaign, StoreUnavailable."""
        campaign = await self._desk.content(campaign_id)
        name, rate = f"campaign/{campaign_id}", campaign.max_rate
        action = campaign.content.action
        slower = self._lane.rate_of(action) if isinstance(self._lane, Slackens) else None
        if slower is not None and (rate is None or slower < rate):
            name, rate = f"{self._lane.name}/{action}", slower
        throttles = self._gatekeeper.throttles
        return None if rate is None or throttles is None else throttles.of(name, rate)

    async def _prepare(self, campaign_id: str) -> Prepared:
        """Raises: UnknownCampaign, StoreUnavailable, InvalidMessage."""
        prepared = self._prepared.get(campaign_id)
        if prepared is None:
            prepared = await self._lane.prepare(await self._desk.content(campaign_id))
            while len(self._prepared) >= CONTENTS:
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[campaign_id] = prepared
        return prepared

    # -- what comes back --------------------------------------------------------------------------------------------

    async def _land(self, delivery: Delivery, flight: Flight, batch: Batch, standing: Standing) -> Settlement:
        """Everything is settled on the wire: what is to be recorded, and what the lane is to do."""
        now = self._clock()
        answers = at_positions(flight.answers(now), delivery.positions, batch)
        sent: Sequence[int] = delivery.positions
        if delivery.withdrawn or (isinstance(flight, PacedFlight) and flight.stopped):
            untouched = {at for at, answer in answers.items() if answer.verdict is Verdict.RECONNECT}
            sent = [position for position in sent if position not in untouched]
            answers = {at: answer for at, answer in answers.items() if at not in untouched}
        where = Circumstances(
            now=now,
            deadline=batch.expires_at,
            longest_backoff=self._settings.longest_backoff,
            chance=random.random(),
            collapses=delivery.collapses,
            proven=self._gate.proven,
            blamed=self._gatekeeper.blamed,
        )
        decision = decide(len(batch), sent, answers, delivery.tried, where)
        self.tally.land(decision)
        self._learn(batch.campaign_id, decision)
        await self._gatekeeper.obey(decision, answers, flight)
        self._close_over(delivery)  # after what came back was noted, as that may open the gate
        waiting = concluded(decision.waiting, delivery.intents, decision.outcomes, now)
        settlement = self._settle(delivery.lease, batch, standing, replace(decision, waiting=list(waiting)))
        return replace(settlement, receipts=receipts_of(flight, delivery.positions))

    def _learn(self, campaign_id: str, decision: Decision) -> None:
        """Remember whether the provider takes the campaign's message."""
        if decision.accepted:
            self._proven.add(campaign_id)
            self._refused.pop(campaign_id, None)
        elif decision.refusal is not None and campaign_id not in self._proven:
            self._refused[campaign_id] = decision.refusal

    def _close_over(self, delivery: Delivery) -> None:
        """Close the gate where a batch could not be sent, or not to its end."""
        if delivery.trouble is not None:
            self._gatekeeper.close_over(delivery.trouble)

    def _settle(self, lease: Lease, batch: Batch, standing: Standing, decision: Decision) -> Settlement:
        now = self._clock()
        earlier = [each for each in standing.waiting if decision.outcomes[each.position] == Outcome.PENDING]
        waiting = {each.position: each for each in [*earlier, *decision.waiting]}
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


def _at(positions: Sequence[int], column: Any) -> Any:
    """A batch's column with these positions alone."""
    if column is None:
        return None
    chosen = [column[position] for position in positions]
    return bytes(chosen) if isinstance(column, bytes) else chosen
