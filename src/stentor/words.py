"""How numbers, times, lanes and reasons are written for people."""

from __future__ import annotations

from datetime import datetime

from stentor.audience.contract import NO_LANE

LONGEST_COUNTDOWN = 99 * 3600.0


def lane_name(lane: str) -> str:
    return "(no lane)" if lane == NO_LANE else lane


def clock(at: float | None) -> str:
    """A moment in this machine's time zone, to the second; a dash where there is none."""
    return "–" if at is None else datetime.fromtimestamp(at).isoformat(" ", "seconds")


def moment(at: float) -> str:
    """A moment in this machine's time zone, with the zone: `2030-01-31 18:00:00 CET (UTC+01:00)`."""
    local = datetime.fromtimestamp(at).astimezone()
    offset = local.isoformat()[-6:]
    name = local.tzname() or ""
    return f"{local:%Y-%m-%d %H:%M:%S} {f'{name} (UTC{offset})' if name.isalpha() else f'UTC{offset}'}"


def countdown(seconds: float) -> str:
    """`0:31`, `12:05`, `3:12:05`; a dash where nobody knows or would wait for it."""
    if not 0 <= seconds <= LONGEST_COUNTDOWN:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def lasted(seconds: float) -> str:
    """`12.3 s`, or as a countdown from two minutes on."""
    return f"{seconds:.1f} s" if seconds < 120 else countdown(seconds)


def roughly(seconds: float) -> str:
    """`4 s`, `2 min`, `1 h`: in whole units, for how long ago something was."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 7200 else f"{seconds // 3600:.0f} h"


def instant(seconds: float) -> str:
    """A short time to two digits: `0.42 ms`, `33 ms`, `1.2 s`."""
    value, unit = (seconds * 1000, "ms") if seconds < 0.9995 else (seconds, "s")
    digits = 2 if value < 1 else 1 if value < 10 else 0
    return f"{value:.{digits}f} {unit}"


def share(part: int, whole: int) -> str:
    """A percentage that says 100 % only of all and 0 % only of none."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.0f} %" if part in (0, whole) else f"{percent:.1f} %"
