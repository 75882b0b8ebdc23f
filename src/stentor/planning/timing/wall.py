"""What clocks show in a zone, and the instants at which they show it. Pure.

Rules: a wall time that comes twice, as the clocks go back, is its first. One that never comes, as the clocks go
forward, moves by what they skip, as `instant` has it; if it bounds a period, it is the first moment after the gap, as
`bound` has it. Instants are epoch seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(wall: datetime, zone: tzinfo) -> float:
    """When the clocks of a zone show a time. In a gap: 02:30 is what would be 02:30 if nobody changed the clocks, so
    that they show 03:30.

    Args:
        wall: without a zone.
    """
    return _seconds(wall, zone, fold=0)


def bound(wall: datetime, zone: tzinfo) -> float:
    """When the clocks of a zone show a time, or have passed it. In a gap: the first moment after it.

    Args:
        wall: without a zone.
    """
    late, early = _seconds(wall, zone, fold=0), _seconds(wall, zone, fold=1)
    if late <= early:
        return late
    before, after = int(early), int(late)  # `early` lies before the change, and `late` after it or at it
    offset = _offset(before, zone)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(middle, zone) == offset else (before, middle)
    return float(after)


def shown(at: float, zone: tzinfo) -> datetime:
    """What the clocks of a zone show at an instant, without the zone."""
    return (EPOCH + timedelta(seconds=at)).astimezone(zone).replace(tzinfo=None, fold=0)


def _seconds(wall: datetime, zone: tzinfo, *, fold: int) -> float:
    return (wall.replace(tzinfo=zone, fold=fold) - EPOCH).total_seconds()


def _offset(at: int, zone: tzinfo) -> timedelta | None:
    return (EPOCH + timedelta(seconds=at)).astimezone(zone).utcoffset()
