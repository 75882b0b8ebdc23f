"""Reads what people write for an option: durations, times, `NAME=VALUE` pairs. Anything else is one clear error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from stentor.errors import InvalidConfiguration

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def duration(option: str, text: str) -> float:
    """Seconds of `90s`, `15m`, `1h30m`, `2d`, or a number of seconds.

    Raises:
        InvalidConfiguration: it is none of these.
    """
    if re.fullmatch(r"\d+", text):
        return float(text)
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise InvalidConfiguration(f"{option}: {text!r} is no duration; write e.g. 90s, 15m, 1h30m or 2d")
    return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))


def moment(option: str, text: str, now: float) -> float:
    """Epoch seconds of `2030-01-31T18:00` (this machine's time zone unless it names one), or of `+90m` from now.

    Raises:
        InvalidConfiguration: it is neither, or it is past.
    """
    if text.startswith("+"):
        return now + duration(option, text[1:])
    try:
        at = datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InvalidConfiguration(
            f"{option}: {text!r} is no time; write e.g. 2030-01-31T18:00, 2030-01-31T18:00+01:00 or +90m"
        ) from None
    if at < now:
        raise InvalidConfiguration(f"{option}: {text} is past")
    return at


def pairs(option: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    """(name, value) of each `NAME=VALUE`.

    Raises:
        InvalidConfiguration: one has no name or no `=`.
    """
    split = [(text, *text.partition("=")) for text in texts]
    for text, name, sign, _ in split:
        if not (name and sign):
            raise InvalidConfiguration(f"{option}: {text!r} should be NAME=VALUE")
    return [(name, value) for _, name, _, value in split]
