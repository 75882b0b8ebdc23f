"""Throttles beside a lane's own budget: a campaign that has a `max_rate` is sent no faster, over all its lanes and
machines, nor are messages edited and deleted faster than their provider allows.

Each is a `Budget` as a lane's is, on the same board. Rules: a process has it as long as it sends a batch of the
campaign, and a while after; of a slow campaign a sender begins no more on each lane than it can send in some seconds,
and the rest stays in the queue, so that it holds up nobody else's batches; a lane that can't use its share leaves it to
the campaign's others at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from stentor.clock import steady
from stentor.pace.board import Board
from stentor.pace.budget import Budget, Pause, PlaceInLine, pause

KEPT = 10.0
"""Seconds for which the part of a campaign that isn't being sent here just now is kept."""
AHEAD = 2.0
"""Seconds' worth of a campaign that a sender has begun to send on a lane at most, but for one batch."""
LOOK = 1.0
"""Seconds between two looks at what is in use."""


class Unsent(Protocol):
    """A flight that goes slice by slice."""

    @property
    def unsent(self) -> int:
        """Recipients whose turn is still to come."""


class Throttle:
    """What this process may send of a campaign."""

    def __init__(self, budget: Budget, rate: float) -> None:
        """Args:
        rate: pushes a second of the whole campaign.
        """
        self.budget = budget
        self._rate = rate
        self.used_at = time.monotonic()
        self._flights: dict[Unsent, str] = {}  # with the lane of each

    def __repr__(self) -> str:
        return f"<Throttle: {self.unsent} unsent, {self.budget!r}>"

    @property
    def unsent(self) -> int:
        """Recipients of all flights that were begun, who haven't had their turn."""
        return sum(flight.unsent for flight in self._flights)

    def wait(self, lane: str) -> float:
        """Seconds until another batch of a lane is worth beginning; 0: now. What other lanes have begun doesn't count,
        as they may stand still."""
        rate = self.budget.rate or self._rate  # before it has a part of it, nobody knows what that will be
        unsent = sum(flight.unsent for flight, of_lane in self._flights.items() if of_lane == lane)
        return max(0.0, unsent / rate - AHEAD)

    @contextmanager
    def line(self, flight: Unsent, lane: str, *, repeats: bool = False) -> Iterator[PlaceInLine]:
        """A flight's place in the line of all of the campaign's flights. Those of one lane keep their order, but for
        those that repeat what was tried before."""
        self._flights[flight] = lane
        try:
            with self.budget.line(lane, repeats=repeats) as place:
                yield place
        finally:
            del self._flights[flight]
            self.used_at = time.monotonic()


class Throttles:
    """Those of one process, shared by its lanes. `run` must be going."""

    def __init__(self, board: Board, *, clock: Callable[[], float] = steady, waiting: Pause = pause) -> None:
        self._board = board
        self._clock = clock
        self._pause = waiting
        self._known: dict[str, Throttle] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Throttles of {len(self._known)} campaigns>"

    def __len__(self) -> int:
        return len(self._known)

    def of(self, name: str, rate: float) -> Throttle:
        """The one of that name, which is begun where it isn't there yet.

        Args:
            name: as senders everywhere know it, `campaign/ID` say.
            rate: pushes a second of all that go by it.
        """
        found = self._known.get(name)
        if found is None:
            budget = Budget(self._board, name, rate, clock=self._clock, pause=self._pause)
            self._running[name] = asyncio.get_running_loop().create_task(budget.run())
            found = self._known[name] = Throttle(budget, rate)
        return found

    async def run(self) -> None:
        """Give back what isn't used any more; all of it when this is cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK)
                now = time.monotonic()
                for name, each in list(self._known.items()):
                    if not each.unsent and now - each.used_at > KEPT:
                        await self._end(name)
        finally:
            for name in list(self._known):
                await self._end(name)

    async def _end(self, name: str) -> None:
        self._running.pop(name).cancel()
        await self._known.pop(name).budget.leave()
