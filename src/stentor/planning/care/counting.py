"""Who of some installations had as many messages as a cap allows, and from when on the next may be sent. Pure.

Rules: what is planned and has no outcome yet counts as sent now; then what was accepted counts, and what perhaps was
(ambiguous), at the time when that was recorded. Nobody can have been sent to later than that, so a cap may hold a
little longer than it says, and never shorter. A message that is sent again counts once, at its latest time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import compress
from typing import NamedTuple

from stentor.caps import Cap
from stentor.outcome import Outcome

_WAITS = bytes(outcome == Outcome.PENDING for outcome in range(256))
_REACHED = bytes(outcome in (Outcome.ACCEPTED, Outcome.AMBIGUOUS) for outcome in range(256))
"""By outcome, 1 where it counts."""


Times = list[tuple[float, Collection[bytes]]]
"""Who got a message when, the latest first. Nobody is in it twice for one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierBatch:
    """A batch of another message, as far as it is on record."""

    campaign: str
    """Its id. Nobody is in two batches of one."""
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
    sent: Sequence[EarlierBatch],
    keys: Collection[bytes],
    now: float,
    zone_of: Callable[[bytes], tzinfo | None] | None = None,
) -> dict[bytes, Enough]:
    """Who of `keys` had enough already. Those with the same answer share one object.

    Args:
        sent: all that may count.
        now: epoch seconds.
        zone_of: of an installation, for caps by its calendar; what is None: unknown, so UTC.
    """
    ours = keys if isinstance(keys, frozenset) else frozenset(keys)
    parts = list(_parts(sent, now))
    found: dict[bytes, Enough] = {}
    for cap in caps:
        times = _times(parts, cap.category, now - cap.seconds)
        enough = _rolling(cap, times, ours) if cap.rolling else _by_calendar(cap, times, ours, now, zone_of)
        for key in found.keys() & enough.keys():
            if enough[key].free_at <= found[key].free_at:
                del enough[key]
        found |= enough
    return found


def _rolling(cap: Cap, times: Times, ours: frozenset[bytes]) -> dict[bytes, Enough]:
    """Once the last of the messages that are too many is over, fewer are left than the cap allows."""
    found: dict[bytes, Enough] = {}
    for at, those in _nth(cap.most, times):
        found |= dict.fromkeys(ours.intersection(those), Enough(cap, at + cap.seconds))
    return found


def _by_calendar(
    cap: Cap, times: Times, ours: frozenset[bytes], now: float, zone_of: Callable[[bytes], tzinfo | None] | None
) -> dict[bytes, Enough]:
    by_zone: defaultdict[tzinfo | None, set[bytes]] = defaultdict(set)
    if zone_of is not None:
        for key in ours.intersection(key for _, those in _nth(cap.most, times) for key in those):
            by_zone[zone_of(key)].add(key)
    found: dict[bytes, Enough] = {}
    for zone, those in by_zone.items() if zone_of is not None else [(None, ours)]:
        began, following = _bounds(cap, zone, now)
        within: Times = [(at, those.intersection(some)) for at, some in times if at >= began]
        enough = Enough(cap, following)
        for _, some in _nth(cap.most, within):
            found |= dict.fromkeys(some, enough)
    return found


def reached(batch: EarlierBatch, among: frozenset[bytes]) -> frozenset[bytes]:
    """Who of a batch was reached, perhaps was, or still waits in it."""
    outcomes = batch.outcomes
    if outcomes is None:
        return among.intersection(batch.keys)
    counts = bytes(map(int.__or__, outcomes.translate(_WAITS), outcomes.translate(_REACHED)))
    return among.intersection(compress(batch.keys, counts))


def _parts(sent: Sequence[EarlierBatch], now: float) -> Iterator[tuple[EarlierBatch, float, Sequence[bytes]]]:
    """Of each batch who of it counts, and when. What is under way counts as sent now."""
    for batch in sent:
        outcomes = batch.outcomes
        if outcomes is None:
            yield batch, now, batch.keys
            continue
        if Outcome.PENDING in outcomes:
            yield batch, now, [*compress(batch.keys, outcomes.translate(_WAITS))]
        yield batch, min(batch.at, now), [*compress(batch.keys, outcomes.translate(_REACHED))]


def _times(parts: Sequence[tuple[EarlierBatch, float, Sequence[bytes]]], category: str | None, oldest: float) -> Times:
    by_message: defaultdict[str, Times] = defaultdict(list)
    campaigns: defaultdict[str, set[str]] = defaultdict(set)
    for batch, at, those in parts:
        if at >= oldest and category in (None, batch.category):
            by_message[batch.message].append((at, those))
            campaigns[batch.message].add(batch.campaign)
    found: Times = []
    for message, times in by_message.items():
        found += times if len(campaigns[message]) == 1 else _once(times)
    return sorted(found, key=_when, reverse=True)


def _once(times: Times) -> Times:
    """A message that was sent again: everybody once, at the latest time."""
    found: Times = []
    had: set[bytes] = set()
    for at, those in sorted(times, key=_when, reverse=True):
        found.append((at, frozenset(those) - had))
        had.update(those)
    return found


def _when(got: tuple[float, Collection[bytes]]) -> float:
    return got[0]


def _nth(most: int, times: Times) -> Iterator[tuple[float, Collection[bytes]]]:
    """Who got the message that makes it so many, counted from the latest one; and when they got that."""
    counts = Counter[bytes]()
    for at, those in times:
        counts.update(those)
        if reached := [key for key in those if counts[key] == most]:
            yield at, reached


def _bounds(cap: Cap, zone: tzinfo | None, now: float) -> tuple[float, float]:
    """When a calendar's day or week began, and when the next one begins. A midnight that a clock skips is the moment at
    which it does; of two the first one counts."""
    where, days = zone or UTC, 7 if cap.calendar == "week" else 1
    today = datetime.fromtimestamp(now, where).date()
    first = today - timedelta(days=today.weekday() if days == 7 else 0)
    began, following = (
        datetime(day.year, day.month, day.day, tzinfo=where).timestamp() for day in (first, first + timedelta(days))
    )
    return began, following
