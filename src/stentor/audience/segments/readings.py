"""How a row's value is read as what a segment compares it with: a text, a number, true or false, a version, a moment.

Rules: a value that cannot be read so is None, and equals nothing. What is read here the compilers read in SQL, so each
form is simple enough for an engine without regular expressions.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from stentor.audience.segments.tree import LONGEST_PART, MOST_PARTS, version_parts

MILLISECONDS_FROM = 1e11
"""A number above this is a time in milliseconds; in seconds it would be the year 5138."""
LONGEST_NUMBER = 40
"""Characters of a text that is a number."""

_NUMBER = re.compile(rf"-?(?=[0-9.]{{1,{LONGEST_NUMBER}}}\Z)[0-9]+(?:\.[0-9]+)?", re.ASCII)
_VERSION = re.compile(
    rf"[vV]?([0-9]{{1,{LONGEST_PART}}}(?:\.[0-9]{{1,{LONGEST_PART}}}){{0,{MOST_PARTS - 1}}})(?:[-+ (].*)?",
    re.ASCII | re.DOTALL,
)
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9])(?P<fraction>\.[0-9]+)?)?"
    r"(?P<zone>Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?)?",
    re.ASCII,
)


def text(value: Any) -> str | None:
    """Text as it is, a whole number by its digits, and `true` or `false`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | UUID) else None


def number(value: Any) -> int | float | Decimal | None:
    """A number as it is, and a text that is written like one, without exponent."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | Decimal):
        return value if value == value else None  # noqa: PLR0124  # NaN is no number, and a decimal one has no order
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def truth(value: Any) -> bool | None:
    """True and false as they are, 1 and 0, and the texts `true` and `false`."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return value == 1 if value in (0, 1) else None
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def version(value: Any) -> tuple[int, ...] | None:
    """The numbers of `5.2.0`, `v5.2` or 5. What follows after `-`, `+`, a space or `(` doesn't count."""
    said = text(value)
    found = _VERSION.fullmatch(said) if said is not None else None
    return version_parts(found[1]) if found else None


def moment(value: Any) -> float | None:
    """Epoch seconds of a time or a day (in UTC where it names no zone), an ISO text, or a number of seconds or
    milliseconds since 1970."""
    if isinstance(value, date):
        at = value if isinstance(value, datetime) else datetime.combine(value, time())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, str) and (found := _MOMENT.fullmatch(value)):
        return _written(found)
    said = number(value)
    if said is None:
        return None
    return float(said) / 1000 if said >= MILLISECONDS_FROM else float(said)


def _written(found: re.Match[str]) -> float | None:
    zone = found["zone"] or "Z"
    clock = f"{found['hour'] or '00'}:{found['minute'] or '00'}:{found['second'] or '00'}"
    try:
        whole = datetime.fromisoformat(f"{found['day']}T{clock}+00:00")
    except ValueError:  # no such day
        return None
    offset = 0
    if zone != "Z":
        offset = (int(zone[1:3]) * 60 + int(zone[4:6])) * (-60 if zone[0] == "-" else 60)
    return int(whole.timestamp()) - offset + float("0" + (found["fraction"] or "")[:7])


def elements(value: Any) -> list[str] | None:
    """The texts in a list; None where the value is no list."""
    if not isinstance(value, list | tuple):
        return None
    return [each for each in map(text, value) if each is not None]
