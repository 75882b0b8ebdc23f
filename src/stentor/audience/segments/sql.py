"""Compiles a tree to one condition of SQLAlchemy's, with every value a parameter. Pure.

A comparison in SQL has three results, a segment's has two. Rules: in a condition that isn't negated NULL may stand for
false, as WHERE takes both alike and AND and OR keep it so; below each `not` the whole becomes true or false first.
What an engine knows of columns is in `sqlite`, `postgresql` and `mysql`. Tests compare their rows with `evaluate`'s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import ge, gt, le, lt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import NULLTYPE

from stentor.audience.segments.tree import (
    LONGEST_PART,
    MOST_PARTS,
    Among,
    Begins,
    Compare,
    Contains,
    Every,
    Exists,
    Leaf,
    Not,
    Some,
    Tree,
    Value,
    Version,
    moment_of,
)

Element = sa.ColumnElement[Any]


class Sense(StrEnum):
    """What a column is compared with."""

    TEXT = "a text"
    NUMBER = "a number"
    TRUTH = "true or false"
    VERSION = "a version"
    MOMENT = "a moment"


class Type(StrEnum):
    """What a column holds, in an engine where it says so."""

    TEXT = "texts"
    LIKE_TEXT = "what is read as texts"
    """Of its own type (an enumeration, a UUID), or compared in its own way."""
    INTEGER = "whole numbers"
    NUMERIC = "numbers"
    FLOAT = "floating-point numbers"
    BOOLEAN = "true and false"
    ZONED = "times with a zone"
    TIME = "times"
    DATE = "days"
    OTHER = "values of another kind"


class Mismatch(ValueError):
    """A column's type can never be read as what it is compared with. The message says why, and what to do."""


_ORDER: Mapping[str, Callable[[Any, Any], Element]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


class Operand(ABC):
    """A column or attribute, as an engine reads it. Every condition may be NULL in place of false."""

    @abstractmethod
    def reading(self, kind: Sense) -> Element:
        """Its value as one of a kind; NULL where it cannot be read so. `readings` is what that means.

        Raises:
            Mismatch: no value of this column ever can.
        """

    @abstractmethod
    def exists(self) -> Element: ...

    @abstractmethod
    def begins(self, text: str) -> Element: ...

    @abstractmethod
    def contains(self, text: str) -> Element: ...

    def literal(self, kind: Sense, value: Any) -> Element:
        """A value of a kind (text, number, bool, version's numbers, epoch seconds) as a parameter."""
        return sa.literal(padded(value) if kind is Sense.VERSION else value, NULLTYPE)

    def equal(self, kind: Sense, values: Sequence[Any]) -> Element:
        """That it is one of these values, all of one kind."""
        literals = [self.literal(kind, value) for value in values]
        reading = self.reading(kind)
        return reading == literals[0] if len(literals) == 1 else reading.in_(literals)

    def is_exactly(self, kind: Sense) -> bool:
        """Whether every value that there is can be read so."""
        return False

    def differs(self, kind: Sense, value: Any) -> Element:
        """That there is a value, and it is another one."""
        if self.is_exactly(kind):
            return self.reading(kind) != self.literal(kind, value)
        return sa.and_(self.exists(), negated(self.equal(kind, [value])))

    def ordered(self, kind: Sense, sign: str, value: Any) -> Element:
        """That it is above or below a value."""
        return _ORDER[sign](self.reading(kind), self.literal(kind, value))


def padded(parts: Sequence[int]) -> str:
    """A version as a text that sorts as the version does."""
    return "".join(f"{part:0{LONGEST_PART}d}" for part in (*parts, *[0] * (MOST_PARTS - len(parts))))


def compiled(tree: Tree, operand: Callable[[str], Operand], now: float) -> Element:
    """The condition that a row is in the segment. It may be NULL in place of false.

    Args:
        operand: gives the column or attribute of a name.
        now: epoch seconds, for moments that are relative.

    Raises:
        Mismatch: a column can never be what it is compared with. The message names it.
        Whatever `operand` raises.
    """
    if isinstance(tree, Every):
        return sa.and_(sa.true(), *(compiled(part, operand, now) for part in tree.of))
    if isinstance(tree, Some):
        return sa.or_(sa.false(), *(compiled(part, operand, now) for part in tree.of))
    if isinstance(tree, Not):
        return negated(compiled(tree.of, operand, now))
    try:
        return _leaf(tree, operand(tree.name), now)
    except Mismatch as why:
        raise Mismatch(f"{tree.name} {why}") from None


def negated(condition: Element) -> Element:
    """Its opposite, where NULL is false."""
    opposite: Element = sa.case((condition, sa.literal_column("0")), else_=sa.literal_column("1")) == sa.literal_column(
        "1"
    )
    return opposite


def _leaf(leaf: Leaf, operand: Operand, now: float) -> Element:
    match leaf:
        case Compare(_, "=", value):
            return _among(operand, [value], now)
        case Compare(_, "!=", value):
            return operand.differs(*_native(value, now))
        case Compare(_, sign, value):
            kind, said = _native(value, now)
            return operand.ordered(kind, sign, said)
        case Among(_, values, wanted):
            found = _among(operand, values, now)
            return found if wanted else sa.and_(operand.exists(), negated(found))
        case Begins(_, text):
            return operand.begins(text)
        case Contains(_, text):
            return operand.contains(text)
        case Exists():
            return operand.exists()


def _among(operand: Operand, values: Sequence[Value], now: float) -> Element:
    """That it is one of the values."""
    kinds: dict[Sense, list[Any]] = {}
    for value in values:
        kind, said = _native(value, now)
        kinds.setdefault(kind, []).append(said)
    found = [operand.equal(kind, said) for kind, said in kinds.items()]
    return found[0] if len(found) == 1 else sa.or_(*found)


def _native(value: Value, now: float) -> tuple[Sense, Any]:
    if isinstance(value, str):
        return Sense.TEXT, value
    if isinstance(value, bool):
        return Sense.TRUTH, value
    if isinstance(value, int | float):
        return Sense.NUMBER, value
    if isinstance(value, Version):
        return Sense.VERSION, value.parts
    return Sense.MOMENT, moment_of(value, now)
