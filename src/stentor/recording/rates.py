"""How fast a campaign goes, lane by lane, and how long the rest takes, as somebody sees it who looks again and again.

Pure. Rules: the clock is that of the `Progress` objects (`at`), so that any moment can be made in a test; what cannot
be told yet is None, and never a guess.
"""

from __future__ import annotations

from collections import deque

from stentor.audience.contract import NO_LANE
from stentor.recording.report import LaneCounts, Progress
from stentor.states import CampaignState

WINDOW = 8.0
"""Seconds over which a rate is taken."""
RECORDED = 2.0
"""Seconds after which a lane that gets answers has recorded some."""
STEADY = 3.0
"""Seconds of sending after which it can be said how long the rest takes."""


class LaneRates:
    """How fast each lane goes: recipients that got an answer a second, over the last WINDOW seconds of sending.

    Answers are recorded about once a second, so what comes with one look was sent over a longer time than since the
    last look. So a rate is measured from one record to another, or from before anything was sent: it is never of more
    than was sent in that time, but for what one sender among several records a little earlier or later.

    Who was cancelled wasn't sent to, so they don't count; nor do a pause, and the time before a lane's first answer.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def add(self, progress: Progress) -> None:
        """Take note of how far it is."""
        if progress.state is not CampaignState.RUNNING:
            self._seen.clear()
            return
        for lane, counts in progress.lanes.items():
            if lane in self._seen:
                self._seen[lane].add(progress.at, counts)
            else:
                self._seen[lane] = _Seen(progress.at, counts)

    def rate(self, lane: str) -> float:
        """Recipients a second; 0 while there is too little to tell from."""
        return self._seen[lane].rate if lane in self._seen else 0.0

    def is_steady(self, lane: str) -> bool:
        """Whether it was watched for long enough, and got answers often enough, to say how long the rest takes."""
        return lane in self._seen and self._seen[lane].is_steady


class _Seen:
    """One lane's answers, at each look at which there were more than before."""

    def __init__(self, at: float, counts: LaneCounts) -> None:
        self._records = deque([(at, _answered(counts))])
        self._at = at
        self._idle = not counts.in_flight  # at the first of the records, so that nothing was sent before
        self._at_work = self._begun = False

    def add(self, at: float, counts: LaneCounts) -> None:
        self._at = at
        answered = _answered(counts)
        self._at_work = self._at_work or counts.in_flight > 0
        if answered != self._records[-1][1]:
            if not self._begun and not (self._idle and self._at_work):
                self._records.clear()  # nobody knows since when it had been sending
            self._records.append((at, answered))
            self._begun = True
        elif not self._begun and not self._at_work:
            self._records[0] = (at, answered)
        while len(self._records) > 2 and at - self._records[1][0] >= WINDOW:
            self._records.popleft()

    @property
    def rate(self) -> float:
        (start, before), (last, now) = self._records[0], self._records[-1]
        silent = self._at - last
        end = last if silent < RECORDED else self._at
        return max(0, now - before) / (end - start) if end > start and silent < WINDOW else 0.0

    @property
    def is_steady(self) -> bool:
        return self._at - self._records[0][0] >= STEADY and len(self._records) > 2


def _answered(counts: LaneCounts) -> int:
    return counts.accepted + counts.failed


def expected(progress: Progress, lane: str) -> int:
    """How many a lane will have: as counted before the start, or as read if it is more, or if that was all."""
    read = progress.lanes.get(lane, LaneCounts()).read
    return read if progress.planned else max(read, progress.expected.get(lane, 0))


def lanes_of(progress: Progress) -> list[str]:
    return sorted({*progress.lanes, *progress.expected} - {NO_LANE}) + ([NO_LANE] if NO_LANE in progress.lanes else [])


def remaining(progress: Progress, pace: LaneRates, lane: str) -> float | None:
    """Seconds until a lane is done at its present rate, but for those who are held; None while nobody can tell."""
    counts = progress.lanes.get(lane, LaneCounts())
    left = expected(progress, lane) - counts.settled - counts.held
    if left <= 0:
        return 0.0
    rate = pace.rate(lane)
    return left / rate if rate and pace.is_steady(lane) else None


def time_left(progress: Progress, pace: LaneRates) -> float | None:
    """Seconds until the slowest lane is done at its present rate; None while nobody can tell."""
    times = [remaining(progress, pace, lane) for lane in lanes_of(progress)]
    known = [each for each in times if each is not None]
    return max(known) if known and len(known) == len(times) else None
