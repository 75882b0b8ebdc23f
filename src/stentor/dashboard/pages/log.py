"""The log of who did what: the newest first, with filters."""

from __future__ import annotations

from starlette.responses import Response

from stentor.access.log import DONE, FAILED, REFUSED, ActionFilter
from stentor.access.scopes import Scope
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit, with_query

pages = Pages()
SHOWN = 50
"""Rows of a page."""
DAY = 86_400.0
SPANS = {"": "any time", "1": "the last day", "7": "the last 7 days", "30": "the last 30 days"}
OUTCOMES = {"": "any", DONE: "done", REFUSED: "refused", FAILED: "failed"}
FILTERS = ("caller_id", "action", "object", "outcome", "days")


@pages.get("/log", Scope.ADMIN)
async def show_log(visit: Visit) -> Response:
    asked = {name: visit.query(name) for name in FILTERS}
    days = asked["days"] if asked["days"] in SPANS else ""
    wanted = ActionFilter(
        caller_id=asked["caller_id"] or None,
        action=asked["action"] or None,
        object=asked["object"] or None,
        outcome=asked["outcome"] or None,
        since=visit.now - float(days) * DAY if days else None,
    )
    after = visit.query("after") or None
    found = await visit.stentor.access.log.page(visit.caller, wanted, after=after, limit=SHOWN + 1)
    page = found[:SHOWN]
    kept = {name: value for name, value in asked.items() if value}
    older = with_query("/log", {**kept, "after": page[-1].id}) if len(found) > SHOWN else None
    return await visit.render(
        "log.html",
        actions=page,
        asked=asked,
        filtered=bool(kept),
        newest=with_query("/log", kept) if after else None,
        older=older,
        spans=SPANS,
        outcomes=OUTCOMES,
        with_query=with_query,
    )
