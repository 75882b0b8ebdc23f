"""Quiet hours: the part of each day in which nobody is to be disturbed, by the clocks of the recipient. Pure.

Rules: a period begins and ends at instants, so that an hour that comes twice is not quiet twice, and a begin or end
that the clocks skip is the first moment after the gap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from stentor.errors import InvalidInput
from stentor.planning.timing.wall import bound, shown

_WRITTEN = re.compile(r"\s*(\d\d?):(\d\d)\s*[-\u2013]\s*(\d\d?):(\d\d)\s*", re.ASCII)
_DAYS_BEFORE, _DAYS_AFTER = 2, 2
"""Days around a moment whose periods may hold it, or begin next: a zone that changes sides of the date line skips
one."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` to before `end`; over midnight if `end` is the earlier one."""

    begin: time
    end: time

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"

    def over(self, at: float, zone: tzinfo) -> float:
        """The first moment from `at` on that isn't quiet in a zone: `at` itself, or when the quiet hours end."""
        found = at
        for begin, end in self._periods(at, zone):
            if begin <= found < end:
                found = end
        return found

    def next(self, at: float, zone: tzinfo) -> float:
        """When it is quiet in a zone, from `at` on: `at` itself, or when the quiet hours begin."""
        return max(at, min(begin for begin, end in self._periods(at, zone) if end > at))

    def _periods(self, at: float, zone: tzinfo) -> list[tuple[float, float]]:
        """Those around a moment, in order."""
        day = shown(at, zone).date()
        days = (day + timedelta(days=number) for number in range(-_DAYS_BEFORE, _DAYS_AFTER + 1))
        return [(begin, end) for begin, end in (_period(self, each, zone) for each in days) if begin < end]


@lru_cache(4096)
def _period(hours: QuietHours, day: date, zone: tzinfo) -> tuple[float, float]:
    """When the quiet hours that begin on a day begin and end."""
    last = day if hours.begin < hours.end else day + timedelta(days=1)
    return bound(datetime.combine(day, hours.begin), zone), bound(datetime.combine(last, hours.end), zone)


def read_quiet(name: str, text: str) -> QuietHours:
    """`22:00-08:00`. Raises: InvalidInput: it isn't written so; has this name."""
    written = _WRITTEN.fullmatch(text) if len(text) < 40 else None
    try:
        if written is None:
            raise ValueError
        hour, minute, last_hour, last_minute = map(int, written.groups())
        found = QuietHours(time(hour, minute), time(0 if last_hour == 24 else last_hour, last_minute))
    except ValueError:
        raise InvalidInput(name, f"{text[:40]!r} are not quiet hours; write e.g. 22:00-08:00") from None
    if found.begin == found.end:
        raise InvalidInput(name, f"{text!r} would be the whole day; write e.g. 22:00-08:00")
    return found
