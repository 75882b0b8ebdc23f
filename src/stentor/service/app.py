"""The API (and the dashboard) as one ASGI application."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.middleware import Middleware

from stentor.api.limits import RequestLimits
from stentor.api.meter import ApiMeter
from stentor.api.named import NamedRequests
from stentor.api.operations import ALL
from stentor.api.pages import document_routes
from stentor.api.routes import RestApi, not_found
from stentor.api.slashes import SlashesInIds
from stentor.config import Config
from stentor.runtime.stentor import Stentor


def application(stentor: Stentor, config: Config, meter: ApiMeter, stop: asyncio.Event) -> Starlette:
    """What answers the requests of one process.

    Args:
        stop: set when the process is to end: whatever streams without an end ends then.
    """
    api = RestApi(stentor, config.api, ALL, RequestLimits(config.api.rate), meter)
    app = Starlette(
        routes=[*document_routes(ALL), *api.routes()],
        exception_handlers={404: not_found, 405: not_found},
        middleware=[Middleware(NamedRequests), Middleware(SlashesInIds)],
    )
    app.router.redirect_slashes = False
    app.state.stop = stop
    return app
