"""What the API of one process has answered, for its metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds: the upper bounds of the histogram's buckets."""


@dataclass(slots=True)
class ApiMeter:
    """Counts answers by operation and status, and how long they took."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By (operation, status)."""
    durations: dict[str, list[int]] = field(default_factory=dict)
    """By operation, answers by the bucket of how long they took; the last has all that took longer."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By operation."""

    def answered(self, operation: str, status: int, seconds: float) -> None:
        self.answers[operation, status] += 1
        buckets = self.durations.setdefault(operation, [0] * (len(BOUNDS) + 1))
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds[operation] = self.seconds.get(operation, 0.0) + seconds
