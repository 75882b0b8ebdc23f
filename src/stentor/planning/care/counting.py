"""Who of some installations had as many messages as a cap allows, and from when on the next may be sent. Pure.

Rules: what is planned and has no outcome yet counts as sent now; then what was accepted counts, and what perhaps was
(ambiguous), at the time when that was recorded. Nobody can have been sent to later than that, so a cap may hold a
little longer than it says, and never shorter. A message that is sent again counts once, at its latest time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import compress
from typing import NamedTuple

from stentor.caps import Cap
from stentor.outcome import Outcome

_WAITS = bytes(outcome == Outcome.PENDING for outcome in range(256))
_REACHED = bytes(outcome in (Outcome.ACCEPTED, Outcome.AMBIGUOUS) for outcome in range(256))
"""By outcome, 1 where it counts."""
_NEVER_OVER = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A batch of another message, as far as it is on record."""

    message: str
    """The same for all campaigns that send one message."""
    category: str | None
    keys: Sequence[bytes]
    outcomes: bytes | None
    """None: all are pending."""
    at: float
    """When the last of them was recorded, in epoch seconds."""


class Enough(NamedTuple):
    """That somebody had enough."""

    cap: Cap
    free_at: float
    """From when on a message may be sent, in epoch seconds, if whatever is under way is accepted now."""


def capped(
    caps: Sequence[Cap],
    sent: Sequence[Sent],
    keys: Collection[bytes],
    now: float,
    zone_of: Callable[[bytes], tzinfo | None] = lambda _: None,
) -> dict[bytes, Enough]:
    """Who of `keys` had enough already.

    Args:
        sent: all that may count.
        now: epoch seconds.
        zone_of: of an installation, for caps by its calendar; None: unknown, so UTC.
    """
    ours = keys if isinstance(keys, frozenset) else frozenset(keys)
    found: dict[bytes, Enough] = {}
    for cap in caps:
        oldest = now - cap.seconds
        times: defaultdict[bytes, list[float]] = defaultdict(list)
        for latest in _latest(sent, cap.category, oldest, ours):
            for key, at in latest.items():
                times[key].append(at)
        starts = _Starts(cap, now)
        for key, when in times.items():
            if len(when) < cap.most:
                continue
            since = oldest if cap.rolling else starts.of(zone_of(key))
            counted = sorted(at for at in when if at >= since)
            if len(counted) < cap.most:
                continue
            last = min(now, counted[-cap.most])  # once this one is over, fewer are left than the cap allows
            free_at = last + cap.seconds if cap.rolling else starts.following(zone_of(key))
            if key not in found or found[key].free_at < free_at:
                found[key] = Enough(cap, free_at)
    return found


def reached(batch: Sent, among: frozenset[bytes]) -> frozenset[bytes]:
    """Who of a batch was reached, perhaps was, or still waits in it."""
    outcomes = batch.outcomes
    if outcomes is None:
        return among.intersection(batch.keys)
    counts = bytes(map(int.__or__, outcomes.translate(_WAITS), outcomes.translate(_REACHED)))
    return among.intersection(compress(batch.keys, counts))


def _latest(
    sent: Sequence[Sent], category: str | None, oldest: float, ours: frozenset[bytes]
) -> Sequence[Mapping[bytes, float]]:
    """Of each message, when each of `ours` got it the last time; infinite while it may still be sent."""
    found: defaultdict[str, dict[bytes, float]] = defaultdict(dict)
    waiting: list[tuple[str, frozenset[bytes]]] = []
    for batch in sorted(sent, key=lambda each: each.at):
        if category is not None and batch.category != category:
            continue
        if batch.outcomes is None:
            waiting.append((batch.message, ours.intersection(batch.keys)))
            continue
        if Outcome.PENDING in batch.outcomes:
            waiting.append((batch.message, ours.intersection(compress(batch.keys, batch.outcomes.translate(_WAITS)))))
        if batch.at >= oldest:
            got = ours.intersection(compress(batch.keys, batch.outcomes.translate(_REACHED)))
            found[batch.message].update(dict.fromkeys(got, batch.at))
    for message, those in waiting:
        found[message].update(dict.fromkeys(those, _NEVER_OVER))
    return list(found.values())


class _Starts:
    """When a calendar's day or week began, and when the next one begins, in each zone."""

    def __init__(self, cap: Cap, now: float) -> None:
        self._days = 7 if cap.calendar == "week" else 1
        self._now = now
        self._known: dict[tzinfo | None, tuple[float, float]] = {}

    def of(self, zone: tzinfo | None) -> float:
        return self._both(zone)[0]

    def following(self, zone: tzinfo | None) -> float:
        return self._both(zone)[1]

    def _both(self, zone: tzinfo | None) -> tuple[float, float]:
        if (known := self._known.get(zone)) is not None:
            return known
        where = zone or UTC
        today = datetime.fromtimestamp(self._now, where).date()
        first = today - timedelta(days=today.weekday() if self._days == 7 else 0)
        # A midnight that a clock skips is the moment at which it does; of two the first one counts.
        both = [
            datetime(day.year, day.month, day.day, tzinfo=where).timestamp()
            for day in (first, first + timedelta(days=self._days))
        ]
        self._known[zone] = both[0], both[1]
        return both[0], both[1]
