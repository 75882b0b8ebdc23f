"""What an app's database holds, as Stentor carries it: addresses, times, and what templates show. Pure.

A driver gives whatever the column holds, and SQLite whatever somebody once put there. Rules: a value that cannot be
carried is `Unusable`, with the reason, and concerns its own row alone; a column whose type is of no use at all is found
by `misfit`, before anything is sent.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import msgspec
from asyncpg.pgproto.types import Path  # type: ignore[import-untyped]  # likewise; a polygon is one, too

DEEPEST = 32
"""Lists and objects in one another that an attribute may be made of. Each costs whoever walks through them some of the
stack."""
MILLISECONDS_FROM = 1e11
"""A time above this is in milliseconds: in seconds it would be the year 5138."""
LATEST = 4_102_444_800.0
"""Epoch seconds of the year 2100: when no address was registered yet."""

_TEXTUAL = (str, int, bytes, UUID, Decimal, dict)
_READABLE = re.compile(rb"[\t\n\r -~]+")
"""Bytes that are ASCII text: 16 or more that are random never are."""
_SCALARS = frozenset({str, int, float, bool, type(None)})
"""What is carried as it is."""


class Unusable(ValueError):
    """A value that cannot be carried. The message says why, and doesn't hold the value."""


# -- addresses --------------------------------------------------------------------------------------------------------


def addresses(column: Sequence[Any]) -> list[bytes]:
    """A column of addresses, each as `address_of` gives it; NULL is an empty one."""
    try:
        return list(map(str.encode, map(str.strip, column)))
    except (TypeError, UnicodeEncodeError):
        return [b"" if value is None else address_of(value).encode(errors="replace") for value in column]


def address_of(value: Any) -> str:
    """An address as text, the same for an app's own table as for `stentor import`: without space around it, an object
    as JSON (a browser's subscription), and bytes as the ASCII text that they are, or else in hex."""
    if isinstance(value, bytes):
        return value.decode().strip() if _READABLE.fullmatch(value) else value.hex()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (format(value, "f") if isinstance(value, Decimal) else str(value)).strip()


def short_texts(column: Sequence[Any], longest: int) -> list[str | None]:
    """A column of texts without the space around them, and without what is beyond `longest` characters; None where
    nothing is said."""
    return [str(value).strip()[:longest] or None if value else None for value in column]


# -- times ------------------------------------------------------------------------------------------------------------


def epochs(column: Sequence[Any]) -> list[float]:
    """A column of times as epoch seconds; 0 where that is none."""
    if set(map(type, column)) <= {float, int} and min(column) >= 0 and max(column) < LATEST:
        found = list(map(float, column))
        if not math.isnan(sum(found)):
            return found
    return [_epoch(value) or 0.0 for value in column]


def _epoch(value: Any) -> float | None:
    """None where it is no time at which an address can have been registered."""
    try:
        if isinstance(value, str):
            text = value.strip()
            value = float(text) if text.replace(".", "", 1).isdecimal() else datetime.fromisoformat(text)
        if isinstance(value, date):
            moment = value if isinstance(value, datetime) else datetime.combine(value, time())
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            seconds = float(value) if value < MILLISECONDS_FROM else float(value) / 1000
        else:
            return None
    except (ValueError, ArithmeticError):  # among these what Decimal raises of what is no number
        return None
    return seconds if 0 <= seconds < LATEST else None


# -- what templates show ----------------------------------------------------------------------------------------------


def shown(column: Sequence[Any]) -> list[Any]:
    """A column as templates show it and a batch can hold it; `Unusable` in the place of what cannot be carried."""
    return list(column) if set(map(type, column)) <= _SCALARS else list(map(_shown_or_why, column))


def shown_object(text: str | None, names: Iterable[str]) -> dict[str, Any]:
    """Some of what a JSON object has, as `shown`; None what it hasn't, and where there is no object.

    Raises: Unusable: it is no JSON, or one of these cannot be carried.
    """
    try:
        found = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"its attributes are not JSON that can be read: {error}") from None
    known = found if isinstance(found, dict) else {}
    told = {name: known.get(name) for name in names}
    for name, value in told.items():
        if type(value) not in _SCALARS:
            try:
                told[name] = show(value)
            except Unusable as why:
                raise Unusable(f"its {name} {why}") from None
    return told


def _shown_or_why(value: Any) -> Any:
    try:
        return show(value)
    except Unusable as why:
        return why


def show(value: Any, depth: int = 0) -> Any:
    """A value as templates show it, and as a batch can hold it. Raises: Unusable."""
    if type(value) in _SCALARS:
        return value
    if depth >= DEEPEST:
        raise Unusable(f"nests lists and objects more than {DEEPEST} deep")
    if isinstance(value, Mapping | asyncpg.Record):
        return {str(name): show(each, depth + 1) for name, each in value.items()}
    for kinds, shown in _SHOWN.items():
        if isinstance(value, kinds):
            return shown(value)
    if isinstance(value, list | tuple | AbstractSet | Path):
        return [show(each, depth + 1) for each in value]
    raise Unusable(f"is of the type {type(value).__name__}, which templates cannot show")


def _range(value: asyncpg.Range) -> str:
    """As PostgreSQL writes it."""
    if value.isempty:
        return "empty"
    ends = ("" if end is None else str(show(end)) for end in (value.lower, value.upper))
    return f"{'[' if value.lower_inc else '('}{','.join(ends)}{']' if value.upper_inc else ')'}"


_SHOWN: Mapping[Any, Callable[[Any], Any]] = MappingProxyType(
    {
        (str, int, float): lambda value: value,  # of a class that inherits from these
        (datetime, date, time): lambda value: value.isoformat(),
        (UUID, Decimal, timedelta): str,
        (IPv4Address, IPv4Network, IPv4Interface, IPv6Address, IPv6Network, IPv6Interface): str,
        bytes: bytes.hex,
        asyncpg.Range: _range,
        asyncpg.BitString: lambda value: value.as_string().replace(" ", ""),
    }
)


# -- whole columns ----------------------------------------------------------------------------------------------------


def misfit(role: str, column: Sequence[Any]) -> str | None:
    """What is wrong with a column that has values of which none is of use as what it is said to be; None: it fits.

    One odd value among NULLs is its row's own matter.

    Args:
        role: `address`, `registered_at` or `language`; any column fits as another.
        column: some of its values.
    """
    values = [value for value in column if value is not None]
    if role not in _FITS or not values or (len(values) == 1 and len(column) > 1):
        return None
    is_usable, wanted = _FITS[role]
    return (
        None if any(map(is_usable, values)) else f"holds values of the type {type(values[0]).__name__}, which {wanted}"
    )


_FITS: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "address": (
            lambda value: isinstance(value, _TEXTUAL) and not isinstance(value, bool),
            "are not addresses; use a column of text, JSON, numbers, UUIDs or bytes",
        ),
        "registered_at": (
            lambda value: _epoch(value) is not None,
            "are not times from 1970 on; use a column of epoch seconds, or of timestamps",
        ),
        "language": (
            lambda value: isinstance(value, str),
            "are not language tags; use a column of text such as `de` or `pt-BR`",
        ),
    }
)
