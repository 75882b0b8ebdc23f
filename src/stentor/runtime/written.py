"""Reads what people write for an option or into a field: durations, times, `NAME=VALUE` pairs.
Anything else is one clear error."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from stentor import words
from stentor.errors import InvalidConfiguration
from stentor.runtime.draft import FARTHEST

YEAR = 365.25 * 86_400
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?", re.ASCII)
_SHARE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})\s*(%?)", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def duration(option: str, text: str) -> float:
    """Seconds of `90s`, `15m`, `1h30m`, `2d`, or a number of seconds.

    Raises:
        InvalidConfiguration: it is none of these.
    """
    if re.fullmatch(r"\d+", text):
        return float(text)
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise InvalidConfiguration(f"{option}: {text!r} is not a duration; write e.g. 90s, 15m, 1h30m or 2d")
    return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))


def share(option: str, text: str) -> float:
    """The share that `20%` or `0.2` is.

    Raises:
        InvalidConfiguration: it is neither, or not above 0 and at most 1.
    """
    found = _SHARE.fullmatch(text.strip())
    value = 0.0 if found is None else float(found[1]) / (100 if found[2] else 1)
    if not 0 < value <= 1:
        raise InvalidConfiguration(f"{option}: {text!r} is not a share above 0 % and at most 100 %; write e.g. 20%")
    return value


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that somebody wrote, as it was understood."""

    at: float
    """Epoch seconds."""
    doubt: str = ""
    """What people should know if the clocks change at that time; else empty."""


def moment(option: str, text: str, now: float, zone: tzinfo | None = None) -> Moment:
    """What `2030-01-31T18:00` means (in this machine's time zone unless it names one), `18:00` (the next one), or
    `+90m` from now.

    Args:
        zone: instead of this machine's.

    Raises:
        InvalidConfiguration: it is none of these, it is past, or nobody can mean a time so far away.
    """
    if text.startswith("+"):
        if text[1:].isdecimal():
            raise InvalidConfiguration(
                f"{option}: {text!r} has no unit; write {text}m for minutes, or {text}s, {text}h"
            )
        found = Moment(now + duration(option, text[1:]))
    else:
        try:
            found = (
                _next(text, now, zone) if _TIME_OF_DAY.fullmatch(text) else _read(datetime.fromisoformat(text), zone)
            )
        except ValueError:
            raise InvalidConfiguration(
                f"{option}: {text!r} is not a time; write e.g. 18:00, 2030-01-31T18:00, 2030-01-31T18:00+01:00 or +90m"
            ) from None
    if found.at < now:
        raise InvalidConfiguration(f"{option}: {text} is in the past")
    if found.at - now > FARTHEST:
        raise InvalidConfiguration(f"{option}: {text} is more than {FARTHEST / YEAR:.0f} years away; check the date")
    return found


def _next(text: str, now: float, zone: tzinfo | None) -> Moment:
    """The next time of day that is written so, today or tomorrow. Raises: ValueError: there is no such time."""
    at = time.fromisoformat(f"{text:0>{8 if text.count(':') > 1 else 5}}")
    today = datetime.fromtimestamp(now, zone).date()
    found = _read(datetime.combine(today, at), zone)
    return found if found.at > now else _read(datetime.combine(today + timedelta(days=1), at), zone)


def _read(written: datetime, zone: tzinfo | None) -> Moment:
    """A time in the first or last year that Python knows is infinitely far away."""
    local = written if zone is None or written.tzinfo is not None else written.replace(tzinfo=zone)
    try:
        first, second = (local.replace(fold=fold).timestamp() for fold in (0, 1))
    except (ValueError, OverflowError):
        return Moment(math.inf if written.year > 1 else -math.inf)
    if written.tzinfo is not None or first == second:
        return Moment(first)
    shown = f"{written:%Y-%m-%d %H:%M}"
    if first < second:
        return Moment(first, f"{shown} comes twice, as the clocks go back: this is the first. Add +HH:MM to say which")
    return Moment(first, f"{shown} doesn't exist, as the clocks go forward: this is {words.moment(first)}")


def pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """The value of each `NAME=VALUE`, by name.

    Raises:
        InvalidConfiguration: one has no name or no `=`, or a name is there twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise InvalidConfiguration(f"{option}: {text!r} should be NAME=VALUE")
        if name in found:
            raise InvalidConfiguration(f"{option}: {name!r} has two values; leave one out")
        found[name] = value
    return found
