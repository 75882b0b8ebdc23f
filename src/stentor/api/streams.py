"""Server-sent events (WHATWG HTML, 9.2), for programs and for pages: each is encoded once, however many watch."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request

from stentor.api.operation import Streamed
from stentor.api.problems import TOO_MANY, ProblemAnswer
from stentor.clock import steady
from stentor.errors import StoreUnavailable
from stentor.runtime.changes import CampaignEvent

EVENT_STREAM = "text/event-stream"
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nobody on the way closes the connection."""
RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser connects again."""
CHECKED_EVERY = 15.0
"""Seconds between two looks at whether somebody may still watch."""
MOST_WATCHERS, MOST_OF_ONE = 2000, 500
"""Of one process, and of one caller among them."""
REMEMBERED = 256
"""Encoded events that are kept for the next watcher."""

_watchers: dict[object, str] = {}
_closing: set[asyncio.Future[None]] = set()


class EncodedEvents:
    """Events as text, each made once however many watch."""

    def __init__(self, encode: Callable[[CampaignEvent], bytes], remembered: int = REMEMBERED) -> None:
        self._encode = encode
        self._remembered = remembered
        self._known: OrderedDict[int, tuple[CampaignEvent, bytes]] = OrderedDict()

    def __call__(self, told: CampaignEvent) -> bytes:
        known = self._known.get(id(told))
        if known is not None:
            return known[1]
        text = self._encode(told)
        self._known[id(told)] = told, text  # the event is kept as well, so that its id stays its own
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return text


def stream(
    request: Request,
    caller: str,
    events: AsyncGenerator[CampaignEvent, None],
    encode: Callable[[CampaignEvent], bytes],
    allowed: Callable[[], Awaitable[bool]],
) -> Streamed:
    """Events as they happen, until they end, the process stops, or the watcher leaves.

    Args:
        caller: the id of whoever watches.
        allowed: whether the watcher may still watch; asked again and again, and the stream ends if not. If the store
            cannot say so just now, it goes on: nothing new is seen without the store.

    Raises: ProblemAnswer: too many watch already.
    """
    if len(_watchers) >= MOST_WATCHERS or sum(each == caller for each in _watchers.values()) >= MOST_OF_ONE:
        said = f"{MOST_OF_ONE:,} connections of one key or user watch at most, {MOST_WATCHERS:,} of all; close some."
        raise ProblemAnswer(TOO_MANY, said, headers={"Retry-After": "10"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stop: asyncio.Event = request.app.state.stop
    pieces = _pieces(events, stop, caller, encode, allowed)
    return Streamed(content_type=EVENT_STREAM, pieces=pieces, headers=headers)


async def _pieces(
    events: AsyncGenerator[CampaignEvent, None],
    stop: asyncio.Event,
    caller: str,
    encode: Callable[[CampaignEvent], bytes],
    allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    watcher, checked = object(), steady()
    _watchers[watcher] = caller
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    ahead: asyncio.Future[Any] | None = None
    try:
        yield RETRY
        while not stop.is_set():
            if steady() - checked >= CHECKED_EVERY:
                if not await _may(allowed):
                    return
                checked = steady()
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
            if text := encode(told):
                yield text
    finally:  # nothing may be awaited here: the first `await` of a clean-up may be where it is cancelled
        del _watchers[watcher]
        stopped.cancel()
        if ahead is not None:
            ahead.cancel()
        else:
            closing = asyncio.ensure_future(events.aclose())
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)


async def _may(allowed: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await allowed()
    except StoreUnavailable:
        return True
