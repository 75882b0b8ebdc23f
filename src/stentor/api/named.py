"""Gives each request an id, and each answer the headers that all have: whatever answers it.

An answer that is no page may be opened in a browser as well: then it runs nothing, loads nothing, and is in no frame.
"""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-Id"
ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
OVER_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}
"""A browser that was here once comes back over https alone, for a year."""


class NamedRequests:
    """ASGI middleware. The id is `request.state.request_id`."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        """Args:
        https: whether people reach this server over https.
        """
        self._app = app
        self._always = ALWAYS | (OVER_HTTPS if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {REQUEST_ID: request_id, **self._always}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, told)
