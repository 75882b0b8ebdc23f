"""What comes back of a batch: the decision what its answers ask for, what the lane is to do, and what is recorded."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from stentor.account import Account, Waiting
from stentor.batch import Batch
from stentor.config import SendingConfig
from stentor.meter import Meter
from stentor.outcome import Verdict
from stentor.pace.paced import PacedFlight
from stentor.providers.lane import Flight
from stentor.recording.contract import Settlement, Then
from stentor.sending.delivery import Delivery
from stentor.sending.gatekeeper import Gatekeeper
from stentor.sending.retry import Circumstances, Decision, decide
from stentor.sending.seen import Campaigns
from stentor.sending.settling import at_positions, concluded, receipts_of
from stentor.sending.tally import Tally


class Lander:
    """Of one lane in one process."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        campaigns: Campaigns,
        settings: SendingConfig,
        tally: Tally,
        clock: Callable[[], float],
        meter: Meter,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._campaigns = campaigns
        self._settings = settings
        self._tally = tally
        self._clock = clock
        self._meter = meter

    async def land(self, delivery: Delivery) -> Settlement:
        """What becomes of a batch whose flight has landed."""
        return await self._meter.during("decide", self._land(delivery))

    async def _land(self, delivery: Delivery) -> Settlement:
        flight, batch, now = delivery.flight, delivery.batch, self._clock()
        assert flight is not None
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
            proven=self._gatekeeper.gate.proven,
            blamed=self._gatekeeper.blamed,
            alike=_are_alike(batch, sent),
            give_up_after=self._patience(),
        )
        decision = decide(len(batch), sent, answers, delivery.tried, where)
        self._tally.land(decision)
        self._campaigns[batch.campaign_id].learn(accepted=decision.accepted, refusal=decision.refusal)
        await self._gatekeeper.obey(decision, answers, flight)
        if delivery.trouble is not None:  # after what came back was noted, as that may open the gate
            self._gatekeeper.close_over(delivery.trouble)
        return self._settle(delivery, flight, decision, now)

    def _patience(self) -> float:
        """See `Circumstances.give_up_after`. While the whole lane is in trouble nobody is given up for that."""
        return math.inf if self._gatekeeper.gate.problem is not None else self._settings.give_up_after

    def _settle(self, delivery: Delivery, flight: Flight, decision: Decision, now: float) -> Settlement:
        waiting = concluded(decision.waiting, delivery.intents, decision.outcomes, now)
        news = Account(
            outcomes=bytes(decision.outcomes),
            failures=tuple(decision.failures),
            waiting=waiting,
            receipts=receipts_of(flight, delivery.positions),
        )
        left = delivery.account.pending - (len(news) - news.pending)
        if left <= 0:
            return delivery.settle(news)
        found: dict[int, Waiting] = {at: each for at, each in delivery.tried.items() if not news.outcomes[at]}
        found |= {each.position: each for each in waiting}
        at_once = left > len(found)
        delay = 0.0 if at_once else min(each.not_before for each in found.values()) - now
        return delivery.settle(news, Then.RELEASE, delay=max(0.0, delay, self._gatekeeper.until_open()))


def _are_alike(batch: Batch, positions: Sequence[int]) -> bool:
    """See `Circumstances.alike`."""
    if batch.variables is not None:
        return False
    languages = batch.languages
    return languages is None or len({languages[position] for position in positions}) > 1
