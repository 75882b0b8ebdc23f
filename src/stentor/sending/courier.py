"""The courier: the way of one batch from its payload to its settlement.

    Judge ──▶ Flyer ──▶ Lander
      │         │         │
      └─────────┴─────────┴──▶ Settlement

Each stage ends the way with a settlement, or lets the batch go on to the next. Rules: nothing sleeps inside a send,
what must wait goes back to the queue; every way out is a `Settlement`, which acks, gives back or buries the lease, or
an error that ends the process, so that the lease lapses. What is done for each recipient is done on the batch's
columns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from stentor.config import SendingConfig
from stentor.errors import StoreUnavailable, UnknownCampaign
from stentor.meter import Meter
from stentor.providers.lane import Lane
from stentor.recording.contract import Ledger, Settlement, Then
from stentor.sending.delivery import Delivery
from stentor.sending.desk import Desk
from stentor.sending.flying import Flyer
from stentor.sending.gatekeeper import Gatekeeper
from stentor.sending.judging import WAIT, Judge
from stentor.sending.landing import Lander
from stentor.sending.seen import Campaigns
from stentor.sending.suspects import Suspects
from stentor.sending.tally import Tally

logger = logging.getLogger(__name__)


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
        self._name = lane.name
        self._ledger = ledger
        campaigns = Campaigns(lane, desk)
        self._judge = Judge(lane, desk, campaigns, suspects, settings, clock, meter)
        self._flyer = Flyer(lane, ledger, desk, gatekeeper, campaigns, self.tally, clock, meter)
        self._lander = Lander(gatekeeper, campaigns, settings, self.tally, clock, meter)

    def __repr__(self) -> str:
        return f"<Courier of {self._name}>"

    def stop(self) -> None:
        """Begin nothing more: what hasn't begun is given back at once."""
        self._judge.stop()
        self._flyer.stop()

    async def deliver(self, delivery: Delivery) -> Settlement:
        """What becomes of a batch."""
        settlement = await self._deliver(delivery)
        if settlement.then is Then.BURY:
            lease = settlement.lease
            logger.error("batch %s is put aside: %s", lease.id, settlement.why, extra=lease.facts)
        return settlement

    async def _deliver(self, delivery: Delivery) -> Settlement:
        try:
            if delivery.known is not None:
                return (
                    await self._judge.judge(delivery)
                    or await self._flyer.fly(delivery)
                    or await self._lander.land(delivery)
                )
        except UnknownCampaign:
            pass  # it was deleted a moment ago
        try:
            return await self._ledger.unplanned(delivery.lease)
        except StoreUnavailable:
            return delivery.put_back(WAIT)
