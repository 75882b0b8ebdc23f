"""The API (and the dashboard) as one ASGI application."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from stentor.api.limits import RequestLimits
from stentor.api.meter import ApiMeter
from stentor.api.named import NamedRequests
from stentor.api.operation import VERSION
from stentor.api.operations import ALL
from stentor.api.pages import document_routes
from stentor.api.routes import RestApi, not_found
from stentor.api.slashes import SlashesInIds
from stentor.config import Config
from stentor.dashboard.pages import ALL as PAGES
from stentor.dashboard.site import Dashboard
from stentor.runtime.stentor import Stentor


def application(stentor: Stentor, config: Config, meter: ApiMeter, stop: asyncio.Event) -> Starlette:
    """What answers the requests of one process.

    Args:
        stop: set when the process is to end: whatever streams without an end ends then.
    """
    api = RestApi(stentor, config.api, ALL, RequestLimits(config.api.rate), meter)
    dashboard = Dashboard(stentor, config, PAGES, meter)

    async def nothing(request: Request, error: Exception) -> Response:
        is_api = request.url.path.startswith(f"{VERSION}/")
        return not_found(request, error) if is_api else await dashboard.not_found(request, error)

    app = Starlette(
        routes=[*document_routes(ALL), *api.routes(), *dashboard.routes()],
        exception_handlers={404: nothing, 405: nothing},
        middleware=[Middleware(NamedRequests, https=config.api.is_https), Middleware(SlashesInIds)],
    )
    app.router.redirect_slashes = False
    app.state.stop = stop
    return app
