"""Counting for pages: a draft's check may take long, so a page asks for it again and again until it is there.

Rules: a session has one count at a time, however often its pages ask; what was counted of a draft as it was before says
nothing about it now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stentor.clock import steady

T = TypeVar("T")
WAIT = 1.0
"""Seconds for which a request waits for a count, so that a quick one needs a single request."""


@dataclass(slots=True)
class _Count(Generic[T]):
    of: str
    began: float
    task: asyncio.Task[T]


class Counts(Generic[T]):
    """Those of one process."""

    def __init__(self) -> None:
        self._by_session: dict[str, _Count[T]] = {}

    async def ask(self, session: str, of: str, count: Callable[[], Awaitable[T]]) -> T | float:
        """What was counted; or for how many seconds it has been counted, if that isn't over.

        Args:
            of: what is counted. A count of something else that this session still waits for is ended.

        Raises: what `count` raises.
        """
        found = self._by_session.get(session)
        if found is not None and found.of != of:
            found.task.cancel()
            found = None
        if found is None:
            found = self._by_session[session] = _Count(of, steady(), asyncio.ensure_future(_awaited(count)))
        await asyncio.wait([found.task], timeout=WAIT)
        if not found.task.done():
            return steady() - found.began
        if self._by_session.get(session) is found:
            del self._by_session[session]
        return await found.task


async def _awaited(count: Callable[[], Awaitable[T]]) -> T:
    return await count()
