"""One campaign: where every recipient is, live; what stands still and why; the reasons; the audit; the report."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.answer_times import AnswerTimeFigures
from stentor.dashboard.live import LiveCampaigns
from stentor.dashboard.page import Pages
from stentor.dashboard.reasons import dead_of, how_many, left_out_of, reason_lines
from stentor.dashboard.streaming import stream_to
from stentor.dashboard.visit import Visit
from stentor.dashboard.whom import changes_another, whom
from stentor.planning.contract import decode_timing
from stentor.planning.timing.sentences import described_timing
from stentor.recording import shapes
from stentor.runtime.sentences import UNSEEN, actions, changes_unseen
from stentor.states import FINAL, CampaignState
from stentor.store.campaigns import Campaign

pages = Pages()
LIVE = LiveCampaigns()
"""Of this process."""


@pages.get("/campaigns/{campaign}", Scope.VIEW)
async def show_campaign(visit: Visit, campaign: str) -> Response:
    progress = await visit.stentor.outcomes.progress(campaign)
    live = LIVE.of(campaign, visit.templates)
    found = progress.campaign
    return await visit.render(
        "campaign.html",
        campaign=found,
        whom=whom(found, people=visit.may("write")),
        when=described_timing(decode_timing(found.timing)),
        reached_by=shapes.selection_of(found).reached_by,
        failed_of=shapes.selection_of(found).failed_of,
        live=live.render(progress),
        times=await _answer_times(visit, found),
        moves=found.state is not CampaignState.DRAFT and not (found.state in FINAL and not progress.total.pending),
        has_failures=bool(progress.total.failed),
        can=_can(visit, found),
    )


@pages.stream("/campaigns/{campaign}/live", Scope.VIEW)
async def watch_campaign(visit: Visit, campaign: str) -> Response:
    """What changes of the page, whole each time; and `state` and `end` by name."""
    await visit.stentor.campaigns.get(campaign)
    live = LIVE.of(campaign, visit.templates)
    return stream_to(visit, visit.stentor.events(campaign), live.encoded)


@pages.get("/campaigns/{campaign}/actions", Scope.VIEW)
async def show_actions(visit: Visit, campaign: str) -> Response:
    """The buttons that the reader may press in this state."""
    found = await visit.stentor.campaigns.get(campaign)
    return await visit.render("campaign_actions.html", campaign=found, can=_can(visit, found))


@pages.get("/campaigns/{campaign}/answer-times", Scope.VIEW)
async def show_answer_times(visit: Visit, campaign: str) -> Response:
    """How quickly the campaign's lanes are answered just now; nothing if it isn't being sent."""
    times = await _answer_times(visit, await visit.stentor.campaigns.get(campaign))
    return await visit.render("campaign_answer_times.html", times=times)


@pages.get("/campaigns/{campaign}/reasons", Scope.VIEW)
async def show_reasons(visit: Visit, campaign: str) -> Response:
    """Why recipients were not reached. Counted once for all who ask."""
    now = await visit.stentor.campaigns.get(campaign)
    why = await LIVE.of(campaign, visit.templates).why(visit.stentor.outcomes, now, visit.now)
    found = why.progress.campaign
    return await visit.render(
        "campaign_reasons.html" if visit.is_fragment else "campaign_reasons_page.html",
        campaign=found,
        at=why.progress.at,
        put_aside=why.put_aside,
        reasons=reason_lines(campaign, why.counts),
        dead=how_many(dead_of(why.counts)),
        left_out=how_many(left_out_of(why.counts)),
        unseen=UNSEEN if changes_another(found) and changes_unseen(why.progress) else "",
    )


@pages.get("/campaigns/{campaign}/report", Scope.VIEW)
async def show_report(visit: Visit, campaign: str) -> Response:
    """The report as JSON, as the command line and the API give it."""
    report = shapes.report(await visit.stentor.outcomes.report(campaign))
    seen = report if visit.may("write") else shapes.without_people(report)
    headers = {"Content-Disposition": f'attachment; filename="report-{campaign}.json"'}
    return Response(msgspec.json.format(msgspec.json.encode(seen)), 200, headers, media_type="application/json")


@pages.get("/campaigns/{campaign}/audit", Scope.VIEW)
async def ask_for_audit(visit: Visit, campaign: str) -> Response:
    found = await visit.stentor.campaigns.get(campaign)
    return await visit.render("campaign_audit.html", campaign=found, audit=None)


@pages.post("/campaigns/{campaign}/audit", Scope.VIEW)
async def audit_campaign(visit: Visit, campaign: str) -> Response:
    """Recount everything, and compare: for as long as it takes."""
    found = await visit.stentor.campaigns.get(campaign)
    audit = await visit.stentor.outcomes.audit(campaign)
    return await visit.render("campaign_audit.html", campaign=found, audit=audit)


async def _answer_times(visit: Visit, campaign: Campaign) -> Sequence[tuple[str, AnswerTimeFigures]]:
    """By lane: of those that the campaign goes over, as counted before its start."""
    if campaign.state is not CampaignState.RUNNING:
        return []
    found = await visit.stentor.lanes.answer_times()
    return [(lane, found[lane]) for lane in sorted(found) if not campaign.expected or lane in campaign.expected]


def _can(visit: Visit, campaign: Campaign) -> tuple[str, ...]:
    changes = changes_another(campaign)
    written = campaign.state is CampaignState.DRAFT and not changes and visit.may("write")
    held = campaign.state is CampaignState.SCHEDULED and visit.may("send")
    first = ("compose",) if written else ("held",) if held else ()
    repeat = (
        ("repeat",) if visit.may("send") and not changes and shapes.selection_of(campaign).failed_of is None else ()
    )
    return (*first, *repeat, *(actions(campaign, changes=changes) if visit.may("send") else ()))
