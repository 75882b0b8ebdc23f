"""Segments as JSON, in the words of MongoDB and Parse: `{"country": {"$in": ["DE", "AT"]}}`.

What people bring keeps its meaning. In MongoDB and Parse `$ne` and `$nin` also find what has no such field, so that
`{"plan": {"$ne": "pro"}}` is read as `plan not exists or plan != pro`. Our `!=`, for which there must be a value, is
`{"plan": {"$exists": true, "$ne": "pro"}}`, which means the same there. A field that is null is missing.

Values: texts, numbers, true and false as in JSON. A moment is Parse's `{"__type": "Date", "iso": "2026-11-01"}` or
MongoDB's `{"$date": "2026-11-01T00:00:00Z"}`. One relative to now is Parse's `{"$relativeTime": "7 days ago"}`. A
version, which neither knows, is `{"$version": "5.2"}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stentor.audience.segments.tokens import whole
from stentor.audience.segments.tree import (
    DEEPEST,
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
    Sign,
    Some,
    Tree,
    Value,
    Version,
    check,
    every,
    some,
)
from stentor.audience.segments.written import written_moment
from stentor.errors import InvalidSegment

_SIGNS: Mapping[str, Sign] = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_WORDS: Mapping[Sign, str] = {sign: word for word, sign in _SIGNS.items()}
_OPERATORS = (*_SIGNS, "$ne", "$in", "$nin", "$exists", "$regex", "$not")
_ELSEWHERE = {
    "$select": "a segment cannot ask other classes",
    "$dontSelect": "a segment cannot ask other classes",
    "$inQuery": "a segment cannot ask other classes",
    "$notInQuery": "a segment cannot ask other classes",
    "$all": "write a condition for each element, joined with `$and`",
    "$containedBy": "a segment cannot look at all elements of a list",
    "$elemMatch": "a segment cannot look into the elements of a list",
    "$size": "a segment cannot count the elements of a list",
    "$where": "a segment runs no code",
    "$expr": "a segment computes nothing",
    "$type": "a segment asks for values, not for types",
    "$text": "a segment cannot search in texts; use a `$regex` that begins with `^`",
    "$options": "upper and lower case differ, and a `$regex` has no options",
    **dict.fromkeys(
        ("$near", "$nearSphere", "$within", "$geoWithin", "$geoIntersects", "$centerSphere", "$maxDistance"),
        "a segment knows no places",
    ),
}
"""What MongoDB and Parse have beside, and why it isn't here."""
_SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_RELATIVE = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 604_800,
    "year": 31_536_000,
    "sec": 1,
    "min": 60,
    "hr": 3600,
    "wk": 604_800,
    "yr": 31_536_000,
}
_AMOUNT = re.compile(rf"([0-9]{{1,10}}) ({'|'.join(_RELATIVE)})s?", re.ASCII)
_RELATIVE_TIME = re.compile(
    rf"(?P<ahead>in )?(?P<amounts>{_AMOUNT.pattern}(?: {_AMOUNT.pattern})*)(?P<past> ago)?", re.ASCII
)


# -- reading ----------------------------------------------------------------------------------------------------------


def read(found: object) -> Tree:
    """The tree of a JSON value.

    Raises:
        InvalidSegment: it isn't one, or asks for what a segment cannot say. The message names the place.
    """
    return check(_tree(found, "", 0))


def _tree(found: object, place: str, depth: int) -> Tree:
    if depth > DEEPEST:
        raise InvalidSegment(f"has conditions more than {DEEPEST} deep in one another")
    if not isinstance(found, dict):
        raise _wrong(place, 'is not an object such as {"country": "DE"}')
    if not found:
        raise _wrong(place, "is empty; leave the segment out to select everybody")
    return every([_member(key, value, f"{place}.{key}".lstrip("."), depth) for key, value in found.items()])


def _member(key: object, value: object, place: str, depth: int) -> Tree:
    if not isinstance(key, str):
        raise _wrong(place, "is not a name")
    if key in ("$and", "$or", "$nor"):
        if not isinstance(value, list) or not value:
            raise _wrong(place, "is not a list of conditions")
        parts = [_tree(part, f"{place}[{number}]", depth + 1) for number, part in enumerate(value)]
        return every(parts) if key == "$and" else some(parts) if key == "$or" else Not(some(parts))
    if key.startswith("$"):
        raise _wrong(place, _refusal(key, ("$and", "$or", "$nor")))
    if isinstance(value, dict) and any(str(word).startswith("$") for word in value) and not set(value) <= _VALUE_WORDS:
        return _operators(key, value, place, depth)
    return _equal(key, value, place)


