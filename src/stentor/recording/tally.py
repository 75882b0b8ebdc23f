"""What a recorder has done since its process started, in plain numbers that cost next to nothing to keep."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stentor.outcome import Outcome

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds; the upper bounds of `Durations`' buckets."""

_TERMINAL = tuple(outcome for outcome in Outcome if outcome.is_terminal)

Recorded = Counter[tuple[str, Outcome]]
"""Recipients by lane and by the terminal outcome that was recorded of them."""


@dataclass(slots=True)
class Durations:
    """How long something took, each time."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """By bucket of BOUNDS, each without those below it; the last is for what took longer."""
    total: float = 0.0
    """Seconds."""

    def note(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass(slots=True, kw_only=True)
class RecordTally:
    """What was made durable."""

    commits: int = 0
    outcomes: Recorded = field(default_factory=Counter)
    latency: Durations = field(default_factory=Durations)
    """Of each settlement, from when it was told until it was durable."""
    waiting: int = 0
    """Settlements that were told and aren't durable yet."""


def news(merged: Iterable[tuple[str, bytes, bytes]]) -> Recorded:
    """What is new with batches: of each its lane, and its outcomes before and after."""
    found = Recorded()
    for lane, before, after in merged:
        for outcome in _TERMINAL:
            if many := after.count(outcome) - before.count(outcome):
                found[lane, outcome] += many
    return found
