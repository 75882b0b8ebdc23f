"""What became of campaigns: progress, report, failures, one recipient, the audit."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stentor.access.scopes import Scope
from stentor.api.cursors import Cursors
from stentor.api.operation import Call, Fields, Operations, Streamed
from stentor.api.problems import INVALID_INPUT, FieldProblem, ProblemAnswer
from stentor.errors import AudienceUnavailable, InvalidAudience, QueueUnavailable, UnknownCampaign
from stentor.recording import shapes
from stentor.recording.export import csv_lines, json_lines
from stentor.recording.recipients import RecipientShape
from stentor.recording.report import FAILURES_PAGE, FailureRow
from stentor.recording.shapes import (
    AuditShape,
    ExplanationShape,
    FailureShape,
    ProgressShape,
    ReportShape,
    Shape,
)

operations = Operations("Outcomes")
MOST, USUAL = 1000, 100
"""Failures of a page."""
CSV, JSON_LINES = "text/csv", "application/jsonl"


class FailureFilters(Fields, frozen=True, kw_only=True):
    """Which failures."""

    lane: str | None = None
    """Only those of one lane, e.g. `apns/ios`."""
    reason: str | None = None
    """Only those for one reason, e.g. `Unregistered`."""
    dead: bool | None = None
    """Only those whose address is (or isn't) dead."""
    addresses: bool = False
    """With each one's address, as the audience has it now. Needs the scope `write`."""


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


class FailuresPage(Shape, frozen=True, kw_only=True):
    """Some of those who were not reached."""

    failures: list[FailureShape]
    next: str | None
    """The cursor of the next page. Null: this is the last one."""


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
    _may_see(call, query)
    cursors = Cursors(await call.stentor.access.signing_key())
    question = ("failures", campaign, query.lane, query.reason, query.dead)
    after = None
    if query.cursor is not None:
        batch_id, position = cursors.read(question, query.cursor, call.now)
        after = (str(batch_id), int(position))
    rows = []
    async for row in _failures(call, campaign, query, after, page=query.limit + 1):
        rows.append(row)
        if len(rows) > query.limit:
            break
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return FailuresPage(
        failures=[shapes.failure(row, address=query.addresses) for row in page],
        next=cursors.make(question, [page[-1].batch_id, page[-1].position], call.now) if more else None,
    )


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
    _may_see(call, query)
    after = await _place(call, campaign, query.after)
    await call.stentor.campaigns.get(campaign)
    pages = _pages(_failures(call, campaign, query, after), addresses=query.addresses)
    names = [each for each in FailureShape.__struct_fields__ if query.addresses or each != "address"]
    return _export(call, f"failures-{campaign}", query.format, names, pages)


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
)
async def export_recipients(call: Call, campaign: str, query: RecipientsQuery) -> Streamed:
    """Every recipient and what became of it, as CSV or JSON Lines, compressed if the client takes gzip.

    If the connection breaks, go on with `after`.
    """
    await call.stentor.campaigns.get(campaign)
    pages = call.stentor.outcomes.recipients(
        campaign, lane=query.lane, outcome=query.outcome, after=await _place(call, campaign, query.after)
    )
    return _export(call, f"recipients-{campaign}", query.format, RecipientShape.__struct_fields__, pages)


async def _place(call: Call, campaign: str, after: str | None) -> tuple[str, int] | None:
    """Where an export goes on. Raises: ProblemAnswer: there is no such place."""
    if after is None:
        return None
    batch_id, _, position = after.rpartition(":")
    known = batch_id.startswith(f"{campaign}/") and await call.stentor.outcomes.has_batch(batch_id)
    if not known or not (position.isascii() and position.isdecimal()) or len(position) > 9:
        said = "must be a `batch_id` of this campaign, a colon, and a `position`"
        told = [FieldProblem(parameter="after", detail=said)]
        raise ProblemAnswer(INVALID_INPUT, f"after: {said}", errors=told)
    return batch_id, int(position)


def _may_see(call: Call, query: FailureFilters) -> None:
    if query.addresses:
        call.caller.require(Scope.WRITE)


def _failures(
    call: Call, campaign: str, query: FailureFilters, after: tuple[str, int] | None, page: int = FAILURES_PAGE
) -> AsyncIterator[FailureRow]:
    return call.stentor.outcomes.failures(
        campaign,
        lane=query.lane,
        reason=query.reason,
        dead=query.dead,
        addresses=query.addresses,
        after=after,
        page=page,
    )


async def _pages(found: AsyncIterator[FailureRow], *, addresses: bool) -> AsyncIterator[Sequence[FailureShape]]:
    page: list[FailureShape] = []
    async for row in found:
        page.append(shapes.failure(row, address=addresses))
        if len(page) >= FAILURES_PAGE:
            yield page
            page = []
    yield page


def _export(
    call: Call, name: str, kind: str, names: Sequence[str], pages: AsyncIterator[Sequence[msgspec.Struct]]
) -> Streamed:
    """A list as a file, compressed where the client takes that."""
    pieces = csv_lines(names, pages) if kind == "csv" else json_lines(pages)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Vary": "Accept-Encoding"}
    accepted = call.request.headers.get("accept-encoding", "").lower().replace(" ", "")
    if re.search(r"gzip(?!;q=0(\.0*)?(,|$))", accepted):
        headers["Content-Encoding"] = "gzip"
        pieces = _gzip(pieces)
    return Streamed(content_type=CSV if kind == "csv" else JSON_LINES, pieces=pieces, headers=headers)


async def _gzip(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Compressed lightly: the machine has other things to do."""
    packer = zlib.compressobj(level=1, wbits=31)
    async for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
