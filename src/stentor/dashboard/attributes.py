"""Attributes of an installation as lines that people can read and change: `plan = pro`.

A value is a number, true, false, a list or an object if it is written as JSON has it, and else a text. What would be
read otherwise is written in quotes, so that reading gives back just what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stentor.errors import InvalidInput

FIELD = "attributes"


def to_lines(attributes: Mapping[str, Any]) -> str:
    """An attribute a line, in the order of their names."""
    return "\n".join(f"{_name(name)} = {_value(value)}" for name, value in sorted(attributes.items()))


def from_lines(text: str) -> dict[str, Any]:
    """Raises: InvalidInput: a line is no attribute, or a name is there twice."""
    found: dict[str, Any] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, value = _read(number, line.strip())
        if name in found:
            raise InvalidInput(FIELD, f"line {number}: {name!r} is there twice; keep one of them")
        found[name] = value
    return found


def _read(number: int, line: str) -> tuple[str, Any]:
    wrong = InvalidInput(FIELD, f"line {number}: write a name, =, and a value: plan = pro")
    if not line.startswith('"'):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise wrong
        return name.strip(), _meant(value.strip())
    for end in (at for at, letter in enumerate(line) if letter == "="):
        try:
            return msgspec.json.decode(line[:end], type=str), _meant(line[end + 1 :].strip())
        except msgspec.DecodeError:
            continue
    raise wrong


def _meant(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _name(name: str) -> str:
    plain = name and name == name.strip() and not name.startswith('"') and "=" not in name and name.isprintable()
    return name if plain else _json(name)


def _value(value: Any) -> str:
    if not isinstance(value, str):
        return _json(value)
    plain = value and value == value.strip() and value.isprintable() and _meant(value) is value
    return value if plain else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
