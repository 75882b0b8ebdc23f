"""Whether a lane may send: open, closed for a while with the reason, or open for a trial.

Pure; the time is passed in, of a monotonic clock, so that one that is set back keeps no lane closed.

Three things close a gate: the credentials or settings are wrong (`stop`), the provider is down (`note`), or it asks
for quiet (`throttle`). A provider is down if it answers nobody, or everybody with a server error. All end alike: when
the time is over one small trial is let through, and what comes back opens the gate or closes it for longer. So a lane
goes on by itself once whatever was wrong is mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

DOWN_AFTER = 3
"""Batches in a row without a proper answer to anybody, after which the provider counts as down."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds that a gate is closed: doubled from the first with each trial that fails."""
TRIAL = 20
"""Recipients that a trial sends at most."""
GOES_ON = "nothing to do here; the lane goes on by itself"


class Pass(Enum):
    OPEN = "open"
    TRIAL = "trial"
    """One small batch, and no other before its answers are there."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a lane doesn't send, for people."""

    what: str
    remedy: str
    pause: float | None
    """Seconds until it is tried again; None where it is being tried."""
    waiting: int | None = None
    """If the lane sends, and only some of its hosts are silent: at least how many recipients wait for these."""


class Gate:
    """The gate of one lane in one process."""

    def __init__(self) -> None:
        self.problem: Problem | None = None
        """None while it is open, and while it is closed only because the provider asks for quiet."""
        self.proven = False
        """Whether anything was accepted since the settings last changed."""
        self._closed_until = 0.0
        self._quiet_until = 0.0
        self._closings = 0  # in a row, without anything that opened it
        self._silent = 0  # batches in a row that nobody answered
        self._trial = False  # one is under way
        self.wary = False
        """Whether the next batch that is let through is a trial."""

    def __repr__(self) -> str:
        return f"<Gate {'closed: ' + self.problem.what if self.problem else 'open'}>"

    def look(self, now: float) -> Pass:
        """What may be sent now."""
        if self._trial or now < self._closed_until:
            return Pass.CLOSED
        return Pass.TRIAL if self.wary else Pass.OPEN

    @property
    def closed_until(self) -> float:
        """When it is tried again, by the clock that is passed in."""
        return self._closed_until

    def is_quiet(self, now: float) -> bool:
        """Whether the provider asks for quiet, so that what is under way should stop, too."""
        return now < self._quiet_until

    def begin_trial(self) -> None:
        self._trial = True

    def end_trial(self) -> None:
        """Whatever came of it; if nothing did (the batch was gone, say), another trial may begin."""
        self._trial = False

    def note(self, *, accepted: int, answered: int, down: int, error: str, now: float) -> None:
        """A batch came back. See `retry.Decision` for the counts."""
        self.proven = self.proven or accepted > 0
        if answered:
            self._open()
        elif down:
            self._silent += 1
            if self._silent >= DOWN_AFTER or self.wary:
                self._close(f"the provider is down: {error}", "nothing to do here; it goes on by itself", now)

    def stop(self, what: str, remedy: str, now: float, wait: float = 0.0) -> None:
        """The credentials or settings are wrong. Tried again after `wait` seconds or more."""
        self._close(what, remedy, now, wait)

    def throttle(self, seconds: float, now: float) -> None:
        """The provider wants quiet. No problem of anybody's, and no trial after it."""
        self._quiet_until = max(self._quiet_until, now + seconds)
        self._closed_until = max(self._closed_until, now + seconds)

    def reset(self) -> None:
        """The settings or credentials were changed: try at once, and believe nothing that was seen before."""
        self.proven = False
        self._closed_until = self._quiet_until = 0.0
        self._closings = 0

    def _open(self) -> None:
        self.problem = None
        self._silent = self._closings = 0
        self.wary = False

    def _close(self, what: str, remedy: str, now: float, wait: float = 0.0) -> None:
        pause = wait
        if self.problem is None or now >= self._closed_until:  # else it is the same trouble, told by another batch
            pause = max(wait, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._closings, 30)))
            self._closings += 1
        elif self.problem.what == what and now + wait <= self._closed_until:
            return
        self.wary = True
        self._closed_until = max(self._closed_until, now + pause)
        self.problem = Problem(what=what, remedy=remedy, pause=self._closed_until - now)
