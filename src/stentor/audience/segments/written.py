"""Writes a tree as people do: one line, with no more brackets than it needs. `text.read` reads it as the same tree."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal

from stentor.audience.segments.tokens import is_bare_name, is_bare_text, quoted, written_duration
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
)


def written(tree: Tree) -> str:
    """The text of a tree that was checked."""
    if isinstance(tree, Every):
        return " and ".join(f"({written(part)})" if isinstance(part, Some) else written(part) for part in tree.of)
    if isinstance(tree, Some):
        return " or ".join(map(written, tree.of))
    if isinstance(tree, Not):
        if isinstance(tree.of, Exists):
            return f"{_name(tree.of.name)} not exists"
        return f"not ({written(tree.of)})"
    return _leaf(tree)


def _leaf(leaf: Leaf) -> str:
    name = _name(leaf.name)
    match leaf:
        case Compare(_, sign, value):
            return f"{name} {sign} {written_value(value)}"
        case Among(_, values, wanted):
            return f"{name} {'in' if wanted else 'not in'} [{', '.join(map(written_value, values))}]"
        case Begins(_, text):
            return f"{name} starts with {written_value(text)}"
        case Contains(_, text):
            return f"{name} contains {written_value(text)}"
        case Exists():
            return f"{name} exists"


def _name(name: str) -> str:
    return name if is_bare_name(name) else quoted(name)


def written_value(value: Value) -> str:
    if isinstance(value, str):
        return value if is_bare_text(value) else quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, Version):
        return f"v{value.text}"
    if isinstance(value, Now):
        if not value.seconds:
            return "now"
        return f"now {'-' if value.seconds < 0 else '+'} {written_duration(abs(value.seconds))}"
    return written_moment(value)


def written_moment(value: Instant) -> str:
    at = value.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return at.removesuffix("T00:00:00Z")
