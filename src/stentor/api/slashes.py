"""A `%2F` in a path is a part of an id, and no slash between two ids.

A server decodes both alike before a route is looked for. This middleware has the path decoded again, with a mark in the
place of such slashes, which `id_of` turns back.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_MARK = "\ue000"
_SLASH = re.compile(rb"%2f", re.IGNORECASE)


class SlashesInIds:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and _SLASH.search(raw):
            marked = _SLASH.sub(_MARK.encode(), raw.partition(b"?")[0]).decode("latin-1").encode("latin-1")
            scope = {**scope, "path": unquote(marked.decode(errors="replace"))}
        await self._app(scope, receive, send)


def id_of(text: str) -> str:
    """A parameter of the path as it was meant."""
    return text.replace(_MARK, "/")
