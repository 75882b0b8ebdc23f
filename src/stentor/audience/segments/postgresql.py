"""How PostgreSQL reads a column, by its type, or an attribute in a column of JSON as text. Pure.

A column of the type that it is compared with is compared as it stands, so that its indexes are of use. A cast stands
only behind a pattern that lets nothing through at which it would fail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from stentor.audience.segments.readings import LONGEST_NUMBER, MILLISECONDS_FROM
from stentor.audience.segments.sql import Element, Mismatch, Operand, Sense, Type
from stentor.audience.segments.tree import LONGEST_PART, MOST_PARTS

_WHOLE = "^-?[0-9]+$"
_NUMBER = rf"^-?(?=[0-9.]{{1,{LONGEST_NUMBER}}}$)[0-9]+(\.[0-9]+)?$"
_JSON_NUMBER = r"^-?[0-9]{1,100}(\.[0-9]{1,100})?([eE][+-]?[0-9]{1,2})?$"
_VERSION = rf"^[vV]?[0-9]{{1,{LONGEST_PART}}}(?:\.[0-9]{{1,{LONGEST_PART}}}){{0,{MOST_PARTS - 1}}}(?:$|[-+ (])"
_SHORT_VERSION = r"^[vV]?[0-9]+(?:\.[0-9]+)*(?:$|[-+ (])"
"""The same of a text that is too short for too large a number: it takes PostgreSQL a third of the time."""
_YEAR = "(?!0000)[0-9]{4}"
_LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    rf"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP}-02-29)"
)
_CLOCK = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?"
_ZONE = "(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_MOMENT = f"^{_DAY}({_CLOCK}{_ZONE}?)?$"

_TEXTUAL = (Type.TEXT, Type.LIKE_TEXT)
_NUMERIC = (Type.INTEGER, Type.NUMERIC, Type.FLOAT)
_TIMES = (Type.ZONED, Type.TIME, Type.DATE)
_READABLE = {
    Sense.TEXT: (*_TEXTUAL, Type.INTEGER, Type.BOOLEAN),
    Sense.NUMBER: (*_TEXTUAL, *_NUMERIC),
    Sense.TRUTH: (*_TEXTUAL, *_NUMERIC, Type.BOOLEAN),
    Sense.VERSION: (*_TEXTUAL, Type.INTEGER),
    Sense.MOMENT: (*_TEXTUAL, *_NUMERIC, *_TIMES),
}
_EXACT = {
    Sense.TEXT: (Type.TEXT,),
    Sense.NUMBER: (Type.NUMERIC, Type.FLOAT),
    Sense.TRUTH: (Type.BOOLEAN,),
    Sense.VERSION: (),
    Sense.MOMENT: _TIMES,
}
_ADVICE = {
    **dict.fromkeys(_TIMES, "compare it with a day such as 2026-11-01, or with now - 7d"),
    **dict.fromkeys((Type.NUMERIC, Type.FLOAT), "compare it with a number"),
    Type.INTEGER: "compare it with a number",
    Type.BOOLEAN: "compare it with true or false",
    Type.OTHER: "only `exists` can be asked of it",
}


class _PostgresqlOperand(Operand):
    """Compares versions as arrays of their numbers. [5, 2] is below [5, 2, 0] to PostgreSQL, and the same version: all
    that are this version lie between the shortest array and the longest."""

    def equal(self, kind: Sense, values: Sequence[Any]) -> Element:
        if kind is not Sense.VERSION:
            return super().equal(kind, values)
        reading = self.reading(kind)
        return sa.or_(sa.false(), *(reading.between(_numbers(each), _longest(each)) for each in values))

    def ordered(self, kind: Sense, sign: str, value: Any) -> Element:
        if kind is Sense.VERSION and sign in (">", "<="):
            reading, longest = self.reading(kind), _longest(value)
            return reading > longest if sign == ">" else reading <= longest
        return super().ordered(kind, sign, value)


class PostgresqlColumn(_PostgresqlOperand):
    """A column whose type is known."""

    def __init__(self, column: Element, type_: Type) -> None:
        self._column = column
        self._type = type_

    def exists(self) -> Element:
        return self._column.is_not(None)

    def literal(self, kind: Sense, value: Any) -> Element:
        if kind is Sense.NUMBER and self._type in (Type.INTEGER, Type.NUMERIC):
            is_whole = isinstance(value, int)
            return sa.literal(value, sa.BigInteger) if is_whole else sa.literal(Decimal(repr(value)), sa.Numeric)
        if kind is Sense.MOMENT and self._type in _TIMES:
            at = datetime.fromtimestamp(value, UTC)
            if self._type is Type.ZONED:
                return sa.literal(at, sa.DateTime(timezone=True))
            return sa.literal(at.replace(tzinfo=None), sa.DateTime)
        return _literal(kind, value)

    def equal(self, kind: Sense, values: Sequence[Any]) -> Element:
        if self._type is Type.INTEGER and kind in (Sense.TEXT, Sense.NUMBER):
            return self._among([number for value in values if (number := _whole(value)) is not None])
        return super().equal(kind, values)

    def is_exactly(self, kind: Sense) -> bool:
        return self._type in _EXACT[kind]

    def _among(self, numbers: Sequence[int]) -> Element:
        return self._column.in_([sa.literal(number, sa.BigInteger) for number in numbers]) if numbers else sa.false()

    def ordered(self, kind: Sense, sign: str, value: Any) -> Element:
        found = super().ordered(kind, sign, value)
        if self._type in (Type.FLOAT, Type.NUMERIC):  # for PostgreSQL NaN is above all numbers
            return sa.and_(found, self._column != sa.literal_column("'NaN'"))
        return found

    def begins(self, text: str) -> Element:
        return self.reading(Sense.TEXT).startswith(text, autoescape=True)

    def contains(self, text: str) -> Element:
        return sa.func.strpos(self.reading(Sense.TEXT), _literal(Sense.TEXT, text)) > 0

    def reading(self, kind: Sense) -> Element:
        column, type_ = self._column, self._type
        if type_ not in _READABLE[kind]:
            raise Mismatch(f"holds {type_}, which are never {kind}; {_ADVICE[type_]}")
        if kind is Sense.TEXT:
            return column if type_ is Type.TEXT else sa.cast(column, sa.Text)
        if kind is Sense.VERSION:
            return _version(sa.cast(column, sa.Text))
        if type_ in _TEXTUAL:
            return _of_text(kind, sa.cast(column, sa.Text) if type_ is Type.LIKE_TEXT else column)
        if kind is Sense.TRUTH and type_ in _NUMERIC:
            return sa.case((column == 1, sa.true()), (column == 0, sa.false()))
        return _seconds(column) if kind is Sense.MOMENT and type_ in _NUMERIC else column


class PostgresqlAttribute(_PostgresqlOperand):
    """An attribute of a JSON object in a column of text."""

    def __init__(self, json: Element, name: str) -> None:
        without = sa.func.replace(json, r"\u0000", r"\ufffd")  # text with a NUL is given out by no function
        self._json = sa.cast(without, sa.JSON)[name]
        self._type = sa.func.json_typeof(self._json)
        self._text: Element = sa.cast(without, sa.JSON)[name].as_string()

    def exists(self) -> Element:
        return self._text.is_not(None)

    def literal(self, kind: Sense, value: Any) -> Element:
        return _literal(kind, value)

    def equal(self, kind: Sense, values: Sequence[Any]) -> Element:
        if kind is Sense.TEXT and not any(map(_is_like_other_json, values)):  # then only such a text can say that
            return self._text.in_([_literal(kind, value) for value in values])
        return super().equal(kind, values)

    def begins(self, text: str) -> Element:
        return self.reading(Sense.TEXT).startswith(text, autoescape=True)

    def contains(self, text: str) -> Element:
        literal = _literal(Sense.TEXT, text)
        array = sa.case((self._type == "array", self._json))
        element = sa.func.json_array_elements(array).table_valued(sa.column("value", sa.JSON), name="element")
        said = _json_text(
            element.c.value.op("#>>", return_type=sa.Text())(sa.literal_column("'{}'")),
            sa.func.json_typeof(element.c.value),
        )
        has = sa.exists(sa.select(sa.literal_column("1")).select_from(element).where(said == literal))
        return sa.case((self._type == "array", has), else_=sa.func.strpos(self.reading(Sense.TEXT), literal) > 0)

    def reading(self, kind: Sense) -> Element:
        text, type_ = self._text, self._type
        number = sa.case((sa.and_(type_ == "number", _is_like(text, _JSON_NUMBER)), sa.cast(text, sa.Double)))
        match kind:
            case Sense.TEXT:
                return _json_text(text, type_)
            case Sense.VERSION:
                return _version(_json_text(text, type_))
            case Sense.TRUTH:
                return sa.case(
                    (sa.and_(type_.in_(["boolean", "string"]), text.in_(["true", "false"])), text == "true"),
                    (number == 1, sa.true()),
                    (number == 0, sa.false()),
                )
            case Sense.NUMBER:
                return sa.case((type_ == "string", _of_text(kind, text)), else_=number)
            case Sense.MOMENT:
                return sa.case((type_ == "string", _of_text(kind, text)), else_=_seconds(number))


def _json_text(text: Element, type_: Element) -> Element:
    return sa.case((type_.in_(["string", "boolean"]), text), (sa.and_(type_ == "number", _is_like(text, _WHOLE)), text))


def _is_like_other_json(value: str) -> bool:
    """Whether a list, an object or a broken number in JSON may be written as this text is."""
    return value[:1] in ("{", "[") or (value[:1] in "-0123456789" and not re.fullmatch(_WHOLE, value))


def _of_text(kind: Sense, text: Element) -> Element:
    """A text as a number, as true or false, or as a moment."""
    if kind is Sense.TRUTH:
        return sa.case((text == "true", sa.true()), (text == "false", sa.false()))
    number = sa.case((_is_like(text, _NUMBER), sa.cast(text, sa.Double)))
    if kind is Sense.NUMBER:
        return number
    exact = sa.func.regexp_replace(text, r"(\.[0-9]{6})[0-9]+", r"\1")
    zoned = sa.case(
        (sa.func.length(text) == 10, exact.concat("T00:00Z")),
        (_is_like(text, f"{_ZONE}$"), exact),
        else_=exact.concat("Z"),
    )
    at = sa.cast(sa.extract("epoch", sa.cast(zoned, sa.DateTime(timezone=True))), sa.Double)
    return sa.case((_is_like(text, _MOMENT), at), else_=_seconds(number))


def _seconds(number: Element) -> Element:
    """A number of seconds or milliseconds since 1970, as seconds."""
    double = sa.cast(number, sa.Double)
    return sa.case(
        (double >= sa.literal(MILLISECONDS_FROM, sa.Double), double / sa.literal(1000.0, sa.Double)), else_=double
    )


def _version(text: Element) -> Element:
    """Its numbers as an array, which PostgreSQL orders as versions are."""
    numbers = sa.func.ltrim(text, "vV")
    for behind in ("-", "+", " ", "("):
        numbers = sa.func.split_part(numbers, behind, 1)
    is_short = sa.and_(
        sa.func.length(text) <= LONGEST_PART,
        sa.func.split_part(text, ".", MOST_PARTS + 1) == "",
        _is_like(text, _SHORT_VERSION),
    )
    parts = sa.cast(sa.func.string_to_array(numbers, "."), ARRAY(sa.BigInteger))
    return sa.case((is_short, parts), (_is_like(text, _VERSION), parts))


def _numbers(parts: Sequence[int]) -> Element:
    """A version as the shortest array that is this version."""
    return sa.literal(list(parts), ARRAY(sa.BigInteger))


def _longest(parts: Sequence[int]) -> Element:
    return _numbers([*parts, *[0] * (MOST_PARTS - len(parts))])


def _literal(kind: Sense, value: Any) -> Element:
    match kind:
        case Sense.TEXT:
            return sa.literal(value, sa.Text)
        case Sense.TRUTH:
            return sa.literal(value, sa.Boolean)
        case Sense.VERSION:
            return _numbers(value)
        case _:
            return sa.literal(float(value), sa.Double)


def _is_like(text: Element, pattern: str) -> Element:
    return text.op("~", is_comparison=True)(sa.literal(pattern, sa.Text))


def _whole(value: str | int | float) -> int | None:
    """A whole number that a column of these may hold, by its digits."""
    if isinstance(value, int):
        return value
    if isinstance(value, float) or not re.fullmatch(r"-?[1-9][0-9]{0,18}|0", value, re.ASCII):
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None
