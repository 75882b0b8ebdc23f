"""HTTP/1.1 as the service speaks it: h11 through uvicorn, with an end to how long a client may take to ask.

h11 bounds a request's line and headers (64 KiB). Rules: whoever has connected and asked for nothing after
`ASK_WITHIN` seconds, or is still at the headers, is hung up on; between requests uvicorn's keep-alive time counts.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from stentor.api.cutting import HANG_UP

ASK_WITHIN = 20.0
"""Seconds from the connection to the end of the first request's headers."""


class BoundedProtocol(H11Protocol):
    """Hangs up on clients that don't get to their request."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.app_state = {**self.app_state, HANG_UP: self._cut_off}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hurry = self.loop.call_later(ASK_WITHIN, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hurry.cancel()
        super().connection_lost(exc)

    def _cut_off(self) -> None:
        """Close the connection at once, whatever is under way."""
        self.transport.abort()

    def _hang_up(self) -> None:
        cycle: object | None = self.cycle  # None until the headers of the first request are there
        if cycle is None:
            self.transport.close()
