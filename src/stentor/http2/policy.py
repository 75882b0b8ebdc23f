"""The pool's decisions, as pure functions and small counters: no I/O, time is an argument in seconds.

When another connection is worth opening, and how long to wait after one failed. Kept apart from `pool.py` so that
they are tested with plain numbers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

BUSY = 0.85
"""Share of a core above which this process, not the number of streams, is taken to be the bottleneck."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
LEAST_SLEEP = 1.0
"""Seconds that count as a sleep; two clocks that are read one after the other differ a little by that alone."""
RECOVERY = 10.0
"""Seconds after which a lowered ceiling doubles again."""


def backoff(failures: int, random: float) -> float:
    """Seconds to wait after so many failed connects in a row, `random` in [0, 1): exponential, the upper half jittered.

    Jitter keeps a fleet that lost the same provider from coming back in step.
    """
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 10))
    return ceiling * (0.5 + random / 2)


def connections_to_open(*, ready: int, connecting: int, ceiling: int, streams_full: bool, busy: float) -> int:
    """How many connections to open now that requests wait.

    Args:
        ready: connections that take requests.
        connecting: connections under way or not yet answered once.
        ceiling: the most that may be open.
        streams_full: the stream limit of every ready connection is used up.
        busy: share of a core this process used lately.

    With none ready one is opened. After that, half as many again, while streams are what limits and each connection
    opened before has shown that it works: a provider sees a ramp, not a wall.
    """
    if connecting:
        return 0
    if ready == 0:
        return min(1, ceiling)
    if not streams_full or busy > BUSY:
        return 0
    return min(max(1, ready // 2), max(0, ceiling - ready))


@dataclass(slots=True)
class ConnectBudget:
    """Connects allowed: a burst of `burst`, then `per_second`. APNs takes rapid opening and closing for an attack."""

    burst: int
    per_second: float
    _left: float = -1.0
    _at: float = 0.0

    def take(self, now: float) -> bool:
        """Whether one more connect may start now; counts it if so."""
        if self._left < 0:
            self._left = float(self.burst)
        else:
            self._left = min(self.burst, self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(slots=True)
class Ceiling:
    """The most connections to hold: lowered when the provider pushes back, regained step by step."""

    most: int
    _lowered_to: int = 0
    _since: float = 0.0

    def lower(self, ready: int, now: float) -> None:
        self._lowered_to = max(1, ready)
        self._since = now

    def at(self, now: float) -> int:
        if not self._lowered_to:
            return self.most
        doublings = min(32, int((now - self._since) / RECOVERY))
        return min(self.most, self._lowered_to << doublings)


class Sleep:
    """How long the machine slept: the clock of its programs stood still meanwhile, and its peers did not."""

    def __init__(self) -> None:
        self._known = self._total()

    def look(self) -> float:
        """Seconds slept since the last look; 0 where the system doesn't tell."""
        slept = self._total() - self._known
        if slept < LEAST_SLEEP:
            return 0.0
        self._known += slept
        return slept

    @staticmethod
    def _total() -> float:
        counting = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the latter counts a sleep on macOS
        return time.clock_gettime(counting) - time.monotonic()


class CpuShare:
    """How much of a core this process used or waited for between the last two looks, 0 to 1 (more with several
    threads). Where the system has more to do than cores (Linux tells), waiting for one is being busy as well."""

    def __init__(self) -> None:
        self.share = 0.0
        self._wanted = self._cpu()
        self._wall = time.monotonic()

    def look(self) -> None:
        wanted, wall = self._cpu(), time.monotonic()
        if wall > self._wall:
            self.share = (wanted - self._wanted) / (wall - self._wall)
        self._wanted, self._wall = wanted, wall

    @staticmethod
    def _cpu() -> float:
        try:
            with open("/proc/thread-self/schedstat", "rb") as told:
                waited = int(told.read().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            waited = 0.0
        return time.process_time() + waited
