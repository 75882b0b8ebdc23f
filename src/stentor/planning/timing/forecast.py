"""What a timing means for an audience, zone by zone: when each gets it, who is past, and what ends too late. Pure.

Rules: the zones are worked out as `assigning` works them out when the campaign is planned; shares of a spread are taken
to be even. Times of the end are what the pace allows at best.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stentor.counted import counted
from stentor.errors import InvalidInput
from stentor.own_reasons import NO_ZONE, PAST_LOCAL_TIME
from stentor.planning.contract import Timing
from stentor.planning.division import LeftOut
from stentor.planning.timing.assigning import Clock, spread_slices
from stentor.zones import zone_of

NAMED = 3
"""Zones that are named where there may be many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneForecast:
    """What a timing means for the recipients in one time zone."""

    zone: str
    """Its name; empty: of those without a zone that is known."""
    recipients: int
    is_past: bool = False
    """Whether the local time is past there when the campaign starts."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many of them get nothing by the timing, by the reason."""
    first: float | None = None
    """Epoch seconds: when the first of them is sent to; None: nobody is."""
    last: float | None = None
    """When the last of them is sent to, at the earliest."""
    quiet_at: float | None = None
    """When quiet hours begin there next after `first`; None: nothing is said of quiet hours."""

    @property
    def runs_into_quiet(self) -> bool:
        """Whether they can't all be sent to before the quiet hours begin."""
        return self.quiet_at is not None and self.last is not None and self.last > self.quiet_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a timing means for an audience."""

    timing: Timing
    zones: Sequence[ZoneForecast]
    """The first to be sent to first, those who get nothing last."""
    recipients: int

    @property
    def past(self) -> int:
        """Recipients in zones in which the local time is past."""
        return sum(each.recipients for each in self.zones if each.is_past)

    @property
    def without_zone(self) -> int:
        return sum(each.recipients for each in self.zones if not each.zone)

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many get nothing by the timing, by the reason."""
        found: Counter[str] = Counter()
        for each in self.zones:
            found.update(each.left_out)
        return found

    @property
    def first(self) -> float | None:
        """When the first recipient is sent to; None: nobody is."""
        return min((each.first for each in self.zones if each.first is not None), default=None)

    @property
    def last(self) -> float | None:
        """When the last recipient is sent to, at the earliest; None: nobody is."""
        return max((each.last for each in self.zones if each.last is not None), default=None)


class _Wave(NamedTuple):
    at: float
    zone: str
    recipients: float


def forecast(timing: Timing, counts: Mapping[str | None, int], now: float, rate: float) -> Forecast:
    """What a timing means if the campaign starts at a moment.

    Args:
        counts: recipients by what their rows say of their time zone.
        now: epoch seconds.
        rate: pushes a second, over all lanes; may be infinite.
    """
    clock = Clock(timing, now)
    merged: Counter[str] = Counter()
    for said, count in counts.items():
        merged[str(zone_of(said) or "")] += count
    step, slices = spread_slices(timing.spread) if timing.spread else (0.0, 1)
    waves: list[_Wave] = []
    left_out: dict[str, Counter[str]] = {}
    for zone, count in merged.items():
        reasons = left_out[zone] = Counter()
        for number, share in enumerate(_shares(count, slices)):
            at = clock.at(zone, number * step)
            if isinstance(at, LeftOut):
                reasons[at.reason] += share
            elif share:
                waves.append(_Wave(now if at is None else at, zone, share))
    first, last = _sent(waves, rate)
    found = [
        _of_zone(clock, zone, count, +left_out[zone], first.get(zone), last.get(zone)) for zone, count in merged.items()
    ]
    found.sort(key=lambda each: (math.inf if each.first is None else each.first, -each.recipients, each.zone))
    return Forecast(timing=timing, zones=found, recipients=merged.total())


