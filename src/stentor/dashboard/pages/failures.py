"""Who was not reached and why, as a list and as a file; and what became of one recipient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.api.cutting import CutOffResponse
from stentor.api.exports import Kind
from stentor.api.failures import FailureFilters, FailureList, FailuresPage
from stentor.api.problems import INVALID_CURSOR, ProblemAnswer
from stentor.config import REGISTRY
from stentor.dashboard.page import Pages
from stentor.dashboard.places import filters, place, query_of
from stentor.dashboard.reasons import dead_of, how_many, reason_lines
from stentor.dashboard.visit import Visit
from stentor.outcome import Outcome
from stentor.recording.failing import ENDINGS, KindCount
from stentor.recording.meanings import meaning
from stentor.recording.shapes import selection_of
from stentor.states import FINAL
from stentor.store.campaigns import Campaign

pages = Pages()
ON_A_PAGE = 50


class ExportFilters(FailureFilters, frozen=True, kw_only=True):
    format: Kind = "csv"


@pages.get("/campaigns/{campaign}/failures", Scope.VIEW)
async def show_failures(visit: Visit, campaign: str) -> Response:
    found = await visit.stentor.campaigns.get(campaign)
    chosen = filters(visit.request.query_params.multi_items(), FailureFilters)
    chosen = msgspec.structs.replace(chosen, addresses=False)
    listed = FailureList(visit.stentor, visit.caller, campaign, chosen)
    cursor = visit.query("cursor") or None
    try:
        page, misled = await listed.page(ON_A_PAGE, cursor, visit.now), False
    except ProblemAnswer as problem:
        if problem.kind is not INVALID_CURSOR:
            raise
        page, misled = await listed.page(ON_A_PAGE, None, visit.now), True
    counts = await visit.stentor.outcomes.failure_counts(campaign)
    return await visit.render(
        "failures.html",
        400 if misled else 200,
        misled=misled,
        first=cursor is None or misled,
        over=found.state in FINAL,
        **_campaign(found),
        **_filtered(campaign, chosen, counts),
        **_summary(campaign, counts),
        **_listed(campaign, chosen, page),
    )


@pages.get("/campaigns/{campaign}/failures/export", Scope.VIEW)
async def export_failures(visit: Visit, campaign: str) -> Response:
    chosen = filters(visit.request.query_params.multi_items(), ExportFilters)
    listed = FailureList(visit.stentor, visit.caller, campaign, chosen)
    streamed = await listed.export(visit.request, chosen.format)
    return CutOffResponse(streamed.pieces, 200, dict(streamed.headers), media_type=streamed.content_type)


@pages.get("/campaigns/{campaign}/explain", Scope.VIEW)
async def explain(visit: Visit, campaign: str) -> Response:
    """One recipient, `installation`. A form has it in `id`, where space around it is none of it."""
    if typed := visit.query("id"):
        return visit.go(place("campaigns", campaign, "explain", installation=typed))
    installation = visit.request.query_params.get("installation", "")
    if not installation:
        return visit.go(place("campaigns", campaign, "failures"))
    told = await visit.stentor.outcomes.explain(campaign, installation)
    failure = told.failure
    of_registry = selection_of(told.campaign).source == REGISTRY
    return await visit.render(
        "explain.html",
        told=told,
        outcome="waiting" if told.outcome is Outcome.PENDING else told.outcome and told.outcome.name.lower(),
        meaning=meaning(failure.lane, failure.reason, failure.outcome) if failure else "",
        registered_href=place("installations", installation) if of_registry else "",
        **_campaign(told.campaign),
    )


def _campaign(found: Campaign) -> dict[str, Any]:
    kind = "messages" if found.is_message else "campaigns"
    return {
        "campaign": found,
        "campaign_href": place(kind, found.id),
        "failures_href": place("campaigns", found.id, "failures"),
        "explain_href": place("campaigns", found.id, "explain"),
    }


def _filtered(campaign: str, chosen: FailureFilters, counts: Sequence[KindCount]) -> dict[str, Any]:
    """What can be filtered by, what is, and how many that leaves."""
    kinds = [each.kind for each in counts]
    wanted = [
        each
        for each in counts
        if chosen.lane in (None, each.kind.lane)
        and chosen.reason in (None, each.kind.reason)
        and chosen.outcome in (None, each.kind.outcome.name.lower())
        and chosen.dead in (None, each.kind.dead)
    ]
    return {
        "chosen": chosen,
        "filtered": bool(query_of(chosen)),
        "lanes": sorted({each.lane for each in kinds} | ({chosen.lane} if chosen.lane else set())),
        "reasons": sorted({each.reason for each in kinds} | ({chosen.reason} if chosen.reason else set())),
        "outcomes": [each.name.lower() for each in ENDINGS],
        "matching": how_many(wanted),
        "export_href": place("campaigns", campaign, "failures", "export"),
    }


def _summary(campaign: str, counts: Sequence[KindCount]) -> dict[str, Any]:
    """The reasons at the top, the most frequent first, and how many ended how."""
    path = ("campaigns", campaign, "failures")
    figures = [("Not reached", how_many(counts), place(*path))]
    for ending in ENDINGS:
        name = ending.name.lower()
        of_ending = [each for each in counts if each.kind.outcome is ending]
        figures.append((f"Ended as {name}", how_many(of_ending), place(*path, outcome=name)))
    figures.append(("Dead addresses", how_many(dead_of(counts)), place(*path, dead=True)))
    return {"summary": reason_lines(campaign, counts), "figures": figures}


def _listed(campaign: str, chosen: FailureFilters, page: FailuresPage) -> dict[str, Any]:
    path = ("campaigns", campaign, "failures")
    more = None if page.next is None else place(*path, **query_of(chosen), cursor=page.next)
    explained = [place("campaigns", campaign, "explain", installation=each.installation) for each in page.failures]
    return {
        "rows": list(zip(page.failures, explained, strict=True)),
        "more_href": more,
        "first_href": place(*path, **query_of(chosen)),
    }
