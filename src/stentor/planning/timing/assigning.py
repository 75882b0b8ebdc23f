"""The instant at which each recipient of a page gets a campaign. Pure.

Rules: what is found depends on the campaign, the key, the zone and `now` alone, so that a page that is read again, by
anybody, is assigned in the same way. A zone is worked out once for all of a page that have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from hashlib import blake2b

from stentor.own_reasons import NO_ZONE, PAST_LOCAL_TIME, QUIET_EXPIRED
from stentor.planning.contract import NOW, Timing
from stentor.planning.division import LeftOut
from stentor.planning.timing.quiet import QuietHours
from stentor.planning.timing.wall import instant, shown
from stentor.zones import LONGEST, zone_of

GRACE = 60.0
"""Seconds for which a local time that has passed still counts as now."""
MOST_SLICES = 48
"""Into which a spread is cut at most: each is one more wave, in each zone."""
_SLICES = (60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
"""Seconds of one. They divide an hour, so that zones whole hours apart share their waves."""
_CAMPAIGNS = 16
"""That are assigned at the same time, or little after one another."""
_REMEMBERED = 8192
"""Instants of a campaign that are kept: of each zone in each slice of the spread, and of junk in place of a zone."""
_FRACTION_BITS = 53

Instant = float | None
"""Epoch seconds; None: as soon as the campaign has started."""


def assign(
    timing: Timing, keys: Sequence[bytes], zones: Sequence[str | None] | None, now: float, campaign_id: str
) -> tuple[list[Instant], dict[bytes, LeftOut]]:
    """When each of some recipients gets a campaign, in their order, and who of them is left out, by key. Whoever is
    left out has None as the instant.

    `canary` and `hold` of the timing change nothing here: they hold back, and the instant is then the earliest.

    Args:
        zones: of each recipient what its row says of its time zone, whatever that is; None: nothing is known of any.
        now: epoch seconds: the moment the campaign started, the same one for each of its pages.

    Raises:
        InvalidInput: the timing was never checked.
    """
    said = [None] * len(keys) if zones is None else zones
    clock = _clock(timing, now)
    if timing.spread:
        found = clock.spread(keys, said, campaign_id)
    else:
        of_zone = {each: clock.at(each) for each in set(said)}
        if not any(isinstance(each, LeftOut) for each in of_zone.values()):
            return [of_zone[each] for each in said], {}  # type: ignore[misc]  # seen to be none
        found = [of_zone[each] for each in said]
    left_out = {key: each for key, each in zip(keys, found, strict=True) if isinstance(each, LeftOut)}
    return [None if isinstance(each, LeftOut) else each for each in found], left_out


def in_canary(timing: Timing, keys: Sequence[bytes], campaign_id: str) -> list[bool]:
    """Of each recipient, whether it belongs to the share of a campaign that is sent to first."""
    return [each < timing.canary for each in _fractions(keys, campaign_id, "canary")]


@lru_cache(_CAMPAIGNS)
def _clock(timing: Timing, now: float) -> Clock:
    return Clock(timing, now)


class Clock:
    """Tells by a timing when somebody gets a campaign that started at a moment."""

    def __init__(self, timing: Timing, now: float) -> None:
        self._timing = timing
        self._now = now
        self._wall = timing.wall
        self.quiet: QuietHours | None = timing.quiet
        self._default = timing.default_zone
        self._known = lru_cache(_REMEMBERED)(self._find)

    def zone(self, said: str | None) -> tzinfo | None:
        """The zone that is used for somebody."""
        return zone_of(said) or self._default

    def at(self, said: str | None, offset: float = 0.0) -> Instant | LeftOut:
        """When somebody gets it, or why not.

        Args:
            said: what the row says of the zone.
            offset: seconds by which the spread moves it.
        """
        return self._known(said if said is None else said[: LONGEST + 1], offset)

    def _find(self, said: str | None, offset: float) -> Instant | LeftOut:
        timing, now = self._timing, self._now
        zone = self.zone(said) if timing.needs_zone else None
        if zone is None:
            if timing.needs_zone and timing.no_zone != NOW:
                detail = f"{said[:40]!r} is not a time zone" if said else "the recipient has no time zone"
                return LeftOut(NO_ZONE, detail)
            return now + offset if offset else None
        planned = now if self._wall is None else self._local(self._wall, zone)
        if isinstance(planned, LeftOut):
            return planned
        planned += offset
        if self.quiet is not None and (over := self.quiet.over(planned, zone)) != planned:
            if timing.quiet_then == "expire":
                there = f"{shown(planned, zone):%Y-%m-%d %H:%M} in {zone}"
                return LeftOut(QUIET_EXPIRED, f"it was for {there}, in the quiet hours {self.quiet}")
            planned = over
        return planned if planned > now else None

    def is_past(self, zone: tzinfo) -> bool:
        """Whether the local time was past in a zone when the campaign started."""
        return self._wall is not None and instant(self._wall, zone) < self._now - GRACE

    def spread(self, keys: Sequence[bytes], zones: Sequence[str | None], campaign_id: str) -> list[Instant | LeftOut]:
        """`at`, of each of some recipients, at its own time of the spread."""
        step, slices = spread_slices(self._timing.spread)
        at, fractions = self.at, _fractions(keys, campaign_id, "spread")
        return [at(zone, int(fraction * slices) * step) for zone, fraction in zip(zones, fractions, strict=True)]

    def _local(self, wall: datetime, zone: tzinfo) -> float | LeftOut:
        planned = instant(wall, zone)
        earliest = self._now - GRACE
        if planned >= earliest:
            return planned
        if self._timing.past == "now":
            return self._now
        if self._timing.past != "tomorrow":
            return LeftOut(PAST_LOCAL_TIME, f"{wall:%Y-%m-%d %H:%M} was past in {zone} when the campaign started")
        day = max(shown(self._now, zone).date() - timedelta(days=1), wall.date())
        while planned < earliest:
            day += timedelta(days=1)
            planned = instant(datetime.combine(day, wall.time()), zone)
        return planned


def spread_slices(spread: float) -> tuple[float, int]:
    """The seconds from one slice of a spread to the next, and how many there are."""
    step = next(
        (each for each in _SLICES if spread / each <= MOST_SLICES), math.ceil(spread / MOST_SLICES / 3600) * 3600.0
    )
    return step, max(1, math.ceil(spread / step))


def _fractions(keys: Sequence[bytes], campaign_id: str, purpose: str) -> Iterator[float]:
    """Of each key a number from 0 to below 1: always the same one for a campaign and purpose, and evenly spread."""
    begun = blake2b(f"{purpose} {campaign_id} ".encode(), digest_size=8)
    for key in keys:
        whole = begun.copy()
        whole.update(key)
        yield (int.from_bytes(whole.digest(), "big") >> (64 - _FRACTION_BITS)) / (1 << _FRACTION_BITS)
