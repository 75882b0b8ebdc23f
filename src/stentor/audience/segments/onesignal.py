"""Imports OneSignal's filter lists: `[{"field": "tag", "key": "level", "relation": ">", "value": "10"}, ...]`.

Filters in a row must all hold, and an `OR` between them begins another row. A tag is an attribute of its key's name.
The other fields are columns or attributes of the same name, unless `names` says otherwise. As there, `!=` also holds
if there is no value, and `last_session > 24` means more than 24 hours ago.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from stentor.audience.segments.tokens import whole
from stentor.audience.segments.tree import (
    Among,
    Compare,
    Exists,
    Not,
    Now,
    Sign,
    Tree,
    Value,
    Version,
    check,
    every,
    some,
)
from stentor.errors import InvalidSegment

MOST = 200
"""Entries of a list; OneSignal takes no more."""

_ORDER: Mapping[str, Sign] = {">": ">", "<": "<", "=": "=", "!=": "!="}
_LISTS = ("in_array", "not_in_array")
_ELAPSED = ("time_elapsed_gt", "time_elapsed_lt")
_RELATIONS: Mapping[str, tuple[str, ...]] = {
    "last_session": (">", "<"),
    "first_session": (">", "<"),
    "session_count": (">", "<", "=", "!="),
    "session_time": (">", "<", "=", "!="),
    "amount_spent": (">", "<", "="),
    "bought_sku": (">", "<", "="),
    "tag": (">", "<", "=", "!=", "exists", "not_exists", *_ELAPSED, *_LISTS),
    "language": ("=", "!=", *_LISTS),
    "app_version": (">", "<", "=", "!="),
    "country": ("=", "!=", *_LISTS),
    "email": ("=",),
}
"""Field -> the relations that it takes."""
_TEXTS = ("language", "country", "email")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)


def read(found: object, names: Mapping[str, str] | None = None) -> Tree:
    """The tree of a list of filters.

    Args:
        names: field, or `tag.KEY` -> the column or attribute that has it here.

    Raises:
        InvalidSegment: an entry cannot be said as a segment. The message has its number, counted from 0, and why.
    """
    if not isinstance(found, list) or not found:
        raise InvalidSegment("is not a list of OneSignal's filters")
    if len(found) > MOST:
        raise InvalidSegment(f"has {len(found)} filters; OneSignal takes {MOST}")
    rows: list[list[Tree]] = [[]]
    joined = True  # whether nothing stands before the next filter that it must be joined with
    for number, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise _wrong(number, "is not an object")
        if "operator" in entry and "field" not in entry:
            joined = _join(entry["operator"], rows, number, is_first=joined)
            continue
        rows[-1].append(_filter(entry, number, names or {}))
        joined = False
    if joined:
        raise _wrong(len(found) - 1, "is an operator with no filter behind it")
    return check(some([every(row) for row in rows]))


def _join(operator: object, rows: list[list[Tree]], number: int, *, is_first: bool) -> bool:
    said = operator.upper() if isinstance(operator, str) else ""
    if said not in ("AND", "OR"):
        raise _wrong(number, "operator: it is AND or OR")
    if is_first:
        raise _wrong(number, "is an operator with no filter before it")
    if said == "OR":
        rows.append([])
    return True


def _filter(entry: Mapping[str, Any], number: int, names: Mapping[str, str]) -> Tree:
    field = entry.get("field")
    if field == "location":
        raise _wrong(
            number, "`location` asks for a place on the map, which a segment cannot; use a column such as `city`"
        )
    if not isinstance(field, str) or field not in _RELATIONS:
        raise _wrong(number, f"field: {str(field)[:40]!r} is not known; there are {', '.join(_RELATIONS)}")
    relation = entry.get("relation", "=" if field == "email" else None)
    if relation not in _RELATIONS[field]:
        raise _wrong(number, f"relation: `{field}` takes {', '.join(_RELATIONS[field])}, not {str(relation)[:40]!r}")
    name = _name(entry, field, number, names)
    if field in ("last_session", "first_session"):
        return _ago(name, relation, _number(entry, "hours_ago", number) * 3600, number)
    if relation in _ELAPSED:
        return _ago(name, ">" if relation == "time_elapsed_gt" else "<", _number(entry, "value", number), number)
    if relation in ("exists", "not_exists"):
        return Exists(name) if relation == "exists" else Not(Exists(name))
    if relation in _LISTS:
        values = tuple(each.strip() for each in _text(entry, number).split(","))
        among = Among(name, values)
        return among if relation == "in_array" else Not(among)
    value = _value(entry, field, relation, number)
    return Not(Compare(name, "=", value)) if relation == "!=" else Compare(name, _ORDER[relation], value)


def _name(entry: Mapping[str, Any], field: str, number: int, names: Mapping[str, str]) -> str:
    if field not in ("tag", "bought_sku"):
        return names.get(field, field)
    key = entry.get("key")
    if not isinstance(key, str) or not key:
        raise _wrong(number, f"key: `{field}` needs one")
    full = f"{field}.{key}"
    return names.get(full, key if field == "tag" else full)


def _ago(name: str, relation: str, seconds: float, number: int) -> Tree:
    """That a moment lies more (`>`) or less (`<`) than so many seconds back."""
    if seconds < 0:
        raise _wrong(number, "the time is below zero")
    return Compare(name, "<" if relation == ">" else ">", Now(-round(seconds)))


def _value(entry: Mapping[str, Any], field: str, relation: str, number: int) -> Value:
    if field in _TEXTS:
        return _text(entry, number)
    if field == "app_version":
        return Version(_text(entry, number).removeprefix("v"))
    if field == "tag":  # all tags are texts; of these only > and < look at numbers
        return _text(entry, number) if relation in ("=", "!=") else _number(entry, "value", number)
    return _number(entry, "value", number)


def _text(entry: Mapping[str, Any], number: int) -> str:
    value = entry.get("value")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong(number, "value: a text is needed")
    return str(value)


def _number(entry: Mapping[str, Any], key: str, number: int) -> int | float:
    value = entry.get(key)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(number, f"{key}: a number is needed")
    return whole(float(value)) if abs(value) < 1e15 else value


def _wrong(number: int, problem: str) -> InvalidSegment:
    return InvalidSegment(f"filter {number}: {problem}")
