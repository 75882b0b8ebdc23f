"""Events for a page, as an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from starlette.responses import Response

from stentor.api.cutting import CutOffResponse
from stentor.api.streams import stream
from stentor.dashboard.visit import Visit
from stentor.runtime.changes import CampaignEvent


def stream_to(
    visit: Visit, events: AsyncGenerator[CampaignEvent, None], encode: Callable[[CampaignEvent], bytes]
) -> Response:
    """Raises: ProblemAnswer: too many watch already."""

    async def allowed() -> bool:
        """Whether the reader is still signed in."""
        return await visit.stentor.access.sessions.find(visit.token) is not None

    found = stream(visit.request, visit.caller.id, events, encode, allowed)
    return CutOffResponse(found.pieces, 200, dict(found.headers), media_type=found.content_type)
