"""Whether a lane's provider is silent: requests are under way, and none of them is answered.

A silent provider closes no gate: what was written may still be answered, and is given up by its connection's own
deadlines. But people are told within seconds. Pure; the time is passed in, of a monotonic clock.
"""

from __future__ import annotations

from stentor.sending.gate import GOES_ON, Problem

SILENT = 5.0
"""Seconds without an answer, while requests are under way, after which people are told."""
LOOKS = 3
"""Looks in a row that must find so: a process that stood still for a while reads its answers first."""
LINGER = 60.0
"""Seconds for which a provider that was silent still counts as silent while it is asked nothing."""


class Silence:
    """What one process has heard from the provider of one lane."""

    def __init__(self, few: int) -> None:
        """Args:
        few: requests under way that may be without an answer for any time, as they may all be of one slow host.
        """
        self.problem: Problem | None = None
        """None while the provider answers, or owes no answer."""
        self._few = few
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._looks = 0

    def __repr__(self) -> str:
        return f"<Silence: {self.problem.what if self.problem else 'none'}>"

    def hear(self, now: float) -> None:
        """A request was answered."""
        self._heard_at, self._looks = now, 0
        self.problem = None

    def look(self, under_way: int, trouble: str, now: float) -> None:
        """See how many requests are under way, when none was answered since the last look.

        Args:
            trouble: why there is no connection; empty if there is one.
        """
        if under_way <= self._few:
            if self.problem is None or now - self._asked_at > LINGER:
                self.hear(now)
            return
        self._asked_at = now
        self._looks += 1
        if self.problem is None and self._looks >= LOOKS and now - self._heard_at >= SILENT:
            who, why = ("the provider", f": {trouble}") if trouble else ("the provider is connected, and", "")
            what = f"{who} has answered nothing for {SILENT:g} seconds{why}"
            self.problem = Problem(what=what, remedy=GOES_ON, pause=None)
