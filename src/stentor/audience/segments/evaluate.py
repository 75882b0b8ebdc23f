"""What a segment means: its tree against one row, in plain Python.

The compilers in `sql` give the same rows; the tests hold them to it. What is missing (a NULL, a JSON null, an attribute
that isn't there) fulfils no condition, `!=` and `not in` among them: these ask for a value that is there and differs.
`not` turns whatever is true or false around, so `not (plan = pro)` holds where the plan is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any

from stentor.audience.segments import readings
from stentor.audience.segments.tree import (
    Among,
    Begins,
    Compare,
    Contains,
    Every,
    Exists,
    Instant,
    Leaf,
    Not,
    Now,
    Some,
    Tree,
    Value,
    Version,
    moment_of,
)

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def holds(tree: Tree, row: Mapping[str, Any], now: float) -> bool:
    """Whether a row is in the segment.

    Args:
        row: name -> value; what isn't there, and None, is missing.
        now: epoch seconds, for moments that are relative.
    """
    if isinstance(tree, Every):
        return all(holds(part, row, now) for part in tree.of)
    if isinstance(tree, Some):
        return any(holds(part, row, now) for part in tree.of)
    if isinstance(tree, Not):
        return not holds(tree.of, row, now)
    value = row.get(tree.name)
    return value is not None and _says(tree, value, now)


def _says(leaf: Leaf, value: Any, now: float) -> bool:
    match leaf:
        case Compare(_, "=", wanted):
            return _equals(value, wanted, now)
        case Compare(_, "!=", wanted):
            return not _equals(value, wanted, now)
        case Compare(_, sign, wanted):
            said, compared = _pair(value, wanted, now)
            return said is not None and _ORDER[sign](said, compared)
        case Among(_, values, wanted):
            return _among(value, values, now) is wanted
        case Begins(_, text):
            said = readings.text(value)
            return said is not None and said.startswith(text)
        case Contains(_, text):
            found = readings.elements(value)
            if found is not None:
                return text in found
            said = readings.text(value)
            return said is not None and text in said
        case Exists():
            return True


def _among(value: Any, values: Sequence[Value], now: float) -> bool:
    return any(_equals(value, wanted, now) for wanted in values)


def _equals(value: Any, wanted: Value, now: float) -> bool:
    said, compared = _pair(value, wanted, now)
    return said is not None and bool(said == compared)


def _pair(value: Any, wanted: Value, now: float) -> tuple[Any, Any]:
    """A row's value read as what it is compared with, or None; and the latter."""
    if isinstance(wanted, str):
        return readings.text(value), wanted
    if isinstance(wanted, bool):
        return readings.truth(value), wanted
    if isinstance(wanted, int | float):
        said = readings.number(value)
        return said, Decimal(repr(wanted)) if isinstance(said, Decimal) else wanted
    if isinstance(wanted, Version):
        return readings.version(value), wanted.parts
    assert isinstance(wanted, Instant | Now)
    return readings.moment(value), moment_of(wanted, now)
