"""The expression tree of a segment, and what its values mean. Pure.

Rules: a tree is checked when it comes from outside (`check`), so that whatever compiles or evaluates it meets only what
is listed here. Trees are canonical: `every` and `some` put no conjunction right into a conjunction, and no disjunction
right into a disjunction, so that one meaning written by people, by programs, and read again is one tree.

What a comparison means is said once, in `evaluate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec

from stentor.errors import InvalidSegment
from stentor.store.text import UNSTORABLE

DEEPEST = 20
"""Conditions inside one another, at most."""
MOST_NODES = 500
"""Conditions of one segment, at most."""
MOST_VALUES = 5000
"""Values of all lists of a segment together, at most."""
LONGEST_TEXT = 1000
"""Characters of a value."""
LONGEST_NAME = 200
"""Characters of a column's or attribute's name."""
MOST_CHARACTERS = 300_000
"""Characters of all names and texts of a segment together."""
MOST_DIGITS = 15
"""Significant digits of a number: as many as every engine keeps exactly."""
LARGEST = 10**15
MOST_PARTS = 6
"""Numbers that a version is made of."""
LONGEST_PART = 18
"""Digits of each."""
FURTHEST = 100 * 366 * 86_400
"""Seconds between now and a moment that is told relative to it."""

_NAME = re.compile(r"(?!\$)[^\"\\\x00-\x1f\x7f]+")
_VERSION = re.compile(rf"[0-9]{{1,{LONGEST_PART}}}(?:\.[0-9]{{1,{LONGEST_PART}}}){{0,{MOST_PARTS - 1}}}", re.ASCII)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)

Sign = Literal["=", "!=", "<", "<=", ">", ">="]


class Version(msgspec.Struct, frozen=True, tag="version"):
    """A version, compared number by number: 5.10 is above 5.9, and 5.2 is 5.2.0."""

    text: str
    """Without the `v`: `5.2`."""

    @property
    def parts(self) -> tuple[int, ...]:
        """Its numbers, without zeros at the end."""
        return version_parts(self.text)


class Instant(msgspec.Struct, frozen=True, tag="moment"):
    """A moment by the calendar."""

    at: datetime
    """With a zone."""


class Now(msgspec.Struct, frozen=True, tag="now"):
    """A moment relative to the one at which a segment is asked."""

    seconds: int
    """After it; below zero: before it."""


Value: TypeAlias = str | bool | int | float | Version | Instant | Now


class Every(msgspec.Struct, frozen=True, tag="and"):
    """All of these hold."""

    of: tuple[Tree, ...]


class Some(msgspec.Struct, frozen=True, tag="or"):
    """One of these holds at least."""

    of: tuple[Tree, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    """This doesn't hold."""

    of: Tree


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """A column or attribute compared with a value."""

    name: str
    sign: Sign
    value: Value


class Among(msgspec.Struct, frozen=True, tag="in"):
    """A column or attribute has one of the values; or it has a value, and it is none of these."""

    name: str
    values: tuple[Value, ...]
    wanted: bool = True


class Begins(msgspec.Struct, frozen=True, tag="starts with"):
    """A text begins so."""

    name: str
    text: str


class Contains(msgspec.Struct, frozen=True, tag="contains"):
    """A text has this in it; or a list has it as an element."""

    name: str
    text: str


class Exists(msgspec.Struct, frozen=True, tag="exists"):
    """There is a value."""

    name: str


Leaf: TypeAlias = Compare | Among | Begins | Contains | Exists
Tree: TypeAlias = Every | Some | Not | Leaf


def every(parts: Sequence[Tree]) -> Tree:
    """That all of the parts hold. There is one at least."""
    flat = [each for part in parts for each in (part.of if isinstance(part, Every) else (part,))]
    return flat[0] if len(flat) == 1 else Every(tuple(flat))


def some(parts: Sequence[Tree]) -> Tree:
    """That one of the parts holds. There is one at least."""
    flat = [each for part in parts for each in (part.of if isinstance(part, Some) else (part,))]
    return flat[0] if len(flat) == 1 else Some(tuple(flat))


