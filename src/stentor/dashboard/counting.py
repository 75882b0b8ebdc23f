"""Counting for pages: a draft's check may take long, so a page asks for it again and again until it is there.

Rules: a session has one count of a draft at a time, however often its pages ask, and of few drafts; what was counted of
a draft as it was before says nothing about it now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stentor.clock import steady

T = TypeVar("T")
MOST = 4
"""Drafts that a session has counted at a time: one for each of its tabs."""
WAIT = 1.0
"""Seconds for which a request waits for a count, so that a quick one needs a single request."""


@dataclass(slots=True)
class _Count(Generic[T]):
    state: object
    began: float
    task: asyncio.Task[T]


class Counts(Generic[T]):
    """Those of one process."""

    def __init__(self) -> None:
        self._by_session: dict[str, dict[str, _Count[T]]] = {}

    async def ask(self, session: str, draft: str, state: object, count: Callable[[], Awaitable[T]]) -> T | float:
        """What was counted; or for how many seconds it has been counted, if that isn't over.

        Args:
            draft: what is counted. If there are too many, the one that was asked for longest ago is ended.
            state: of the draft. A count of another state is ended.

        Raises: what `count` raises.
        """
        counts = self._by_session.setdefault(session, {})
        found = counts.pop(draft, None)
        if found is not None and found.state != state:
            found.task.cancel()
            found = None
        counts[draft] = found = found or _Count(state, steady(), asyncio.ensure_future(_awaited(count)))
        if len(counts) > MOST:
            counts.pop(next(iter(counts))).task.cancel()
        await asyncio.wait([found.task], timeout=WAIT)
        if not found.task.done() or found.task.cancelled():
            return steady() - found.began
        if counts.get(draft) is found:
            del counts[draft]
        if not counts and self._by_session.get(session) is counts:
            del self._by_session[session]
        return await found.task


async def _awaited(count: Callable[[], Awaitable[T]]) -> T:
    return await count()
