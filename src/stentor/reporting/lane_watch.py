"""When a lane counts as stopped, and when as sending again. Pure.

A lane that stops for a moment is no alarm, and one that stops and goes on again and again is one alarm, not many. So
the seconds without sending are added up, and forgotten only when the lane has sent for as long as an alarm takes.
"""

from __future__ import annotations

from enum import Enum

LONGEST_STEP = 15.0
"""Seconds between two looks that count at most: in a gap, nobody knows what was."""


class Standing(Enum):
    STOPPED = "stopped"
    SENDING = "sending"
    UNDECIDED = "undecided"


class LaneWatch:
    """Of one lane, in one process. The time is passed in, of a clock that never goes back."""

    def __init__(self, after: float) -> None:
        """Args:
        after: seconds of trouble that make an alarm, and of sending that end it.
        """
        self._after = after
        self._stopped = 0.0
        self._fine_since: float | None = None
        self._looked_at: float | None = None
        self._was_stopped = False

    def note(self, now: float, *, stopped: bool) -> Standing:
        """What it is, given that it has a problem now, or has none."""
        passed = 0.0 if self._looked_at is None else min(now - self._looked_at, LONGEST_STEP)
        self._looked_at = now
        if self._was_stopped:
            self._stopped += passed
        self._was_stopped = stopped
        if stopped:
            self._fine_since = None
            return Standing.STOPPED if self._stopped >= self._after else Standing.UNDECIDED
        if self._fine_since is None:
            self._fine_since = now
        if now - self._fine_since < self._after:
            return Standing.UNDECIDED
        self._stopped = 0.0
        return Standing.SENDING
