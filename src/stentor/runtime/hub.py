"""One look at the store for all in this process who watch the same thing.

Rules: a hub looks while anybody watches, and ends when nobody does; a look takes a twentieth of the time at most,
however large the campaign; what it knows is the newest look alone, and a watcher keeps the one that it saw last, so
nothing grows with the watchers' slowness; the store being away is told, and looking goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from stentor.clock import steady
from stentor.errors import StoreUnavailable
from stentor.runtime.changes import CampaignEvent, Look, View, changes
from stentor.runtime.rest import rest

BUSY, QUIET = 0.25, 1.0
"""Seconds between two looks while things change, and while nothing does: doubled with each look that finds nothing."""
SHARE, LONGEST = 19.0, 10.0
"""How many times as long as a look the time until the next one is at least; and that time in seconds at most, as a look
may also seem long because this process stood still."""
AWAY_AFTER = 1.0
"""Seconds without an answer of the store after which it is told."""


class Hub:
    """Of one thing that is watched."""

    def __init__(
        self,
        look: Callable[[], Awaitable[View]],
        hindrance: Callable[[float], str | None],
        clock: Callable[[], float],
        busy: float = BUSY,
    ) -> None:
        """Args:
        look: asks the store.
        hindrance: see `store.database.Database.hindrance`.
        clock: epoch seconds by the store's clock, from which events have their ids.
        busy: seconds between two looks while things change.
        """
        self._look = look
        self._hindrance = hindrance
        self._clock = clock
        self._latest: Look | None = None
        self._told: dict[int | None, Sequence[CampaignEvent]] = {}
        """The events that lead to the latest look, by the look that they lead from: the same for all who saw that."""
        self._news = asyncio.Event()
        """Set when there is some; then another takes its place."""
        self._left = asyncio.Event()
        self._busy = self._pause = busy
        self.watchers = 0
        self.looking: asyncio.Task[None] | None = None
        """None before anybody watches; done where nobody does any more, where it is over, and where it failed."""

    def __repr__(self) -> str:
        return f"<Hub of {self.watchers}, {'looking' if self.is_looking else 'at rest'}>"

    @property
    def is_looking(self) -> bool:
        return self.looking is not None and not self.looking.done()

    @property
    def broken(self) -> bool:
        """Whether a look failed otherwise than because the store is away: looking has ended."""
        looking = self.looking
        if looking is None or not looking.done() or looking.cancelled():
            return False
        return looking.exception() is not None

    def enter(self) -> asyncio.Task[None] | None:
        """One more watches. Returns: the task that looks now, if one is needed."""
        self.watchers += 1
        self._left.clear()
        if not self.is_looking and not (self._latest and self._latest.over):
            self.looking = asyncio.create_task(self._run(), name="look for events")
            self.looking.add_done_callback(self._end)
        return self.looking if self.is_looking else None

    def leave(self) -> None:
        """One fewer watches. With the last one looking ends, after the look that is under way."""
        self.watchers -= 1
        if not self.watchers:
            self._left.set()

    async def next(self, seen: Look | None) -> Look | None:
        """The newest look, when it is another than the one that was seen; None where looking has ended.

        Raises: UnknownCampaign, StoreOutdated, InvalidConfiguration: it cannot be looked at.
        """
        while self._latest is None or self._latest is seen:
            assert self.looking is not None
            if self.looking.cancelled():
                return None
            if self.looking.done():
                return self.looking.result()
            await self._news.wait()
        return self._latest

    def events(self, seen: Look | None, now: Look) -> Sequence[CampaignEvent]:
        """What leads from the look that a watcher saw to `now`."""
        if now is not self._latest:
            return tuple(changes(seen, now))
        before = None if seen is None else seen.id
        if before not in self._told:
            self._told[before] = tuple(changes(seen, now))
        return self._told[before]

    def _end(self, looking: asyncio.Task[None]) -> None:
        if not looking.cancelled():
            looking.exception()  # nobody may be left to hear of it
        self._ring()

    async def _run(self) -> None:
        while self.watchers:
            began = steady()
            await self._look_once()
            if self._latest is not None and self._latest.over:
                return
            took = steady() - began
            await rest(min(LONGEST, max(self._pause, SHARE * took)), self._left)

    async def _look_once(self) -> None:
        looking = asyncio.ensure_future(self._look())
        try:
            while not (await asyncio.wait({looking}, timeout=AWAY_AFTER))[0]:
                if (problem := self._hindrance(AWAY_AFTER)) is not None:
                    self._take_absence(problem)
            self._take(looking.result())
        except StoreUnavailable as error:
            self._take_absence(str(error))
        finally:
            if looking.cancel():
                await asyncio.wait({looking})

    def _take_absence(self, problem: str) -> None:
        self._take(None if self._latest is None else self._latest.view, away=problem)

    def _take(self, view: View | None, *, away: str | None = None) -> None:
        """Take note of a look, and tell of it if there is something to tell."""
        latest = self._latest
        moment = int(self._clock() * 1000)
        now = Look(id=moment if latest is None else max(moment, latest.id + 1), view=view, away=away)
        told = tuple(changes(latest, now))
        self._latest = now
        self._told = {None if latest is None else latest.id: told}
        self._pause = self._busy if told else min(max(QUIET, self._busy), 2 * self._pause)
        if told:
            self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