def _operators(name: str, found: Mapping[str, object], place: str, depth: int) -> Tree:
    """The conditions on a field. With `$exists: true` beside them, `$ne` and `$nin` are ours."""
    if depth > DEEPEST:
        raise InvalidSegment(f"has conditions more than {DEEPEST} deep in one another")
    there = found.get("$exists") is True
    parts: list[Tree] = []
    for word, value in found.items():
        where = f"{place}.{word}"
        if word in _SIGNS:
            parts.append(_equal(name, value, where) if word == "$eq" else _compared(name, _SIGNS[word], value, where))
        elif word in ("$ne", "$nin"):
            differs = _differs(name, value, where) if word == "$ne" else _none_of(name, value, where)
            parts.append(differs if there or isinstance(differs, Exists) else some([Not(Exists(name)), differs]))
        elif word == "$in":
            parts.append(_one_of(name, value, where))
        elif word == "$exists":
            parts.append(_exists(name, value, where))
        elif word == "$regex":
            if "$options" in found and found["$options"] != "":
                raise _wrong(f"{place}.$options", _ELSEWHERE["$options"])
            parts.append(_regex(name, value, where))
        elif word == "$not":
            if not isinstance(value, dict):
                raise _wrong(where, 'is not an object such as {"$gt": 5}')
            parts.append(Not(_operators(name, value, where, depth + 1)))
        elif word != "$options" or "$regex" not in found:
            raise _wrong(where, _refusal(word, _OPERATORS))
    told = [part for part in parts if not (there and part == Exists(name) and _is_implied(parts))]
    return every(told)


def _is_implied(parts: Sequence[Tree]) -> bool:
    """Whether that there is a value is said by `!=` or `not in` already."""
    return any((isinstance(part, Compare) and part.sign == "!=") or _is_none_of(part) for part in parts)


def _is_none_of(part: Tree) -> bool:
    return isinstance(part, Among) and not part.wanted


def _equal(name: str, value: object, place: str) -> Tree:
    if value is None:
        return Not(Exists(name))
    return Compare(name, "=", _value(value, place))


def _differs(name: str, value: object, place: str) -> Tree:
    return Exists(name) if value is None else Compare(name, "!=", _value(value, place))


def _compared(name: str, sign: Sign, value: object, place: str) -> Tree:
    return Compare(name, sign, _value(value, place))


def _one_of(name: str, values: object, place: str) -> Tree:
    told, has_null = _values(values, place)
    parts: list[Tree] = [Not(Exists(name))] if has_null else []
    return some([*parts, Among(name, told)] if told else parts)


def _none_of(name: str, values: object, place: str) -> Tree:
    """For which there must be a value."""
    told, _ = _values(values, place)
    return Among(name, told, wanted=False) if told else Exists(name)


def _values(values: object, place: str) -> tuple[tuple[Value, ...], bool]:
    """The values of a list, and whether null is among them."""
    if not isinstance(values, list) or not values:
        raise _wrong(place, "is not a list of values")
    told = tuple(_value(value, f"{place}[{number}]") for number, value in enumerate(values) if value is not None)
    return told, len(told) < len(values)


def _exists(name: str, value: object, place: str) -> Tree:
    if not isinstance(value, bool):
        raise _wrong(place, "is neither true nor false")
    return Exists(name) if value else Not(Exists(name))


def _regex(name: str, pattern: object, place: str) -> Tree:
    if (
        isinstance(pattern, str) and pattern.startswith(("^\\Q", "\\Q")) and pattern.endswith("\\E")
    ):  # as Parse's SDKs write it
        said = pattern[3 if pattern[0] == "^" else 2 : -2]
        if "\\E" not in said and said:
            return Begins(name, said) if pattern[0] == "^" else Contains(name, said)
    elif isinstance(pattern, str):
        plain = _ESCAPED.sub("", pattern.removeprefix("^"))
        has_class = any(escape[1].isalnum() for escape in _ESCAPED.finditer(pattern))
        said = _ESCAPED.sub(r"\1", pattern.removeprefix("^"))
        if said and not _SPECIAL.search(plain) and not has_class:
            return Begins(name, said) if pattern.startswith("^") else Contains(name, said)
    raise _wrong(
        place,
        "is not supported; a pattern is `^` and a plain text for how a value begins, or a plain text that is in it",
    )


