"""What became of campaigns: progress, report, failures, one recipient, the audit."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from stentor.access.scopes import Scope
from stentor.api.exports import CSV, JSON_LINES, export
from stentor.api.failures import FailureFilters, FailureList, FailuresPage, place_in
from stentor.api.operation import Call, Fields, Operations, Streamed
from stentor.errors import AudienceUnavailable, InvalidAudience, QueueUnavailable, UnknownCampaign
from stentor.recording import shapes
from stentor.recording.recipients import RecipientShape
from stentor.recording.shapes import AuditShape, ExplanationShape, FailureShape, ProgressShape, ReportShape

operations = Operations("Outcomes")
MOST, USUAL = 1000, 100
"""Failures of a page."""


class FailuresQuery(FailureFilters, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL
    """How many failures."""
    cursor: str | None = None
    """`next` of the page before."""


class ExportQuery(FailureFilters, frozen=True, kw_only=True):
    format: Literal["csv", "jsonl"] = "jsonl"
    """CSV for spreadsheets, or an object a line."""
    after: str | None = None
    """Go on after this one: the `batch_id` and the `position` of the last line that you have, with a colon between."""


@operations.get("/campaigns/{campaign}/progress", Scope.VIEW, raises=(UnknownCampaign,))
async def get_progress(call: Call, campaign: str) -> ProgressShape:
    """Where every recipient of a campaign is at this moment."""
    return call.seen(shapes.progress(await call.stentor.outcomes.progress(campaign)))


@operations.get("/campaigns/{campaign}/report", Scope.VIEW, raises=(UnknownCampaign,))
async def get_report(call: Call, campaign: str) -> ReportShape:
    """What became of a campaign so far, with the reasons of those not reached."""
    return call.seen(shapes.report(await call.stentor.outcomes.report(campaign)))


@operations.get("/campaigns/{campaign}/audit", Scope.VIEW, raises=(UnknownCampaign, QueueUnavailable))
async def audit_campaign(call: Call, campaign: str) -> AuditShape:
    """Recount a campaign from its recipients themselves. Takes as long as it takes to read all of them."""
    return shapes.audit(await call.stentor.outcomes.audit(campaign))


@operations.get("/campaigns/{campaign}/recipients/{installation}", Scope.VIEW, raises=(UnknownCampaign,))
async def explain_recipient(call: Call, campaign: str, installation: str) -> ExplanationShape:
    """What became of one recipient, from planning to the provider's answer."""
    return call.seen(shapes.explanation(await call.stentor.outcomes.explain(campaign, installation)))


@operations.get(
    "/campaigns/{campaign}/failures", Scope.VIEW, raises=(UnknownCampaign, InvalidAudience, AudienceUnavailable)
)
async def list_failures(call: Call, campaign: str, query: FailuresQuery) -> FailuresPage:
    """Who was not reached, and why, in the order of the batches."""
    return await FailureList(call.stentor, call.caller, campaign, query).page(query.limit, query.cursor, call.now)


@operations.get(
    "/campaigns/{campaign}/failures/export",
    Scope.VIEW,
    raises=(UnknownCampaign, InvalidAudience, AudienceUnavailable),
    streams=f"{CSV}, {JSON_LINES}",
    shape=FailureShape,
)
async def export_failures(call: Call, campaign: str, query: ExportQuery) -> Streamed:
    """Everybody who was not reached, as CSV or JSON Lines, compressed if the client takes gzip.

    If the connection breaks, go on with `after`.
    """
    return await FailureList(call.stentor, call.caller, campaign, query).export(call.request, query.format, query.after)


class RecipientsQuery(Fields, frozen=True, kw_only=True):
    lane: str | None = None
    """Only those of one lane."""
    outcome: Literal["accepted", "rejected", "expired", "cancelled", "ambiguous", "waiting"] | None = None
    """Only those that ended so."""
    format: Literal["csv", "jsonl"] = "jsonl"
    """CSV for spreadsheets, or an object a line."""
    after: str | None = None
    """Go on after this one: the `batch_id` and the `position` of the last line that you have, with a colon between."""


@operations.get(
    "/campaigns/{campaign}/recipients/export",
    Scope.VIEW,
    raises=(UnknownCampaign,),
    streams=f"{CSV}, {JSON_LINES}",
    shape=RecipientShape,
    action="recipients.export",
)
async def export_recipients(call: Call, campaign: str, query: RecipientsQuery) -> Streamed:
    """Every recipient and what became of it, as CSV or JSON Lines, compressed if the client takes gzip.

    If the connection breaks, go on with `after`.
    """
    await call.stentor.campaigns.get(campaign)
    after = await place_in(call.stentor, campaign, query.after)
    pages = call.stentor.outcomes.recipients(campaign, lane=query.lane, outcome=query.outcome, after=after)
    return export(call.request, f"recipients-{campaign}", query.format, RecipientShape.__struct_fields__, pages)
