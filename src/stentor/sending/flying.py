"""The flight of a batch: from when the lane may send it until everybody is settled on the wire.

Rules: a batch flies within the lane's budget and its campaign's throttle, if there are any; where a second message
would be shown beside the first, nobody is sent before it is on record that they are about to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from stentor.clock import steady
from stentor.errors import (
    CredentialError,
    CredentialUnavailable,
    InvalidConfiguration,
    InvalidMessage,
    LeaseLost,
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
from stentor.providers.lane import Distinguishes, Flight, Lane, Slackens
from stentor.recording.contract import Ledger, Settlement
from stentor.sending.delivery import Delivery
from stentor.sending.desk import Desk
from stentor.sending.gate import TRIAL, Pass
from stentor.sending.gatekeeper import LONGEST_WAIT, Gatekeeper
from stentor.sending.judging import WAIT
from stentor.sending.seen import Campaigns
from stentor.sending.settling import end_all
from stentor.sending.tally import Tally

LONGEST_YIELD = 60.0
"""Seconds for which a batch of repeated tries is given back at most, while first tries use the pace."""


class Flyer:
    """Of one lane in one process."""

    def __init__(
        self,
        lane: Lane,
        ledger: Ledger,
        desk: Desk,
        gatekeeper: Gatekeeper,
        campaigns: Campaigns,
        tally: Tally,
        clock: Callable[[], float],
        meter: Meter,
    ) -> None:
        self._lane = lane
        self._ledger = ledger
        self._desk = desk
        self._gatekeeper = gatekeeper
        self._gate = gatekeeper.gate
        self._campaigns = campaigns
        self._tally = tally
        self._clock = clock
        self._meter = meter
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Flyer of {self._lane.name}>"

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping = True

    async def fly(self, delivery: Delivery) -> Settlement | None:
        """Send those at the delivery's positions, unless the gate is closed, and wait until everybody is settled on the
        wire. Returns: what becomes of a batch that could not be begun; None: its flight has landed.

        Raises: UnknownCampaign: it was deleted a moment ago.
        """
        try:
            throttle = await self._throttle(delivery.batch.campaign_id)
        except StoreUnavailable:
            return delivery.give_back(WAIT)
        if throttle is not None and (wait := throttle.wait(self._lane.name)) > 0:
            return delivery.give_back(min(wait, LONGEST_WAIT))
        if not delivery.is_urgent and self._has_first_tries(throttle):
            if delivery.is_repeat:
                return delivery.give_back(self._after_first_tries(delivery))
            delivery.positions = delivery.untried
        way = self._gate.look(steady())
        if way is Pass.CLOSED:
            return delivery.give_back(max(self._gatekeeper.until_open(), WAIT))
        if way is Pass.TRIAL:
            delivery.positions = delivery.positions[:TRIAL]
            self._gate.begin_trial()
        try:
            await self._see_through(delivery, throttle)
        except InvalidMessage as error:  # it was checked before the start, so an option of the app's has changed since
            refusal = Answer(verdict=Verdict.FIX, reason="InvalidMessage", detail=text(str(error)))
            self._campaigns[delivery.batch.campaign_id].refused = refusal
            return delivery.settle(end_all(delivery.account, Outcome.REJECTED, refusal))
        finally:
            if way is Pass.TRIAL:
                self._gate.end_trial()
        if delivery.flight is not None:
            return None
        if delivery.trouble is not None:
            self._gatekeeper.close_over(delivery.trouble)
        return delivery.give_back(0.0 if self._stopping else max(self._gatekeeper.until_open(), WAIT))

    def _has_first_tries(self, throttle: Throttle | None) -> bool:
        """Whether repeated tries must wait, as those who were not tried yet need all that may be sent."""
        budgets = (self._gatekeeper.budget, throttle.budget if throttle else None)
        return any(budget is not None and budget.has_first_tries for budget in budgets)

    def _after_first_tries(self, delivery: Delivery) -> float:
        """Seconds until it is looked at again: the more the longer it has been due, so that many such batches cost
        little; but within the message's lifetime."""
        now = self._clock()
        due_at = min(each.not_before for each in delivery.account.waiting)
        wait = min(max((now - due_at) / 2, LONGEST_WAIT), LONGEST_YIELD)
        return max(WAIT, min(wait, delivery.batch.expires_at - now))

    async def _see_through(self, delivery: Delivery, throttle: Throttle | None) -> None:
        """Have the delivery fly until everybody is settled on the wire. Where it could not, its flight is None or tells
        who wasn't sent, and its trouble says why.

        Raises: InvalidMessage.
        """
        try:
            async with asyncio.timeout(None) as delivery.beginning:
                delivery.flight = await self._meter.during("encode", self._begin(delivery, throttle))
            delivery.beginning = None
            if delivery.flight is not None:
                if delivery.lost:  # just when it was begun
                    delivery.lose()
                self._tally.batches += 1
                await delivery.flight.done()
        except (CredentialError, CredentialUnavailable, InvalidConfiguration) as error:
            delivery.trouble = error
        except (LeaseLost, PoolClosed, StoreUnavailable, TimeoutError, UnknownCampaign):
            pass  # this process is stopping, and another goes on with it; or the store is away, or forgets it soon
        finally:
            delivery.beginning = None

    async def _begin(self, delivery: Delivery, throttle: Throttle | None) -> Flight | None:
        if delivery.lost:
            return None
        batch, positions, size = delivery.batch, delivery.positions, len(delivery.positions)
        try:
            prepared = await self._campaigns.prepare(batch.campaign_id)
        except StoreUnavailable:
            return None
        delivery.collapses = prepared.collapses
        columns: Sequence[Any] = (batch.recipients, batch.addresses, batch.languages, batch.variables)
        if size < len(batch):
            columns = [_at(positions, column) for column in columns]
        on_record = isinstance(self._lane, Distinguishes) or not prepared.collapses
        budget = self._gatekeeper.budget
        if budget is None or not (budget.is_paced or throttle or on_record):
            self._tally.sent += size
            return await self._lane.begin(prepared, *columns)

        async def begin(start: int, stop: int) -> Flight:
            self._tally.sent += stop - start
            part: list[Any] = [None if column is None else column[start:stop] for column in columns]
            return await self._meter.during("encode", self._lane.begin(prepared, *part))

        intents = Intents(size, partial(self._intend, delivery)) if on_record else None
        controls = Controls(
            closed=self._gatekeeper.is_closed,
            forbids=partial(self._gatekeeper.forbids, remainder=delivery.is_remainder and not self._gate.wary),
            backlog=self._lane.backlog,
            clock=self._clock,
        )
        repeats, urgent = delivery.is_repeat, delivery.is_urgent
        return PacedFlight(size, budget, begin, controls, throttle, intents, repeats=repeats, urgent=urgent)

    async def _intend(self, delivery: Delivery, start: int, stop: int) -> None:
        """Have it on record that a part of a flight is about to be sent. Raises: LeaseLost, StoreUnavailable."""
        async with delivery.telling:
            intent = None if delivery.lost else delivery.intend(start, stop, self._clock(), proven=self._gate.proven)
            if intent is None:
                return  # its flight is being called back, or ends: nobody of it is sent any more
            try:
                await self._ledger.intend(intent)
            except LeaseLost:
                delivery.lose()
                raise

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


def _at(positions: Sequence[int], column: Any) -> Any:
    """A batch's column with these positions alone."""
    if column is None:
        return None
    chosen = [column[position] for position in positions]
    return bytes(chosen) if isinstance(column, bytes) else chosen
