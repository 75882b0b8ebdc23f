"""Checking a draft, testing it, and "Fire": the start is held for some seconds, in which it can be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.dashboard.draft_form import audience_in_words
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.errors import (
    AudienceUnavailable,
    ChangedMeanwhile,
    CredentialError,
    InvalidAudience,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    StentorError,
    Unconfirmed,
)
from stentor.planning.timing.sentences import described_timing
from stentor.recording.meanings import meaning
from stentor.recording.shapes import selection_of
from stentor.runtime.campaigns import MOST_TESTS
from stentor.runtime.confirmation import Expectation
from stentor.runtime.preview import Preview
from stentor.runtime.sentences import made_of
from stentor.states import FINAL, CampaignState
from stentor.store.campaigns import new_id

pages = Pages()
HOLD = 10.0
"""Seconds for which a start is held unless somebody chooses otherwise."""
MOST_ZONES = 40
"""Time zones that are shown."""
HOLDS = (10, 30, 60, 300)
"""What may be chosen."""
REFUSED = (
    AudienceUnavailable,
    ChangedMeanwhile,
    CredentialError,
    InvalidAudience,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    Unconfirmed,
)
"""What a check, a test or a start is refused for, which its page says in its own place."""


@pages.get("/campaigns/{campaign}/check", Scope.WRITE)
async def check(visit: Visit, campaign: str) -> Response:
    return await _check_page(visit, campaign)


@pages.get("/campaigns/{campaign}/check/count", Scope.WRITE)
async def count(visit: Visit, campaign: str) -> Response:
    """What the check page is filled with as soon as it was counted."""
    return await visit.render("compose/count.html", **await _counted(visit, campaign))


@pages.post("/campaigns/{campaign}/fire", Scope.SEND, action="campaign.start")
async def fire(visit: Visit, campaign: str) -> Response:
    form = visit.form
    hold = float(form.get("hold")) if form.get("hold") in map(str, HOLDS) else HOLD
    try:
        if not form.get("sure"):
            raise InvalidInput("sure", "tick the box first: it says to how many people the message goes")
        if not (confirmation := form.get("confirmation")):
            raise Unconfirmed("It was not counted yet; nothing was started.")
        await visit.stentor.campaigns.start(campaign, expect=Expectation(confirmation=confirmation), hold=hold)
    except REFUSED as error:
        if (await visit.stentor.campaigns.get(campaign)).state is not CampaignState.DRAFT:
            visit.deed.refusal = str(error)
            return visit.go(f"/campaigns/{campaign}/held")  # a second click
        said = error.problem if isinstance(error, InvalidInput) else str(error)
        return await _check_page(visit, campaign, said, status=409)
    return visit.go(f"/campaigns/{campaign}/held")


@pages.get("/campaigns/{campaign}/held", Scope.VIEW)
async def held(visit: Visit, campaign: str) -> Response:
    """Until when a start can be taken back; the campaign itself once it has happened."""
    found = await visit.stentor.campaigns.get(campaign)
    if found.state is CampaignState.DRAFT and visit.may("write"):
        return visit.go(f"/campaigns/{campaign}/compose")
    if found.state is not CampaignState.SCHEDULED or found.starts_at is None:
        return visit.go(f"/campaigns/{campaign}")
    return await visit.render("compose/held.html", campaign=found, left=max(0, round(found.starts_at - visit.now)))


@pages.post("/campaigns/{campaign}/unschedule", Scope.SEND, action="campaign.unschedule")
async def take_back(visit: Visit, campaign: str) -> Response:
    try:
        await visit.stentor.campaigns.unschedule(campaign)
    except InvalidState as error:
        visit.deed.refusal = str(error)
        return visit.go(f"/campaigns/{campaign}", "too-late")
    return visit.go(f"/campaigns/{campaign}/compose", "taken-back")


@pages.post("/campaigns/{campaign}/test", Scope.SEND, action="campaign.test")
async def test(visit: Visit, campaign: str) -> Response:
    ids = visit.form.raw("ids").replace(",", "\n").split("\n")
    try:
        wanted = [each.strip() for each in ids if each.strip()]
        made = await visit.stentor.campaigns.test(campaign, wanted, test_id=visit.reserved)
    except REFUSED as error:
        said = error.problem if isinstance(error, InvalidInput) else str(error)
        return await _check_page(visit, campaign, test_problem=said, status=422)
    visit.deed.about, visit.deed.detail = made.id, made_of(campaign)
    return visit.go(f"/campaigns/{campaign}/check", test=made.id)


@pages.get("/campaigns/{campaign}/check/test", Scope.WRITE)
async def test_outcome(visit: Visit, campaign: str) -> Response:
    """What became of a test so far."""
    return await visit.render("compose/test.html", campaign_id=campaign, **await _tested(visit, visit.query("test")))


async def _check_page(
    visit: Visit, campaign_id: str, problem: str = "", *, test_problem: str = "", status: int = 200
) -> Response:
    campaign = await visit.stentor.campaigns.get(campaign_id)
    if campaign.state is not CampaignState.DRAFT:
        return visit.go(f"/campaigns/{campaign_id}/held")
    draft = await visit.stentor.campaigns.draft(campaign_id)
    test_id = visit.query("test")
    now = visit.query("count") == "now"
    counted: Mapping[str, Any] = await _counted(visit, campaign_id) if now else {"preview": None, "seconds": 0.0}
    tested: Mapping[str, Any] = await _tested(visit, test_id) if test_id else {"test": None}
    return await visit.render(
        "compose/check.html",
        status,
        draft=draft,
        audience=audience_in_words(draft),
        when=described_timing(draft.timing),
        most_tests=MOST_TESTS,
        ids=visit.form.raw("ids"),
        reserved=new_id(visit.now),
        problem=problem,
        test_problem=test_problem,
        **{"campaign": campaign, "campaign_id": campaign_id, "error": "", "holds": HOLDS, **counted, **tested},
    )


async def _counted(visit: Visit, campaign_id: str) -> dict[str, Any]:
    """The check of a draft as it is stored, how long it takes already, or why it cannot be sent."""
    campaign = await visit.stentor.campaigns.get(campaign_id)
    shown: dict[str, Any] = {"campaign": campaign, "campaign_id": campaign_id, "holds": HOLDS}
    shown |= {"preview": None, "seconds": 0.0, "error": "", "most_zones": MOST_ZONES}
    assert visit.session is not None
    try:
        found: Preview | float = await visit.counts.ask(
            visit.session.id, campaign_id, campaign.revision, lambda: visit.stentor.campaigns.check(campaign_id)
        )
    except REFUSED as error:
        return shown | {"error": str(error)}
    return shown | ({"preview": found} if isinstance(found, Preview) else {"seconds": found})


async def _tested(visit: Visit, test_id: str) -> dict[str, Any]:
    """Each recipient of a test and what became of it. A campaign of this name that is no test may have millions."""
    try:
        campaign = await visit.stentor.campaigns.get(test_id)
    except StentorError:
        return {"test": None}
    if not campaign.title.endswith("(test)") or not 0 < len(selection_of(campaign).only or ()) <= MOST_TESTS:
        return {"test": None}
    rows = [each async for some in visit.stentor.outcomes.recipients(test_id) for each in some]
    why = {
        row.installation: meaning(row.lane, row.reason, row.outcome) or row.detail or row.reason
        async for row in visit.stentor.outcomes.failures(test_id)
    }
    over = campaign.state in FINAL and all(each.outcome != "waiting" for each in rows)
    return {"test": campaign, "rows": rows, "why": why, "over": over}
