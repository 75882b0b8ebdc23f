"""The list of campaigns: the first page. It keeps itself up to date; all who watch share one look at the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.api.campaign_pages import list_page
from stentor.api.problems import NOT_FOUND, ProblemAnswer
from stentor.api.streams import Encoded
from stentor.dashboard.live import message
from stentor.dashboard.page import Pages
from stentor.dashboard.standing import line_of_totals
from stentor.dashboard.streaming import stream_to
from stentor.dashboard.templates import Templates
from stentor.dashboard.visit import Visit
from stentor.dashboard.whom import whom
from stentor.runtime.changes import CampaignEvent
from stentor.runtime.listing import LISTED, CampaignsListed, Listed
from stentor.states import CampaignState

pages = Pages()
REMEMBERED = 16
"""Rendered lists that are kept for the next watcher."""
_encoders: WeakKeyDictionary[Templates, Encoded] = WeakKeyDictionary()


@pages.get("/", Scope.VIEW)
async def home(visit: Visit) -> Response:
    return visit.go("/campaigns")


@pages.get("/campaigns", Scope.VIEW)
async def list_campaigns(visit: Visit) -> Response:
    state, cursor = _state(visit), visit.query("after") or None
    page = await list_page(visit.stentor, state=state, cursor=cursor, limit=LISTED, now=visit.now)
    return await visit.render(
        "campaigns.html",
        rows=_rows(page.campaigns),
        next=page.next,
        first=cursor is None,
        state=None if state is None else state.value,
        states=[each.value for each in CampaignState],
    )


@pages.stream("/campaigns/events", Scope.VIEW)
async def watch_campaigns(visit: Visit) -> Response:
    """The list's table, whenever it has changed."""
    return stream_to(visit, visit.stentor.list_events(_state(visit)), _encoder(visit.templates))


def _state(visit: Visit) -> CampaignState | None:
    """Raises: ProblemAnswer: there is no such state."""
    asked = visit.query("state")
    try:
        return CampaignState(asked) if asked else None
    except ValueError:
        raise ProblemAnswer(NOT_FOUND, "There is no such state of a campaign. Choose one from the list.") from None


def _rows(listed: Sequence[Listed]) -> list[dict[str, object]]:
    return [
        {
            "campaign": each.campaign,
            "totals": each.totals,
            "line": line_of_totals(each.totals),
            "whom": whom(each.campaign),
        }
        for each in listed
    ]


def _encoder(templates: Templates) -> Callable[[CampaignEvent], bytes]:
    if templates not in _encoders:

        def encode(told: CampaignEvent) -> bytes:
            if not isinstance(told, CampaignsListed):
                return b""
            return message(told.id, templates.render("campaigns_table.html", {"rows": _rows(told.campaigns)}))

        _encoders[templates] = Encoded(encode, REMEMBERED)
    return _encoders[templates]