def leaves(tree: Tree) -> Iterator[Leaf]:
    """The conditions on columns and attributes, from left to right."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Every | Some):
            waiting.extend(reversed(node.of))
        elif isinstance(node, Not):
            waiting.append(node.of)
        else:
            yield node


def names(tree: Tree) -> list[str]:
    """The columns and attributes that it looks at, each once."""
    return list(dict.fromkeys(leaf.name for leaf in leaves(tree)))


def replaced(tree: Tree, name: str, old: str, new: str) -> Tree:
    """A tree that has another text wherever a column is compared with this value, written as a text or as a number."""

    def anew(value: Value) -> Value:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return new if (isinstance(value, str) or is_number) and str(value) == old else value

    if isinstance(tree, Every | Some):
        return type(tree)(tuple(replaced(part, name, old, new) for part in tree.of))
    if isinstance(tree, Not):
        return Not(replaced(tree.of, name, old, new))
    if tree.name != name or isinstance(tree, Exists):
        return tree
    if isinstance(tree, Compare):
        return Compare(name, tree.sign, anew(tree.value))
    if isinstance(tree, Among):
        return Among(name, tuple(map(anew, tree.values)), tree.wanted)
    return type(tree)(name, new if tree.text == old else tree.text)


def version_parts(text: str) -> tuple[int, ...]:
    """The numbers of a version such as `5.2.0`, without the zeros at its end."""
    parts = [int(part) for part in text.split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def moment_of(value: Instant | Now, now: float) -> float:
    """Epoch seconds."""
    return now + value.seconds if isinstance(value, Now) else value.at.timestamp()


# -- checking ---------------------------------------------------------------------------------------------------------


def check(tree: Tree) -> Tree:
    """The tree, if it is one that everything can work with.

    Raises:
        InvalidSegment: what is too much, or no value.
    """
    nodes = listed = 0
    level: list[Tree] = [tree]
    depth = 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > DEEPEST:
            raise InvalidSegment(
                f"has conditions more than {DEEPEST} deep in one another; write it with fewer brackets"
            )
        if nodes > MOST_NODES:
            raise InvalidSegment(f"has more than {MOST_NODES} conditions; use `in [...]` for many values")
        below: list[Tree] = []
        for node in level:
            if isinstance(node, Every | Some):
                if not node.of:
                    raise InvalidSegment("has an `and` or `or` with nothing in it")
                below.extend(node.of)
            elif isinstance(node, Not):
                below.append(node.of)
            else:
                listed += _check_leaf(node)
        level = below
    if sum(map(_length, leaves(tree))) > MOST_CHARACTERS:
        raise InvalidSegment(f"has more than {MOST_CHARACTERS:,} characters in its names and texts")
    if listed > MOST_VALUES:
        raise InvalidSegment(
            f"lists {listed:,} values; {MOST_VALUES:,} are the most. Mark the rows in a column instead"
        )
    return tree


def _length(leaf: Leaf) -> int:
    """Characters of its name and its texts."""
    texts: Sequence[Value] = ()
    if isinstance(leaf, Among):
        texts = leaf.values
    elif isinstance(leaf, Compare):
        texts = (leaf.value,)
    elif isinstance(leaf, Begins | Contains):
        texts = (leaf.text,)
    return len(leaf.name) + sum(len(text) for text in texts if isinstance(text, str))


def _check_leaf(leaf: Leaf) -> int:
    """How many values it lists."""
    check_name(leaf.name)
    if isinstance(leaf, Compare):
        check_value(leaf.name, leaf.value)
        if isinstance(leaf.value, bool) and leaf.sign not in ("=", "!="):
            raise InvalidSegment(f"{leaf.name}: true and false have no order; compare them with = or !=")
        return 1
    if isinstance(leaf, Among):
        if not leaf.values:
            raise InvalidSegment(f"{leaf.name}: the list is empty")
        for value in leaf.values:
            check_value(leaf.name, value)
        return len(leaf.values)
    if isinstance(leaf, Begins | Contains):
        check_value(leaf.name, leaf.text)
        if not leaf.text:
            raise InvalidSegment(f"{leaf.name}: the text is empty; write `exists` for any value")
    return 0


def check_name(name: str) -> None:
    if not name or len(name) > LONGEST_NAME or not _NAME.fullmatch(name) or UNSTORABLE.search(name):
        raise InvalidSegment(
            f"{name[:20]!r} is not a name of a column or attribute: it has 1 to {LONGEST_NAME} characters, without "
            "quotes, backslashes and control characters, and doesn't begin with $"
        )


def check_value(name: str, value: Value) -> None:
    """Raises: InvalidSegment: a column cannot be compared with it."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise InvalidSegment(f"{name}: a text has more than {LONGEST_TEXT:,} characters")
        if UNSTORABLE.search(value):
            raise InvalidSegment(f"{name}: a text holds a NUL, or half of a surrogate pair; leave it out")
    elif isinstance(value, bool):
        return
    elif isinstance(value, int | float):
        _check_number(name, value)
    elif isinstance(value, Version):
        if not _VERSION.fullmatch(value.text):
            raise InvalidSegment(
                f"{name}: a version is made of 1 to {MOST_PARTS} numbers of up to {LONGEST_PART} digits, such as v5.2"
            )
    elif isinstance(value, Now):
        if abs(value.seconds) > FURTHEST:
            raise InvalidSegment(f"{name}: the moment is more than 100 years from now")
    elif value.at.tzinfo is None or not _EARLIEST <= value.at < _LATEST:
        raise InvalidSegment(f"{name}: a moment lies between the years 1970 and 2199, and has a zone")


def _check_number(name: str, value: int | float) -> None:
    # Its size first: Python neither prints nor converts whole numbers of any length.
    if not abs(value) < LARGEST or float(f"{value:.{MOST_DIGITS}g}") != value:
        raise InvalidSegment(
            f"{name}: a number has at most {MOST_DIGITS} digits; put quotes around a longer one, which compares it as "
            "a text"
        )
    if value and abs(value) < 1 / LARGEST:
        raise InvalidSegment(f"{name}: the number is too near to zero")
