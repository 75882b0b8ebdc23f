"""How SQLite reads a column, whose values each have a type of their own, or an attribute in a column of JSON. Pure.

SQLite has no regular expressions: what a text looks like is told by GLOB, and by what is left when characters are
trimmed from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import NULLTYPE

from stentor.audience.segments.readings import LONGEST_NUMBER, MILLISECONDS_FROM
from stentor.audience.segments.sql import Element, Operand, Sense
from stentor.audience.segments.tree import LONGEST_PART, MOST_PARTS

_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_CLOCK = "[T ][0-9][0-9]:[0-9][0-9]*"


class SqliteOperand(Operand):
    def __init__(self, value: Element, type_: Element, *, column: Element | None = None, array: Any = None) -> None:
        """Args:
        value: what it says.
        type_: the type of that, by the names of `typeof` and `json_type`.
        column: it is a column, of which there may be an index.
        array: of an attribute: its elements, as a table with the columns `value` and `type`.
        """
        self._value = value
        self._type = type_
        self._column = column
        self._array = array

    @classmethod
    def of_column(cls, column: Element) -> SqliteOperand:
        return cls(column, sa.func.typeof(column), column=column)

    @classmethod
    def of_attribute(cls, json: Element, name: str) -> SqliteOperand:
        path = sa.literal(f'$."{name}"', NULLTYPE)
        elements = sa.func.json_each(json, path).table_valued("value", "type")
        return cls(sa.func.json_extract(json, path), sa.func.json_type(json, path), array=elements)

    def exists(self) -> Element:
        return self._column.is_not(None) if self._column is not None else self._type != "null"

    def equal(self, kind: Sense, values: Sequence[Any]) -> Element:
        found = super().equal(kind, values)
        if self._column is None or kind is not Sense.TEXT or any(value.lstrip("-").isdigit() for value in values):
            return found
        # For an index of the column; what is found by it is looked at again.
        return sa.and_(self._column.in_([self.literal(kind, value) for value in values]), found)

    def begins(self, text: str) -> Element:
        return sa.func.substr(self.reading(Sense.TEXT), 1, len(text)) == self.literal(Sense.TEXT, text)

    def contains(self, text: str) -> Element:
        literal = self.literal(Sense.TEXT, text)
        found: Element = sa.func.instr(self.reading(Sense.TEXT), literal) > 0
        if self._array is None:
            return found
        element = _text(self._array.c.value, self._array.c.type)
        has = sa.exists(sa.select(sa.literal_column("1")).select_from(self._array).where(element == literal))
        return sa.case((self._type == "array", has), else_=found)

    def reading(self, kind: Sense) -> Element:
        value, type_ = self._value, self._type
        match kind:
            case Sense.TEXT:
                return _text(value, type_)
            case Sense.NUMBER:
                return _number(value, type_)
            case Sense.TRUTH:
                return sa.case(
                    (type_ == "true", sa.literal_column("1")),
                    (type_ == "false", sa.literal_column("0")),
                    (sa.and_(type_.in_(["integer", "real"]), value.in_([0, 1])), value),
                    (sa.and_(type_ == "text", value == "true"), sa.literal_column("1")),
                    (sa.and_(type_ == "text", value == "false"), sa.literal_column("0")),
                )
            case Sense.VERSION:
                return _version(_text(value, type_))
            case Sense.MOMENT:
                number = _number(value, type_)
                seconds = sa.case((number >= MILLISECONDS_FROM, number / 1000.0), else_=number)
                return sa.case((type_ == "text", sa.func.coalesce(_moment(value), seconds)), else_=seconds)


def _text(value: Element, type_: Element) -> Element:
    return sa.case(
        (type_ == "text", value),
        (type_ == "integer", sa.cast(value, sa.Text)),
        (type_.in_(["true", "false"]), type_),
    )


def _number(value: Element, type_: Element) -> Element:
    digits = sa.case((sa.func.substr(value, 1, 1) == "-", sa.func.substr(value, 2)), else_=value)
    is_number = sa.and_(
        _is_not_like(digits, "*[^0-9.]*"),
        _is_like(digits, "[0-9]*"),
        _is_like(digits, "*[0-9]"),
        _is_not_like(digits, "*.*.*"),
        sa.func.length(digits) <= LONGEST_NUMBER,
    )
    return sa.case(
        (type_.in_(["integer", "real"]), value),
        (sa.and_(type_ == "text", is_number), sa.cast(value, sa.REAL)),
    )


def _version(text: Element) -> Element:
    """As `sql.padded`."""
    bare = sa.case((sa.func.substr(text, 1, 1).in_(["v", "V"]), sa.func.substr(text, 2)), else_=text)
    behind = sa.func.ltrim(bare, "0123456789.")
    numbers = sa.func.substr(bare, 1, sa.func.length(bare) - sa.func.length(behind))
    dots = sa.func.length(numbers) - sa.func.length(sa.func.replace(numbers, ".", ""))
    is_version = sa.and_(
        _is_like(numbers, "[0-9]*"),
        _is_like(numbers, "*[0-9]"),
        _is_not_like(numbers, "*..*"),
        _is_not_like(numbers, f"*{'[0-9]' * (LONGEST_PART + 1)}*"),
        dots < MOST_PARTS,
        sa.or_(behind == "", sa.func.substr(behind, 1, 1).in_(["-", "+", " ", "("])),
    )
    parts = sa.func.printf('["%s"]', sa.func.replace(numbers, ".", '","'))  # as JSON: SQLite splits no text
    columns = [
        sa.cast(sa.func.json_extract(parts, sa.literal_column(f"'$[{number}]'")), sa.Integer)
        for number in range(MOST_PARTS)
    ]
    return sa.case((is_version, sa.func.printf(f"%0{LONGEST_PART}d" * MOST_PARTS, *columns)))


def _moment(text: Element) -> Element:
    """Epoch seconds of an ISO text; NULL where it is none."""
    day = sa.func.substr(text, 1, 10)
    has_seconds = sa.func.substr(text, 17, 1) == ":"
    behind = sa.func.substr(text, 20)
    # Without the fraction: SQLite rounds it to milliseconds.
    exact = sa.func.substr(text, 1, 19).concat(sa.func.ltrim(behind, ".0123456789"))
    fraction = sa.cast(sa.literal("0", NULLTYPE).concat(sa.func.substr(text, 20, 7)), sa.REAL)
    clock = sa.func.substr(text, 12)
    is_moment = sa.and_(
        sa.or_(
            _is_like(text, _DAY),
            sa.and_(
                _is_like(text, _DAY + _CLOCK),
                _is_not_like(clock, "*[^0-9:.+Z-]*"),
                sa.func.substr(clock, 1, 2) != "24",
            ),
        ),
        sa.func.date(day, "+0 days") == day,  # SQLite takes the 30th of February, and knows better only once it counts
        text >= "0001",
        sa.func.strftime("%s", text).is_not(None),
    )
    seconds = sa.case(
        (has_seconds, sa.cast(sa.func.strftime("%s", exact), sa.Integer) + fraction),
        else_=sa.cast(sa.func.strftime("%s", text), sa.Integer),
    )
    return sa.case((is_moment, seconds))


def _is_like(text: Element, pattern: str) -> Element:
    return text.op("GLOB", is_comparison=True)(sa.literal(pattern, NULLTYPE))


def _is_not_like(text: Element, pattern: str) -> Element:
    return text.op("NOT GLOB", is_comparison=True)(sa.literal(pattern, NULLTYPE))
