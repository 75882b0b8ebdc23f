"""How fast a campaign went, as a picture: points kept in bounded memory, and the line that is drawn through them.

Pure. Rules: the line is made of what was seen, from the first look on; however long a campaign takes there are at most
`MOST` points, of which each then stands for a longer time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 120
"""Points that are kept."""
SHORTEST = 1.0
"""Seconds between two points at least: outcomes are recorded about once a second."""
WIDTH, HEIGHT = 600, 120
"""Of the picture, in units of its own."""


@dataclass(frozen=True, slots=True)
class _Point:
    at: float
    """Epoch seconds."""
    answered: int
    """Recipients that had got an answer by then."""


class RateHistory:
    """How many recipients had got an answer at some moments, evenly spread over the time that was seen."""

    def __init__(self) -> None:
        self._points: list[_Point] = []
        self._step = SHORTEST

    def __len__(self) -> int:
        return len(self._points)

    def add(self, at: float, answered: int) -> None:
        """Take note of a moment; the moments must come in order."""
        points, now = self._points, _Point(at, answered)
        if len(points) > 1 and points[-1].at - points[-2].at < self._step:
            points[-1] = now
        else:
            points.append(now)
        if len(points) > MOST:
            del points[1:-1:2]
            self._step *= 2

    @property
    def rates(self) -> list[tuple[float, float, float]]:
        """From when, until when, and recipients a second between them."""
        pairs = zip(self._points, self._points[1:], strict=False)
        return [
            (one.at, two.at, max(0, two.answered - one.answered) / (two.at - one.at))
            for one, two in pairs
            if two.at - one.at >= SHORTEST / 2
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChart:
    """What is drawn."""

    line: str
    """An SVG path."""
    area: str
    """The same, closed along the bottom."""
    top: float
    """Recipients a second at the upper edge."""
    highest: float
    latest: float
    begins: float
    """Epoch seconds at the left edge."""
    ends: float


def rate_chart(rates: Sequence[tuple[float, float, float]]) -> RateChart | None:
    """The picture of some rates; None while there are too few to see anything."""
    if len(rates) < 2:
        return None
    begins, ends = rates[0][0], rates[-1][1]
    highest = max(rate for _, _, rate in rates)
    top = rounded_up(highest)
    points = []
    for since, until, rate in rates:
        middle = (since + until) / 2
        x = WIDTH * (middle - begins) / (ends - begins)
        points.append(f"{x:.1f},{HEIGHT * (1 - rate / top):.1f}")
    first, last = points[0].split(",")[0], points[-1].split(",")[0]
    line = "M" + " L".join(points)
    return RateChart(
        line=line,
        area=f"{line} L{last},{HEIGHT} L{first},{HEIGHT} Z",
        top=top,
        highest=highest,
        latest=rates[-1][2],
        begins=begins,
        ends=ends,
    )


def rounded_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … that isn't lower."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
