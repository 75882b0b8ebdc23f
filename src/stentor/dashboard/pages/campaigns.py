"""The list of campaigns: the first page."""

from __future__ import annotations

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit

pages = Pages()


@pages.get("/", Scope.VIEW)
async def home(visit: Visit) -> Response:
    return visit.go("/campaigns")


@pages.get("/campaigns", Scope.VIEW)
async def list_campaigns(visit: Visit) -> Response:
    campaigns = await visit.stentor.campaigns.newest(limit=50)
    return await visit.render("campaigns.html", campaigns=campaigns)
