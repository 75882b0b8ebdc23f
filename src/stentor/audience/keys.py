"""The keys of an audience: as cursors, as text, and as points between which an audience can be cut. Pure.

A key is of whatever type the driver gives and takes. Its cursor is a text that gives back exactly the same value, so
that a comparison in the database comes out the same after a restart. How keys order is the database's own business
(collations): `between` only guesses, and a guess must be snapped to a key that exists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal, InvalidOperation
from itertools import takewhile
from typing import Any
from uuid import UUID

Key = Any
"""A value as the database's driver gives it."""

_DIGITS = "0123456789"
_HEX = "0123456789abcdef"
_ALPHANUMERIC = f"{_DIGITS}ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SIGNIFICANT = 12  # characters or bytes after what two keys have in common; more make no better guess
_EXACT = Context(prec=100)
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type that keys may have."""

    tag: str
    """What its cursors begin with."""
    python: type
    to_text: Callable[[Key], str]
    """As reports show it, and as `from_text` reads it."""
    from_text: Callable[[str], Key]
    """Raises ValueError where the text is no such key."""
    between: Callable[[Key, Key, int], list[Key]]
    """`between(first, last, parts)`: up to `parts` - 1 guesses that cut what lies between evenly."""

    def cursor(self, key: Key) -> str:
        return f"{self.tag}:{self.to_text(key)}"


def kind_of(key: Key) -> Kind | None:
    """The kind of a key; None where its type cannot be one."""
    if isinstance(key, bool):
        return None
    return next((kind for kind in KINDS if isinstance(key, kind.python)), None)


def read_cursor(cursor: str) -> Key:
    """The key that `Kind.cursor` wrote.

    Raises:
        ValueError: it is no cursor.
    """
    tag, _, text = cursor.partition(":")
    for kind in KINDS:
        if kind.tag == tag:
            return kind.from_text(text)
    raise ValueError("not a cursor")


def texts(keys: Sequence[Key], kind: Kind) -> list[bytes]:
    """A column of keys as text."""
    if kind.python is int:
        return [b"%d" % key for key in keys] if set(map(type, keys)) <= {int} else _texts(keys)
    return encode(keys) if kind.python is str and set(map(type, keys)) <= {str} else _texts(keys)


def _texts(keys: Sequence[Key]) -> list[bytes]:
    """Keys of several kinds, e.g. whole and broken numbers in one column of SQLite's."""
    return [(kind.to_text(key) if (kind := kind_of(key)) else str(key)).encode() for key in keys]


def encode(column: Sequence[str]) -> list[bytes]:
    """A column of text as bytes."""
    return list(map(str.encode, column))


def _int(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= (number := int(text)) < 2**63:
        raise ValueError("not a whole number that a database has as a key")
    return number


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("not a number") from None


def _between_ints(first: int, last: int, parts: int) -> list[int]:
    return [first + (last - first) * part // parts for part in range(1, parts)]


def _between_floats(first: float, last: float, parts: int) -> list[float]:
    width = last - first
    return [first + width * (part / parts) for part in range(1, parts)] if math.isfinite(width) else []


def _between_decimals(first: Decimal, last: Decimal, parts: int) -> list[Decimal]:
    if not (first.is_finite() and last.is_finite()):
        return []
    width = _EXACT.subtract(last, first)
    return [_EXACT.fma(width, _EXACT.divide(Decimal(part), Decimal(parts)), first) for part in range(1, parts)]


def _between_datetimes(first: datetime, last: datetime, parts: int) -> list[datetime]:
    return [first + (last - first) / parts * part for part in range(1, parts)]


def _between_dates(first: date, last: date, parts: int) -> list[date]:
    return [date.fromordinal(day) for day in _between_ints(first.toordinal(), last.toordinal(), parts)]


def _between_uuids(first: UUID, last: UUID, parts: int) -> list[UUID]:
    return [UUID(int=number) for number in _between_ints(first.int, last.int, parts)]


def _between_bytes(first: bytes, last: bytes, parts: int) -> list[bytes]:
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    low, high = (
        int.from_bytes(key[common : common + _SIGNIFICANT].ljust(_SIGNIFICANT, b"\0")) for key in (first, last)
    )
    return [first[:common] + number.to_bytes(_SIGNIFICANT) for number in _between_ints(low, high, parts)]


def _between_texts(first: str, last: str, parts: int) -> list[str]:
    """Text as a number whose digits are the characters that such keys seem to be made of."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    ends = [key[common:].replace("-", "")[:_SIGNIFICANT] for key in (first, last)]  # UUIDs have hyphens in them
    seen = set().union(*ends)
    usual = next((letters for letters in (_DIGITS, _HEX, _HEX.upper()) if seen <= set(letters)), _ALPHANUMERIC)
    letters = sorted({*usual, *seen})
    value = {letter: number for number, letter in enumerate(letters)}
    base = len(letters)
    low, high = (
        sum(value[letter] * base ** (_SIGNIFICANT - place) for place, letter in enumerate(end, 1)) for end in ends
    )
    return [
        first[:common] + "".join(letters[guess // base**place % base] for place in range(_SIGNIFICANT - 1, -1, -1))
        for guess in _between_ints(low, high, parts)
    ]


KINDS = (  # a datetime is a date as well, so it comes first
    Kind("int", int, str, _int, _between_ints),
    Kind("text", str, str, str, _between_texts),
    Kind("uuid", UUID, str, UUID, _between_uuids),
    Kind("datetime", datetime, datetime.isoformat, datetime.fromisoformat, _between_datetimes),
    Kind("date", date, date.isoformat, date.fromisoformat, _between_dates),
    Kind("decimal", Decimal, str, _decimal, _between_decimals),
    Kind("float", float, repr, float, _between_floats),
    Kind("bytes", bytes, bytes.hex, bytes.fromhex, _between_bytes),
)
