"""What became of campaigns, for whoever asks: `Stentor.outcomes`.

Rules: nothing is changed by asking; every answer comes from the store, so any process with the same settings gives it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from stentor.recording import report as reports
from stentor.recording.audit import Audit, audit, audit_apart
from stentor.recording.explain import Explanation, explain
from stentor.recording.losses import Losses
from stentor.recording.report import FailureRow, Progress, Report
from stentor.runtime.resources import Resources


class Outcomes:
    """Answers about campaigns, by their ids. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._database = resources.database
        self._backend = resources.backend

    async def progress(self, campaign_id: str) -> Progress:
        """Where every recipient is at this moment. Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: reports.progress(connection, campaign_id, self._clock()))

    async def report(self, campaign_id: str) -> Report:
        """What became of a campaign so far, with the reasons of those not reached. Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: reports.report(connection, campaign_id, self._clock()))

    async def audit(self, campaign_id: str) -> Audit:
        """Recount everything, and compare. Raises: UnknownCampaign; QueueUnavailable: the queue isn't in the store."""
        if (outbox := self._backend.outbox) is None:
            return await self._database.ask(lambda connection: audit(connection, campaign_id, self._clock()))
        losses = Losses(self._database, self._backend.queue, outbox)
        return await audit_apart(self._database, losses, campaign_id, self._clock())

    def failures(
        self, campaign_id: str, *, lane: str | None = None, reason: str | None = None, dead: bool | None = None
    ) -> AsyncIterator[FailureRow]:
        """Who was not reached, and why."""
        return reports.failures(self._database, campaign_id, lane=lane, reason=reason, dead=dead)

    async def explain(self, campaign_id: str, installation: str) -> Explanation:
        """What became of one recipient, from planning to the provider's answer. Raises: UnknownCampaign."""
        apart = self._backend.outbox is not None
        return await self._database.ask(
            lambda connection: explain(connection, campaign_id, installation, self._clock(), queue_apart=apart)
        )
