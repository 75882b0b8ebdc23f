"""What happens to campaigns, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import msgspec

from stentor.access.scopes import Scope
from stentor.api.bearer import key_in
from stentor.api.operation import Call, Operations, Streamed
from stentor.api.streams import EVENT_STREAM, EncodedEvents, stream
from stentor.errors import UnknownCampaign
from stentor.recording.shapes import ProgressShape
from stentor.runtime.changes import CampaignEvent
from stentor.runtime.event_shapes import CampaignsNowShape, event

operations = Operations("Events")


@operations.get(
    "/campaigns/{campaign}/events", Scope.VIEW, raises=(UnknownCampaign,), streams=EVENT_STREAM, shape=ProgressShape
)
async def watch_campaign(call: Call, campaign: str) -> Streamed:
    """A campaign's progress, as server-sent events.

    The first event, `snapshot`, is the whole state; `progress` is as whole. Then come `state`, `problem`,
    `problem_over`, `report` (the final report) and `end`, after which nothing follows: close the connection then. Each
    event may be lost, as the next one is whole. `store_away` says that nobody knows just now.
    """
    await call.stentor.campaigns.get(campaign)
    return _stream(call, campaign)


@operations.get("/events", Scope.VIEW, streams=EVENT_STREAM, shape=CampaignsNowShape)
async def watch_all(call: Call) -> Streamed:
    """Starts, pauses and ends of all campaigns, and lanes' problems, as server-sent events.

    The first event, `campaigns`, is the whole state. Then come `state`, `problem` and `problem_over`.
    """
    return _stream(call, None)


def _stream(call: Call, campaign: str | None) -> Streamed:
    async def allowed() -> bool:
        """Whether the key is still valid."""
        return await call.stentor.access.keys.authenticate(key_in(call.request) or "") is not None

    return stream(call.request, call.caller.id, call.stentor.events(campaign), _encoded, allowed)


def _encode(told: CampaignEvent) -> bytes:
    data = msgspec.json.encode(event(told))
    return b"event: %s\nid: %d\ndata: %s\n\n" % (told.kind.encode(), told.id, data)


_encoded = EncodedEvents(_encode)
