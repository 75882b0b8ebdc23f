"""What happens to campaigns, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from stentor.access.scopes import Scope
from stentor.api.operation import Call, Operations, Streamed
from stentor.api.problems import TOO_MANY, ProblemAnswer
from stentor.errors import UnknownCampaign
from stentor.recording.shapes import ProgressShape
from stentor.runtime.changes import CampaignEvent
from stentor.runtime.event_shapes import CampaignsNowShape, event

operations = Operations("Events")
EVENT_STREAM = "text/event-stream"
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nobody on the way closes the connection."""
RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser connects again."""
MOST_WATCHERS, MOST_OF_ONE = 2000, 500
"""Of one process, and of one caller among them."""
REMEMBERED = 256
"""Encoded events that are kept for the next watcher."""

_encoded: OrderedDict[int, tuple[CampaignEvent, bytes]] = OrderedDict()
_watchers: dict[object, str] = {}
_closing: set[asyncio.Future[None]] = set()


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
    return _stream(call, call.stentor.events(campaign))


@operations.get("/events", Scope.VIEW, streams=EVENT_STREAM, shape=CampaignsNowShape)
async def watch_all(call: Call) -> Streamed:
    """Starts, pauses and ends of all campaigns, and lanes' problems, as server-sent events.

    The first event, `campaigns`, is the whole state. Then come `state`, `problem` and `problem_over`.
    """
    return _stream(call, call.stentor.events(None))


def _stream(call: Call, events: AsyncGenerator[CampaignEvent, None]) -> Streamed:
    ours = call.caller.id
    if len(_watchers) >= MOST_WATCHERS or sum(each == ours for each in _watchers.values()) >= MOST_OF_ONE:
        said = f"{MOST_OF_ONE:,} connections of one key watch at most, {MOST_WATCHERS:,} of all; close some."
        raise ProblemAnswer(TOO_MANY, said, headers={"Retry-After": "10"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stop: asyncio.Event = call.request.app.state.stop
    return Streamed(content_type=EVENT_STREAM, pieces=_pieces(events, stop, ours), headers=headers)


async def _pieces(
    events: AsyncGenerator[CampaignEvent, None], stop: asyncio.Event, caller: str
) -> AsyncIterator[bytes]:
    watcher = object()
    _watchers[watcher] = caller
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    ahead: asyncio.Future[Any] | None = None
    try:
        yield RETRY
        while not stop.is_set():
            ahead = ahead or asyncio.ensure_future(anext(events))
            await asyncio.wait([ahead, stopped], timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            if not ahead.done():
                yield b": still here\n\n"
                continue
            try:
                told = ahead.result()
            except StopAsyncIteration:
                return
            ahead = None
            yield _encode(told)
    finally:  # nothing may be awaited here: the first `await` of a clean-up may be where it is cancelled
        del _watchers[watcher]
        stopped.cancel()
        if ahead is not None:
            ahead.cancel()
        else:
            closing = asyncio.ensure_future(events.aclose())
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)


def _encode(told: CampaignEvent) -> bytes:
    """An event as text, made once however many watch."""
    known = _encoded.get(id(told))
    if known is not None:
        return known[1]
    data = msgspec.json.encode(event(told))
    text = b"event: %s\nid: %d\ndata: %s\n\n" % (told.kind.encode(), told.id, data)
    _encoded[id(told)] = told, text  # the event is kept as well, so that its id stays its own
    if len(_encoded) > REMEMBERED:
        _encoded.popitem(last=False)
    return text
