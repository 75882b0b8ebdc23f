"""Answers that come piece by piece and cannot always be ended: then they are cut off, so that the client sees it.

Rules: an answer that is not whole never looks whole: its connection is closed before its end. The log has one line.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from stentor.errors import StentorError

logger = logging.getLogger(__name__)

HANG_UP = "hang_up"
"""The name in a request's state of what closes its connection at once; the service's protocol puts it there."""
END_WITHIN = 2.0
"""Seconds for which an answer goes on when its process stops. Then it is cut off; the server itself waits longer."""


class CutOffResponse(StreamingResponse):
    """Ends in time when its process stops, and when there is no more to be had."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stop: asyncio.Event = scope["app"].state.stop
        sending = asyncio.ensure_future(super().__call__(scope, receive, send))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([sending, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await asyncio.wait([sending], timeout=END_WITHIN)
            if not sending.done():
                sending.cancel()
                await asyncio.wait([sending])
                await _hang_up(scope, "this process stops")
                return
            await sending
        except StentorError as error:
            if not await _hang_up(scope, str(error)):
                raise
        finally:
            stopped.cancel()
            sending.cancel()


async def _hang_up(scope: Scope, why: str) -> bool:
    """Close the connection. Returns: whether there is one that can be closed."""
    hang_up = scope.get("state", {}).get(HANG_UP)
    if hang_up is None:
        return False
    logger.warning("%s was cut off before its end: %s", scope["path"], why)
    hang_up()
    await asyncio.sleep(0)  # the server learns of it before it looks whether the answer was whole
    return True
