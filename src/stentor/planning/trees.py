"""A message as a tree of JSON values: its texts, another tree laid over it, and what in it is no field of a message.

Rules: a tree is never changed, only copied; a mistake names its place, as the one who wrote the tree would.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from stentor.errors import InvalidMessage
from stentor.wrong_types import in_words

DEEPEST = 50
"""Objects and lists within each other."""

TextPath = tuple[str | int, ...]
"""Where a text stands in a message: the names and indices that lead to it."""


T = TypeVar("T")


def to_tree(of: object) -> dict[str, Any]:
    """As JSON values: what is bytes, in base64, as in a file. Raises: InvalidMessage: it is nested too deeply."""
    try:
        tree: dict[str, Any] = msgspec.to_builtins(of)
    except RecursionError:
        raise InvalidMessage("message", _TOO_DEEP) from None
    return tree


def from_tree(tree: object, kind: type[T], within: str = "") -> T:
    """What a tree says. Names that `kind` doesn't have are ignored; see `check_names`.

    Args:
        within: where the tree stands in a message; empty: it is all of it.

    Raises: InvalidMessage: a value is of the wrong type, or nested too deeply; names the field.
    """
    try:
        return msgspec.convert(tree, kind)
    except RecursionError:
        raise InvalidMessage(within or "message", _TOO_DEEP) from None
    except msgspec.ValidationError as error:
        raise _wrong(error, within) from None


def texts(tree: Any, path: TextPath) -> Iterator[tuple[TextPath, str]]:
    """Every text in a tree of JSON values, and where it stands. Raises: InvalidMessage: it is nested too deeply."""
    if len(path) > DEEPEST:
        raise InvalidMessage(".".join(map(str, path[:3])), _TOO_DEEP)
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from texts(value, (*path, key))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from texts(value, (*path, index))


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid on `below`, object by object."""
    laid = dict(below)
    for name, over in above.items():
        under = laid.get(name)
        both = isinstance(under, Mapping) and isinstance(over, Mapping)
        laid[name] = laid_over(under or {}, over) if both else over
    return laid


def leads_somewhere(tree: Any, path: TextPath) -> bool:
    """Whether there is anything in this place of a tree of objects."""
    for name in path:
        if not isinstance(tree, Mapping):
            return True  # of a list or text, all of it is
        if name not in tree:
            return False
        tree = tree[name]
    return True


def with_text(tree: Any, path: TextPath, text: str) -> Any:
    """`tree` with a text in one place; only what lies above that place is copied."""
    if not path:
        return text
    copy: Any = dict(tree) if isinstance(tree, Mapping) else list(tree)
    copy[path[0]] = with_text(tree[path[0]], path[1:], text)
    return copy


_TOO_DEEP = f"nests objects or lists more than {DEEPEST} deep"


def check_names(tree: object, kind: type, prefix: str, more: tuple[str, ...] = ()) -> None:
    """Look for fields that `kind` doesn't have, at any depth.

    Args:
        prefix: what the names begin with in an error.
        more: fields that may be there as well.

    Raises: InvalidMessage: there is one; names the nearest that there is.
    """
    if not isinstance(tree, dict):
        return  # of the wrong type, which is told with the other types
    hints = hints_of(kind)
    for name, value in tree.items():
        if name not in hints:
            near = difflib.get_close_matches(name, (*hints, *more), n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join((*hints, *more))}"
            raise InvalidMessage(f"{prefix}{name}", f"is not a field of a message; {hint}")
        _check_within(value, hints[name], f"{prefix}{name}")


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The types of a record's fields, by name. To make them of the texts that annotations are takes a millisecond."""
    return get_type_hints(kind)


def _check_within(value: object, hint: Any, place: str) -> None:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for option in get_args(hint):
            _check_within(value, option, place)
    elif origin is tuple and isinstance(value, list):
        for number, each in enumerate(value):
            _check_within(each, get_args(hint)[0], f"{place}[{number}]")
    elif isinstance(hint, type) and is_dataclass(hint):
        check_names(value, hint, f"{place}.")


def _wrong(error: msgspec.ValidationError, within: str) -> InvalidMessage:
    place, problem = in_words(error)
    return InvalidMessage(".".join(filter(None, (within, place))) or "message", problem)
