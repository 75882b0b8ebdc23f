"""How long a provider takes to answer: counted by bands, so that what several processes timed can be added up.

Pure. Rules: each band is a tenth longer than the one before, so a figure that is told is within five percent of the
true one; a count costs one integer, however many answers there are.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

SHORTEST = 1e-4
"""Seconds at which the first band begins; what is quicker is counted there too."""
GROWTH = 1.1
"""How much longer each band is than the one before."""
BANDS = 147
"""The last one begins at 110 s; what takes longer is counted there too."""
_STEP = math.log(GROWTH)


class AnswerTimes:
    """Counts answers by the band of how long they took, since it was made."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * BANDS

    def __repr__(self) -> str:
        return f"<AnswerTimes of {sum(self.counts)}>"

    def note(self, seconds: float) -> None:
        """One answer took so long."""
        band = int(math.log(seconds / SHORTEST) / _STEP) if seconds > SHORTEST else 0
        self.counts[min(band, BANDS - 1)] += 1


class LatelyTimed:
    """What was counted since some looks ago."""

    def __init__(self, times: AnswerTimes, looks: int) -> None:
        """Args:
        looks: how many looks back the counts reach.
        """
        self._times = times
        self._before: deque[list[int]] = deque([list(times.counts)], maxlen=looks)

    def look(self) -> dict[int, int]:
        """The counts by band, without those that are 0."""
        now = list(self._times.counts)
        then = self._before[0]
        self._before.append(now)
        return {band: new - old for band, (new, old) in enumerate(zip(now, then, strict=True)) if new > old}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTimeFigures:
    """How long answers took."""

    timed: int
    """Answers that were timed."""
    median: float
    """Seconds within which half of them came."""
    slowest: float
    """Seconds within which 99 of 100 came."""


def figures(*counted: Mapping[int, int]) -> AnswerTimeFigures | None:
    """The figures of what several counted, by band; None where nobody counted anything."""
    together = Counter[int]()
    for each in counted:
        together.update(each)
    timed = together.total()
    if not timed:
        return None
    return AnswerTimeFigures(timed=timed, median=_within(together, 0.5), slowest=_within(together, 0.99))


def _within(counts: Counter[int], part: float) -> float:
    """Seconds within which this part of the answers came."""
    left = math.ceil(part * counts.total())
    for band in sorted(counts):
        left -= counts[band]
        if left <= 0:
            return float(SHORTEST * GROWTH ** (band + 0.5))
    raise AssertionError("the bands hold all answers")
