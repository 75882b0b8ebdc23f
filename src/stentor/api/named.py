"""Gives each request an id, and each answer the headers that all have: whatever answers it."""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-Id"
ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class NamedRequests:
    """ASGI middleware. The id is `request.state.request_id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {REQUEST_ID: request_id, **ALWAYS}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, told)
