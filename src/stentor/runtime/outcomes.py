"""What became of campaigns, for whoever asks: `Stentor.outcomes`.

Rules: nothing is changed by asking; every answer comes from the store, so any process with the same settings gives it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Audience, Selection, Wanted
from stentor.outcome import Outcome
from stentor.recording import failing
from stentor.recording import report as reports
from stentor.recording.audit import Audit, audit, audit_apart
from stentor.recording.explain import Explanation, explain
from stentor.recording.failing import KindCount
from stentor.recording.losses import Losses
from stentor.recording.recipients import RecipientShape, recipients
from stentor.recording.report import FailureRow, Progress, PutAside, Report, Totals
from stentor.runtime.resources import Resources
from stentor.states import FINAL, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.tables import batches

SETTLED = 10_000
"""Campaigns whose final sums a process keeps at most."""


def _is_settled(campaign: Campaign, totals: Totals) -> bool:
    """Whether its totals change no more."""
    may_be_read = campaign.state is CampaignState.FAILED and not campaign.planning_over
    return campaign.state in FINAL and not may_be_read and not totals.pending


class Outcomes:
    """Answers about campaigns, by their ids. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._database = resources.database
        self._backend = resources.backend
        self._sources = resources.sources
        self._settled: dict[str, Totals] = {}
        """Of campaigns that are over, of which no more is read, and everybody has an outcome."""

    async def progress(self, campaign_id: str) -> Progress:
        """Where every recipient is at this moment. Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: reports.progress(connection, campaign_id, self._clock()))

    async def report(self, campaign_id: str) -> Report:
        """What became of a campaign so far, with the reasons of those not reached. Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: reports.report(connection, campaign_id, self._clock()))

    async def totals(self, campaign_ids: Collection[str]) -> dict[str, Totals]:
        """How many recipients of each of these campaigns ended how so far; none of one of which nothing was read."""
        return await self._database.ask(lambda connection: reports.totals(connection, campaign_ids))

    async def list_totals(self, listed: Collection[Campaign]) -> dict[str, Totals]:
        """How many recipients of each of these campaigns ended how so far: for lists.

        Those of a campaign that is over, and of which no more is read, change no more, so this process sums them once.
        Of one that failed, a page of its audience may still be under way.
        """
        known = {each.id: self._settled[each.id] for each in listed if each.id in self._settled}
        asked = [each for each in listed if each.id not in known]
        if not asked:
            return known
        summed = await self.totals([each.id for each in asked])
        found = {each.id: summed.get(each.id, Totals()) for each in asked}
        self._settled |= {each.id: found[each.id] for each in asked if _is_settled(each, found[each.id])}
        for oldest in list(self._settled)[: max(0, len(self._settled) - SETTLED)]:
            del self._settled[oldest]
        return known | found

    async def failure_counts(self, campaign_id: str) -> list[KindCount]:
        """How many were not reached, by lane, reason, outcome and whether the address is dead, the most frequent first.

        Raises: UnknownCampaign.
        """

        async def ask(connection: AsyncConnection) -> list[KindCount]:
            await campaigns.get(connection, campaign_id)
            return await failing.counts(connection, campaign_id)

        return await self._database.ask(ask)

    async def put_aside(self, campaign_id: str) -> PutAside:
        """The batches and plan steps of a campaign that nobody could work on."""
        return await self._database.ask(lambda connection: reports.put_aside(connection, campaign_id))

    async def audit(self, campaign_id: str) -> Audit:
        """Recount everything, and compare. Raises: UnknownCampaign; QueueUnavailable: the queue isn't in the store."""
        if (outbox := self._backend.outbox) is None:
            return await self._database.ask(lambda connection: audit(connection, campaign_id, self._clock()))
        losses = Losses(self._database, self._backend.queue, outbox)
        return await audit_apart(self._database, losses, campaign_id, self._clock())

    def failures(
        self,
        campaign_id: str,
        *,
        lane: str | None = None,
        reason: str | None = None,
        outcome: str | None = None,
        dead: bool | None = None,
        addresses: bool = False,
        after: tuple[str, int] | None = None,
        page: int = reports.FAILURES_PAGE,
    ) -> AsyncIterator[FailureRow]:
        """Who was not reached, and why.

        Args:
            lane, reason: only those of one lane, or for one reason.
            outcome: only those that ended so: `rejected`, `expired` or `ambiguous`.
            dead: only those whose address is (or isn't) dead.
            addresses: read each one's address from the audience as it is now.
            after: batch and position of the last one that is there already.
            page: how many are read at a time.

        Raises:
            UnknownCampaign: there is no such campaign.
            InvalidAudience, AudienceUnavailable: addresses are asked for, and the audience cannot be read.
        """
        wanted = failing.WantedFailures(
            lane=lane, reason=reason, outcome=None if outcome is None else Outcome[outcome.upper()], dead=dead
        )
        found = failing.failures(self._database, campaign_id, wanted, after=after, page=page)
        return self._with_addresses(found, campaign_id) if addresses else found

    async def _with_addresses(self, found: AsyncIterator[FailureRow], campaign_id: str) -> AsyncIterator[FailureRow]:
        campaign = await self._database.ask(lambda connection: campaigns.get(connection, campaign_id))
        audience = self._sources.open(msgspec.json.decode(campaign.audience, type=Selection).origin)
        rows: list[FailureRow] = []
        try:
            async for row in found:
                rows.append(row)
                if len(rows) == reports.FAILURES_PAGE:
                    for each in await _addressed(audience, rows):
                        yield each
                    rows.clear()
            for each in await _addressed(audience, rows):
                yield each
        finally:
            await audience.aclose()

    async def has_batch(self, batch_id: str) -> bool:
        """Whether there is a batch of this id."""
        return bool(await self._database.rows(select(batches.c.id).where(batches.c.id == batch_id)))

    def recipients(
        self,
        campaign_id: str,
        *,
        lane: str | None = None,
        outcome: str | None = None,
        after: tuple[str, int] | None = None,
    ) -> AsyncIterator[list[RecipientShape]]:
        """Every recipient that was read so far and what became of it, a batch at a time. See `recording.recipients`.

        Raises: UnknownCampaign.
        """
        return recipients(self._database, campaign_id, lane=lane, outcome=outcome, after=after)

    async def explain(self, campaign_id: str, installation: str) -> Explanation:
        """What became of one recipient, from planning to the provider's answer. Raises: UnknownCampaign."""
        apart = self._backend.outbox is not None
        return await self._database.ask(
            lambda connection: explain(connection, campaign_id, installation, self._clock(), queue_apart=apart)
        )


async def _addressed(audience: Audience, rows: Sequence[FailureRow]) -> list[FailureRow]:
    """These with their addresses. One that was registered after the failure is another, and may be a good one."""
    page = await audience.find([row.installation for row in rows], Wanted())
    since = page.registered_at or [0.0] * len(page)
    known = {
        key.decode(): (address.decode(), at) for key, address, at in zip(page.keys, page.addresses, since, strict=True)
    }
    told = []
    for row in rows:
        address, registered_at = known.get(row.installation, ("", 0.0))
        told.append(replace(row, address=address if address and registered_at <= row.at else None))
    return told
