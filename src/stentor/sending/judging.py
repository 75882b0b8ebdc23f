"""Before a batch is sent: whether it can be read, what an earlier holder left of it, and whether any of it goes now.

Rules: what can't be sent now goes back to the queue, whatever the reason; nothing sleeps here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stentor.config import SendingConfig
from stentor.counted import counted
from stentor.errors import BatchTooNew, BatchUnreadable, InvalidMessage, StoreUnavailable, UnknownCampaign
from stentor.meter import Meter
from stentor.outcome import Outcome, Verdict
from stentor.providers.contract import Answer
from stentor.providers.lane import Distinguishes, Lane
from stentor.recording.contract import Settlement, Then
from stentor.sending.delivery import Delivery
from stentor.sending.desk import Desk
from stentor.sending.gatekeeper import LONGEST_WAIT
from stentor.sending.seen import Campaigns
from stentor.sending.settling import due, end_all, inherit, put_aside, read_batch
from stentor.sending.suspects import Suspects
from stentor.states import STOPPED, CampaignState

WAIT = 0.5
"""Seconds for which a batch is given back that cannot be sent now; where its campaign is paused, the longer the longer
that has been so, up to `LONGEST_WAIT`."""
LIFETIME = Answer(verdict=Verdict.REJECT, reason="Lifetime")
"""Of those whose message expired before they were sent to."""


class Judge:
    """Of one lane in one process."""

    def __init__(
        self,
        lane: Lane,
        desk: Desk,
        campaigns: Campaigns,
        suspects: Suspects,
        settings: SendingConfig,
        clock: Callable[[], float],
        meter: Meter,
    ) -> None:
        self._lane = lane
        self._desk = desk
        self._campaigns = campaigns
        self._suspects = suspects
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Judge of {self._lane.name}>"

    def stop(self) -> None:
        """Have nothing more begun: what hasn't begun is given back at once."""
        self._stopping = True

    async def judge(self, delivery: Delivery) -> Settlement | None:
        """What becomes of a batch of which nothing is to be sent now; None: its `positions` are.

        Raises: UnknownCampaign: it was deleted a moment ago.
        """
        lease, account = delivery.lease, delivery.account
        try:
            with self._meter.stage("take"):
                batch = delivery.read = read_batch(lease, account)
        except BatchTooNew:
            return delivery.put_back(LONGEST_WAIT)
        except BatchUnreadable as error:
            return delivery.settle(put_aside(account, str(error), lease.deliveries), Then.BURY, why=str(error))
        if lease.deliveries > self._settings.deliveries and not self._suspects.pardons(lease):
            why = f"{counted(lease.deliveries - 1, 'sender')} died while holding it"
            return delivery.settle(put_aside(account, why, lease.deliveries), Then.BURY, why=why)
        try:
            state = await self._desk.state(batch.campaign_id)
        except StoreUnavailable:
            return delivery.put_back(WAIT)
        await self._inherit(delivery)
        return self._unless_sent(delivery, state)

    async def _inherit(self, delivery: Delivery) -> None:
        """Put down what an earlier holder may have sent of which it couldn't tell."""
        known, lease, batch = delivery.known, delivery.lease, delivery.batch
        if known is None or not (lease.inherited or any(each.begun for each in known.account.waiting)):
            return
        repeats: Callable[[int], bool] = lambda _position: True  # noqa: E731 - one that knows the lane replaces it
        if isinstance(self._lane, Distinguishes):
            repeats = partial(_repeats, self._lane, batch.addresses)
        on_record = await self._is_on_record(batch.campaign_id)
        delivery.known = inherit(known, lease, self._clock(), on_record=on_record, repeats=repeats)
        delivery.inherited = delivery.known is not known

    async def _is_on_record(self, campaign_id: str) -> bool:
        """Whether nobody of a campaign is sent without being on record before. What isn't known counts as no."""
        if isinstance(self._lane, Distinguishes):
            return True
        try:
            return not (await self._campaigns.prepare(campaign_id)).collapses
        except (StoreUnavailable, UnknownCampaign, InvalidMessage):
            return False

    def _unless_sent(self, delivery: Delivery, state: CampaignState) -> Settlement | None:
        account, batch, now = delivery.account, delivery.batch, self._clock()
        seen = self._campaigns[batch.campaign_id]
        if state in STOPPED:
            return delivery.settle(end_all(account, Outcome.CANCELLED))
        if batch.expires_at <= now:
            return delivery.settle(end_all(account, Outcome.EXPIRED, LIFETIME))
        if state is CampaignState.PAUSED:
            return delivery.give_back(seen.pause(WAIT, LONGEST_WAIT))
        seen.paused_at = None
        if seen.refused is not None:
            return delivery.settle(end_all(account, Outcome.REJECTED, seen.refused))
        if not account.pending:
            return delivery.settle()
        if self._stopping:
            return delivery.give_back(0.0)
        delivery.positions, next_at = due(account, now)
        return None if delivery.positions else delivery.give_back(next_at - now)


def _repeats(lane: Distinguishes, addresses: list[bytes], position: int) -> bool:
    return lane.repeats(addresses[position])
