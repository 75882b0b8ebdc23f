"""The simulators' clock: the time of day that tokens, quotas and fault windows are judged by, and that tests can move.

Delays on the wire (latency, hangs) are real time, made by the event loop; this clock never sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Now = Callable[[], float]


class MovableClock:
    """The time of `source`, plus whatever it was advanced by."""

    def __init__(self, source: Now = time.time) -> None:
        self._source = source
        self._offset = 0.0

    def __call__(self) -> float:
        return self._source() + self._offset

    def __repr__(self) -> str:
        return f"<MovableClock {self():.3f}, {self._offset:+.3f} s from its source>"

    def advance(self, seconds: float) -> None:
        self._offset += seconds
