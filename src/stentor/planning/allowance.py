"""What one message may take of memory and time while its templates are filled, and the bill.

Rules: whatever a template does is paid for, what would make much out of little before it is done; who runs out of
something gets `TooMuch`, wherever that happens. Bounds are counts, never seconds: the same text ends the same way on
every machine. Weights are in characters; an item of a list counts as `ITEM` of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from datetime import date, time, timedelta
from typing import Any

from jinja2 import TemplateRuntimeError, Undefined

from stentor.planning.formats import Formats

LARGEST_TEXT = 64 * 1024
"""Bytes of a text, and the weight of a value on the way to it."""
ROUNDS = 10_000
"""Rounds of all loops, calls, and items that filters go through."""
LONGEST_RANGE = 1_000
WORK = 500_000
"""The weight of all that is made and looked at."""
DEEPEST_CALL = 20
"""Calls within calls: of macros, blocks and recursive loops."""
DEEPEST_VALUE = 50
"""Lists within lists."""
LARGEST_NUMBER = 4096
"""Bits of a whole number; it has at most 1,234 digits."""
WIDEST = 1_000
"""Of a width or precision that a format asks for."""
ITEM = 8
STEP = 16
"""What each filter, operator, call or subscript costs beside what it works on."""

_PLAIN = (float, date, time, timedelta)  # a datetime is a date
_TEXTS = (str, bytes)
_VIEWS: tuple[Any, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_SEVERAL: Any = (list, tuple, dict, range, set, frozenset, *_VIEWS)


class TooMuch(TemplateRuntimeError):
    """A template takes more than a text may."""


class Allowance:
    """What is left of it for one message; and how that is written."""

    __slots__ = ("depth", "formats", "rounds", "work")

    def __init__(self, formats: Formats) -> None:
        self.formats = formats
        self.depth = 0
        self.rounds = ROUNDS
        self.work = WORK

    def spend(self, weight: int) -> None:
        """Raises: TooMuch."""
        self.work -= weight
        if self.work < 0:
            raise TooMuch(f"works on more than {WORK:,} characters in all")

    def go_round(self, times: int = 1) -> None:
        """Raises: TooMuch."""
        self.rounds -= times
        if self.rounds < 0:
            raise TooMuch(f"takes more than {ROUNDS:,} rounds of loops, calls and items in all")

    def collect(self, items: Iterable[Any]) -> list[Any]:
        """All of them, each of which is a round. Raises: TooMuch."""
        found = []
        for each in items:
            self.go_round()
            found.append(each)
        return found

    def go_deeper(self) -> None:
        """Into a call, until `depth` is set back. Raises: TooMuch."""
        if self.depth >= DEEPEST_CALL:
            raise TooMuch(f"calls itself more than {DEEPEST_CALL} deep")
        self.depth += 1


_OURS: ContextVar[Allowance] = ContextVar("allowance")
begin, end = _OURS.set, _OURS.reset
"""Around the filling of one message, with an allowance of its own."""
ours = _OURS.get
"""That of the message that is being filled."""


def is_several(value: object) -> bool:
    """Whether it is a list or the like, whose items a filter goes through."""
    return isinstance(value, _SEVERAL)


def weigh(value: object, *, opaque: bool = False) -> int:
    """The weight of a value with all that is in it, each as often as it is there.

    Args:
        opaque: whether it may be, or hold, what has no text: a macro, say, or a loop.

    Raises: TooMuch: it is more than a text may have, or nested too deeply. TypeError: it has no text.
    """
    kind = type(value)
    if kind is str:
        weight = len(value)  # type: ignore[arg-type]
    elif kind is int or kind is bool:
        weight = _weigh_number(value)  # type: ignore[arg-type]
    elif kind is float or value is None:
        weight = ITEM
    else:
        weight = _weigh_all(value, opaque)
    if weight > LARGEST_TEXT:
        raise TooMuch(TOO_LARGE)
    return weight


def weigh_arguments(args: tuple[object, ...], kwargs: dict[str, object], *, opaque: bool = False) -> int:
    """The same of a call's arguments."""
    weight = 0
    for each in args:
        weight += weigh(each, opaque=opaque)
    for each in kwargs.values():
        weight += weigh(each, opaque=opaque)
    return weight


def fits(weight: int) -> int:
    """The weight of what would be made. Raises: TooMuch: it may not be."""
    if weight > LARGEST_TEXT:
        raise TooMuch(TOO_LARGE)
    return weight


TOO_LARGE = f"makes a value of more than {LARGEST_TEXT // 1024} KB"


def _weigh_all(value: object, opaque: bool) -> int:
    weight = 0
    level: list[Any] = [value]
    for _ in range(DEEPEST_VALUE):
        below: list[Any] = []
        for each in level:
            if isinstance(each, _TEXTS):
                weight += len(each)
            elif isinstance(each, _SEVERAL):
                weight += 1 + ITEM * len(each)
                if weight > LARGEST_TEXT:
                    raise TooMuch(TOO_LARGE)
                if isinstance(each, dict):
                    below.extend(each)
                    below.extend(each.values())
                elif not isinstance(each, range):
                    below.extend(each)
            elif isinstance(each, int):
                weight += _weigh_number(each)
            elif each is None or isinstance(each, _PLAIN):
                weight += ITEM
            elif opaque or isinstance(each, Undefined):  # the latter says itself that it has no text
                weight += 1
            else:
                raise TypeError(f"a {type(each).__name__} is not text")
        if not below:
            return weight
        level = below
    raise TooMuch(f"nests lists more than {DEEPEST_VALUE} deep")


def _weigh_number(number: int) -> int:
    bits = number.bit_length()
    if bits > LARGEST_NUMBER:
        raise TooMuch(TOO_LARGE_NUMBER)
    return 1 + bits // ITEM


TOO_LARGE_NUMBER = f"reckons with a number of more than {LARGEST_NUMBER} bits"