def _of_zone(
    clock: Clock, name: str, recipients: int, left_out: Mapping[str, int], first: float | None, last: float | None
) -> ZoneForecast:
    zone = clock.zone(name)
    return ZoneForecast(
        zone=name,
        recipients=recipients,
        is_past=zone is not None and clock.is_past(zone),
        left_out=left_out,
        first=first,
        last=last,
        quiet_at=None if clock.quiet is None or zone is None or first is None else clock.quiet.next(first, zone),
    )


def _shares(count: int, slices: int) -> Iterable[int]:
    """A number in even parts."""
    return (count * (number + 1) // slices - count * number // slices for number in range(slices))


def _sent(waves: Iterable[_Wave], rate: float) -> tuple[dict[str, float], dict[str, float]]:
    """When the first and the last of each zone is sent to. A wave begins when it is due and those before it are sent;
    those that are due together are sent side by side."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    at: dict[float, list[_Wave]] = {}
    for wave in waves:
        at.setdefault(wave.at, []).append(wave)
    free = -math.inf
    for due in sorted(at):
        begin = max(due, free)
        free = begin + sum(wave.recipients for wave in at[due]) / rate
        for wave in at[due]:
            first.setdefault(wave.zone, begin)
            last[wave.zone] = free
    return first, last


def refuse_unruled(found: Forecast) -> None:
    """See that the timing says what happens to everybody.

    Raises: InvalidInput: it names no rule for those without a zone, or for those whose local time is past.
    """
    timing = found.timing
    if timing.needs_zone and timing.no_zone is None and found.without_zone:
        whom = _so_many(found.without_zone, found.recipients)
        said = "`skip` (leave them out), `now`, or a zone that stands in, such as Europe/Berlin"
        raise InvalidInput("timing.no_zone", f"{whom} no time zone that is known; say what happens to them: {said}")
    if timing.local_at is not None and timing.past is None and found.past > timing.past_share * found.recipients:
        zones = sorted((each for each in found.zones if each.is_past), key=lambda each: -each.recipients)
        named = ", ".join(each.zone or "no zone" for each in zones[:NAMED]) + (" …" if len(zones) > NAMED else "")
        whom = _so_many(found.past, found.recipients)
        said = "`now`, `skip` (leave them out) or `tomorrow`"
        raise InvalidInput(
            "timing.past", f"{whom} a clock that is past {timing.local_at} ({named}); say what happens to them: {said}"
        )


def notes(found: Forecast) -> list[str]:
    """What people should know of it before the start."""
    timing, told = found.timing, []
    if timing.needs_zone and found.without_zone == found.recipients:
        told.append("none of the recipients has a time zone that is known; see `columns.time_zone`")
    try:
        refuse_unruled(found)
    except InvalidInput as error:
        told.append(f"it cannot be started so: {error.problem} ({error.field})")
    unruled = {NO_ZONE: timing.no_zone is None, PAST_LOCAL_TIME: timing.past is None and not timing.past_share}
    reasons = {NO_ZONE: "have no time zone that is known", PAST_LOCAL_TIME: "are past the local time"}
    for reason, count in found.left_out.items():
        if unruled.get(reason):
            continue  # told above
        why = reasons.get(reason, f"are in the quiet hours {timing.quiet_hours}")
        told.append(f"{counted(count, 'recipient')} {why} and will get nothing ({reason})")
    late = [each for each in found.zones if each.runs_into_quiet]
    if late:
        some = ", ".join(each.zone or "no zone" for each in late[:NAMED]) + (" …" if len(late) > NAMED else "")
        whom = counted(sum(each.recipients for each in late), "recipient")
        told.append(
            f"at this pace not all {whom} in {some} can be sent to before the quiet hours {timing.quiet_hours} begin"
        )
    return told


def _so_many(part: int, whole: int) -> str:
    share = f" ({100 * part / whole:.1f} %)" if part < whole else ""
    return f"{counted(part, 'recipient')}{share} {'has' if part == 1 else 'have'}"
