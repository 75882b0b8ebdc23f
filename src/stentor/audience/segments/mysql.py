"""How MariaDB and MySQL read a column, by its type. Pure.

Texts are compared byte by byte in UTF-8, as their usual collations know neither upper and lower case nor accents. What
is found so is a part of what the column's own collation finds, which is asked first, as an index may know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.types import NULLTYPE

from stentor.audience.segments.readings import LONGEST_NUMBER, MILLISECONDS_FROM
from stentor.audience.segments.sql import Element, Mismatch, Operand, Sense, Type
from stentor.audience.segments.tree import LONGEST_PART, MOST_PARTS

_NUMBER = rf"^-?(?=[0-9.]{{1,{LONGEST_NUMBER}}}\z)[0-9]+(\.[0-9]+)?\z"
_VERSION = rf"^[vV]?[0-9]{{1,{LONGEST_PART}}}(\.[0-9]{{1,{LONGEST_PART}}}){{0,{MOST_PARTS - 1}}}(\z|[-+ (])"
_MOMENT = (
    r"(?-i)^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?)?\z"
)
_ZONE = r"[+-][0-9]{2}:[0-9]{2}\z"
_TEXTUAL = (Type.TEXT, Type.LIKE_TEXT)
_NUMERIC = (Type.INTEGER, Type.NUMERIC, Type.FLOAT)
_TIMES = (Type.ZONED, Type.TIME, Type.DATE)
_READABLE = {
    Sense.TEXT: (*_TEXTUAL, Type.INTEGER),
    Sense.NUMBER: (*_TEXTUAL, *_NUMERIC),
    Sense.TRUTH: (*_TEXTUAL, *_NUMERIC),
    Sense.VERSION: (*_TEXTUAL, Type.INTEGER),
    Sense.MOMENT: (*_TEXTUAL, *_NUMERIC, *_TIMES),
}


class MysqlColumn(Operand):
    """A column whose type is known. Times are in UTC, which the connection's time zone must be."""

    def __init__(self, column: Element, type_: Type) -> None:
        self._column = column
        self._type = type_

    def exists(self) -> Element:
        return self._column.is_not(None)

    def literal(self, kind: Sense, value: Any) -> Element:
        if kind is Sense.TEXT:
            return _bytes(sa.literal(value, sa.String))
        if kind is Sense.NUMBER and self._type in (Type.INTEGER, Type.NUMERIC) and not isinstance(value, int):
            return sa.literal(Decimal(repr(value)), sa.Numeric)
        if kind is Sense.MOMENT and self._type in _TIMES:
            return sa.literal(datetime.fromtimestamp(value, UTC).replace(tzinfo=None), sa.DateTime)
        return super().literal(kind, value)

    def equal(self, kind: Sense, values: Sequence[Any]) -> Element:
        found = super().equal(kind, values)
        if kind is not Sense.TEXT or self._type is not Type.TEXT or not all(map(str.isascii, values)):
            return found  # a column of another character set is not compared with what isn't in that set
        return sa.and_(self._column.in_([sa.literal(value, sa.String) for value in values]), found)

    def begins(self, text: str) -> Element:
        length = len(text.encode())
        return sa.func.left(self.reading(Sense.TEXT), length) == self.literal(Sense.TEXT, text)

    def contains(self, text: str) -> Element:
        return sa.func.locate(self.literal(Sense.TEXT, text), self.reading(Sense.TEXT)) > 0

    def reading(self, kind: Sense) -> Element:
        column, type_ = self._column, self._type
        if type_ not in _READABLE[kind]:
            raise Mismatch(f"holds {type_}, which are never {kind}")
        if kind is Sense.TEXT:
            return _bytes(column)
        if kind is Sense.VERSION:
            return _version(_characters(column))
        if type_ in _TEXTUAL:
            return _of_text(kind, _characters(column))
        if kind is Sense.TRUTH:
            return sa.case((column == 1, sa.literal_column("1")), (column == 0, sa.literal_column("0")))
        return _seconds(column) if kind is Sense.MOMENT and type_ in _NUMERIC else column


def _bytes(text: Element) -> Element:
    return sa.cast(_characters(text), sa.BINARY)


def _characters(text: Element) -> Element:
    return sa.cast(text, sa.Text().with_variant(sa.CHAR(), "mysql"))


def _of_text(kind: Sense, text: Element) -> Element:
    """A text as a number, as true or false, or as a moment."""
    if kind is Sense.TRUTH:
        said = sa.cast(text, sa.BINARY)
        return sa.case(
            (said == sa.literal_column("'true'"), sa.literal_column("1")),
            (said == sa.literal_column("'false'"), sa.literal_column("0")),
        )
    number = sa.case((_is_like(text, _NUMBER), _double(text)))
    return number if kind is Sense.NUMBER else sa.case((_is_like(text, _MOMENT), _moment(text)), else_=_seconds(number))


def _moment(text: Element) -> Element:
    """Epoch seconds of an ISO text; NULL where there is no such day."""
    zone = sa.case((_is_like(text, _ZONE), sa.func.right(text, 6)), else_=sa.literal("+00:00", NULLTYPE))
    minutes = _double(sa.func.substr(zone, 2, 2)) * 60 + _double(sa.func.right(zone, 2))
    offset = sa.case((sa.func.left(zone, 1) == "-", -minutes), else_=minutes) * 60
    short = sa.func.regexp_replace(text, r"([.][0-9]{6})[0-9]+", r"\1")
    bare = sa.func.regexp_replace(short, r"(Z|[+-][0-9]{2}:[0-9]{2})\z", "")
    at = sa.cast(sa.func.replace(bare, "T", " "), DATETIME(fsp=6))
    whole = sa.func.timestampdiff(sa.text("MICROSECOND"), sa.literal_column("'1970-01-01'"), at)
    return whole / 1e6 - offset


def _seconds(number: Element) -> Element:
    """A number of seconds or milliseconds since 1970, as seconds."""
    return sa.case((number >= MILLISECONDS_FROM, _double(number) / 1000.0), else_=_double(number))


def _double(value: Element) -> Element:
    return sa.type_coerce(value, sa.Double) + sa.literal_column("0e0", sa.Double)


def _version(text: Element) -> Element:
    """As `sql.padded`."""
    numbers = sa.func.regexp_substr(text, "[0-9.]+")
    dots = sa.func.length(numbers) - sa.func.length(sa.func.replace(numbers, ".", ""))
    parts = [
        sa.func.lpad(
            sa.case(
                (dots >= number, sa.func.substring_index(sa.func.substring_index(numbers, ".", number + 1), ".", -1)),
                else_=sa.literal_column("'0'"),
            ),
            LONGEST_PART,
            "0",
        )
        for number in range(MOST_PARTS)
    ]
    return sa.case((_is_like(text, _VERSION), sa.func.concat(*parts)))


def _is_like(text: Element, pattern: str) -> Element:
    return text.op("REGEXP", is_comparison=True)(sa.literal(pattern, NULLTYPE))