def _value(value: object, place: str) -> Value:
    if isinstance(value, float):
        return whole(value)
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, dict):
        for word, reading in _SPELT.items():
            if word in value:
                return reading(value, place)
    raise _wrong(place, "is not a text, number, true, false, or a date; a field is compared with one value")


def _date(value: Mapping[str, Any], place: str) -> Value:
    said = value["$date"] if "$date" in value else value.get("iso")
    if value.get("__type", "Date") != "Date" or not isinstance(said, str):
        raise _wrong(place, 'is not a date such as {"__type": "Date", "iso": "2026-11-01T00:00:00Z"}')
    try:
        at = datetime.fromisoformat(said)
        return Instant((at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError):
        raise _wrong(place, f"is not an ISO date: {said[:40]!r}") from None


def _version(value: Mapping[str, Any], place: str) -> Value:
    said = value["$version"]
    if not isinstance(said, str):
        raise _wrong(place, 'is not a version such as {"$version": "5.2"}')
    return Version(said.removeprefix("v"))


def _relative(value: Mapping[str, Any], place: str) -> Value:
    said = value["$relativeTime"]
    if said == "now":
        return Now(0)
    found = _RELATIVE_TIME.fullmatch(said[:200]) if isinstance(said, str) else None
    if found is None or bool(found["ahead"]) == bool(found["past"]):
        raise _wrong(place, "is not a time such as `7 days ago`, `in 2 hours` or `now`")
    seconds = sum(int(number) * _RELATIVE[unit] for number, unit in _AMOUNT.findall(found["amounts"]))
    return Now(-seconds if found["past"] else seconds)


_SPELT: Mapping[str, Callable[[Mapping[str, Any], str], Value]] = {
    "__type": _date,
    "$date": _date,
    "$version": _version,
    "$relativeTime": _relative,
}
_VALUE_WORDS = {*_SPELT, "iso"}


def _refusal(word: str, known: Sequence[str]) -> str:
    if word in _ELSEWHERE:
        return f"is not supported: {_ELSEWHERE[word]}"
    return f"is not known; there are {', '.join(known)}"


def _wrong(place: str, problem: str) -> InvalidSegment:
    return InvalidSegment(f"{place[:200]} {problem}" if place else problem)


# -- writing ----------------------------------------------------------------------------------------------------------


def written(tree: Tree) -> dict[str, Any]:
    """The JSON of a tree that was checked; `read` reads it as the same tree."""
    if isinstance(tree, Every | Some):
        return {"$and" if isinstance(tree, Every) else "$or": [written(part) for part in tree.of]}
    if isinstance(tree, Not):
        if isinstance(tree.of, Exists):
            return {tree.of.name: {"$exists": False}}
        return {"$nor": [written(tree.of)]}
    return {tree.name: _condition(tree)}


def _condition(leaf: Leaf) -> dict[str, Any]:
    match leaf:
        case Compare(_, "!=", value):
            return {"$exists": True, "$ne": _spelt(value)}
        case Compare(_, sign, value):
            return {_WORDS[sign]: _spelt(value)}
        case Among(_, values, wanted):
            spelt = list(map(_spelt, values))
            return {"$in": spelt} if wanted else {"$exists": True, "$nin": spelt}
        case Begins(_, text):
            return {"$regex": f"^{_plain(text)}"}
        case Contains(_, text):
            return {"$regex": _plain(text)}
        case Exists():
            return {"$exists": True}


def _plain(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def _spelt(value: Value) -> Any:
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Version):
        return {"$version": value.text}
    if isinstance(value, Instant):
        said = written_moment(value)
        return {"__type": "Date", "iso": said if "T" in said else f"{said}T00:00:00Z"}
    if not value.seconds:
        return {"$relativeTime": "now"}
    amounts = _amounts(abs(value.seconds))
    return {"$relativeTime": f"{amounts} ago" if value.seconds < 0 else f"in {amounts}"}


def _amounts(seconds: int) -> str:
    parts = []
    for unit in ("day", "hour", "minute", "second"):
        number, seconds = divmod(seconds, _RELATIVE[unit])
        if number:
            parts.append(f"{number} {unit}{'s' if number > 1 else ''}")
    return " ".join(parts)
