"""Filters, tests, methods and operators of templates, each with a bound on what it makes.

Rules: what isn't in a table here cannot be called. What can make much out of little has an estimate of its result,
which is never too small, and is refused by that; anything else makes at most a dozen times what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from functools import wraps
from typing import Any

from jinja2 import pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import SandboxedEscapeFormatter, SandboxedFormatter
from jinja2.tests import TESTS
from jinja2.utils import Cycler, Joiner, Namespace
from markupsafe import Markup

from stentor.planning.allowance import (
    ITEM,
    LARGEST_NUMBER,
    LONGEST_RANGE,
    STEP,
    TOO_LARGE_NUMBER,
    WIDEST,
    TooMuch,
    fits,
    is_several,
    ours,
    weigh,
    weigh_arguments,
)
from stentor.planning.local_filters import local_filters

Anything = Callable[..., Any]
Estimate = Callable[..., int]
"""Of the weight of what a filter or method makes of the same arguments. Raises: TooMuch."""

SLOWEST = 10**8
"""Characters that wrapping a text may copy."""
SHORT = 1_000
"""Characters of an argument that is looked at once for each character of a text."""
DEEPEST_INDENT = 16
"""Of JSON."""


def bounded_range(*args: int) -> range:
    """Raises: TooMuch."""
    found = range(*args)
    if found and abs((found[-1] - found[0]) // found.step) >= LONGEST_RANGE:  # its len() may be too large for one
        raise TooMuch(f"has a range of more than {LONGEST_RANGE:,} numbers")
    return found


# -- what filters make -----------------------------------------------------------------------------------------------


def _batch(value: Any, linecount: int, fill_with: Any = None) -> int:
    return weigh(value) + (0 if fill_with is None else max(0, linecount) * (ITEM + weigh(fill_with)))


def _slice(value: Any, slices: int, fill_with: Any = None) -> int:
    return weigh(value) + max(0, slices) * (2 * ITEM + weigh(fill_with))


def _center(value: Any, width: int = 80, *_: Any) -> int:
    return max(weigh(value), width)


def _format(value: Any, *args: Any, **kwargs: Any) -> int:
    return _percent(str(value), kwargs or args)


def _indent(s: str, width: int | str = 4, *_: Any, **__: Any) -> int:
    return len(s) + (len(s.splitlines()) + 1) * (len(width) if isinstance(width, str) else width)


def _join(value: Any, d: str = "", attribute: Any = None) -> int:
    return weigh(value) + len(value) * weigh(d)


def _pprint(value: Any) -> int:
    return 16 * weigh(value)


def weight_of_replaced(s: Any, old: Any, new: Any, count: int | None = None) -> int:
    text = str(s)
    return len(text) + (text.count(str(old)) if str(old) else len(text) + 1) * weigh(new)


def weight_of_rounded(value: Any, precision: int = 0, method: str = "common") -> int:
    if abs(precision) > SHORT // 10:
        raise TooMuch(f"rounds to more than {SHORT // 10} digits")
    return weigh(value)


def _sum(iterable: Any, attribute: Any = None, start: Any = 0) -> int:
    if not isinstance(start, int | float):
        raise TypeError("only numbers can be summed")
    return weigh(iterable)


def _tojson(value: Any, indent: Any = None) -> int:
    if indent is not None and (len(indent) if isinstance(indent, str) else indent) > DEEPEST_INDENT:
        raise TooMuch(f"indents JSON by more than {DEEPEST_INDENT}")
    return weigh(value)


def _trim(value: Any, chars: str | None = None) -> int:
    if chars is not None and len(chars) > SHORT:
        raise TooMuch(f"trims more than {SHORT:,} kinds of characters")
    return weigh(value)


def _urlize(value: Any, *args: Any, **kwargs: Any) -> int:
    options = weigh_arguments(args, kwargs)
    if options > SHORT:
        raise TooMuch(f"has links with more than {SHORT:,} characters of options")
    return weigh(value) + len(str(value).split()) * options


def _wordwrap(
    s: str, width: int = 79, break_long_words: bool = True, wrapstring: str | None = None, *_: Any, **__: Any
) -> int:
    if len(s) ** 2 > SLOWEST * max(1, width):
        raise TooMuch("wraps a text of that length into too many lines")
    return len(s) + (2 * len(s) // max(1, width) + len(s.splitlines())) * len(wrapstring or "\n")


_ESTIMATES: Mapping[str, Estimate] = {
    "batch": _batch,
    "center": _center,
    "format": _format,
    "indent": _indent,
    "join": _join,
    "pprint": _pprint,
    "replace": weight_of_replaced,
    "round": weight_of_rounded,
    "slice": _slice,
    "sum": _sum,
    "tojson": _tojson,
    "trim": _trim,
    "urlize": _urlize,
    "wordwrap": _wordwrap,
}
_FREE = {"attr", "count", "d", "default", "first", "length"}
"""Filters that look at no more than one item, whatever it is."""
_UNSTEADY = {"random"}
"""Filters that make something else of the same at each attempt."""
_COMPARING = {
    *("==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", ">=", "ge", "<", "lt", "lessthan", "<=", "le"),
    *("in", "lower", "upper", "divisibleby", "even", "odd"),
}
"""Tests that look at all of a value."""


def guarded_filters() -> dict[str, Anything]:
    """Jinja's and Stentor's own, by name."""
    names = FILTERS.keys() - _UNSTEADY
    guarded = {name: _guarded_filter(name, FILTERS[name], _ESTIMATES.get(name)) for name in names}
    return guarded | local_filters()


def guarded_tests() -> dict[str, Any]:
    """Jinja's, by name."""
    return {name: _guarded_test(test) if name in _COMPARING else test for name, test in TESTS.items()}


def _guarded_filter(name: str, inner: Anything, estimate: Estimate | None) -> Anything:
    first = _first_argument(inner)

    @pass_context  # so that none is called before there is a text to fill, which compiling would do
    @wraps(inner, assigned=("__name__", "__doc__"), updated=())
    def guarded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        allowance = ours()
        if name in _FREE:
            allowance.spend(STEP)
            return inner(*first(context), value, *args, **kwargs)
        if is_several(value):
            allowance.go_round(len(value))
        allowance.spend(STEP + weigh(value) + weigh_arguments(args, kwargs))
        if estimate is not None:
            fits(estimate(value, *args, **kwargs))
        made = inner(*first(context), value, *args, **kwargs)
        if hasattr(made, "__next__"):
            made = allowance.collect(made)
        allowance.spend(weigh(made))
        return made

    return guarded


def _guarded_test(inner: Any) -> Any:
    @pass_context
    def guarded(context: Context, *args: Any, **kwargs: Any) -> Any:
        ours().spend(STEP + weigh_arguments(args, kwargs, opaque=True))
        return inner(*args, **kwargs)

    return guarded


def _first_argument(inner: Anything) -> Callable[[Context], tuple[Any, ...]]:
    """What Jinja passes to a filter before its value."""
    wanted = getattr(inner, "jinja_pass_arg", None)
    ways: dict[str, Callable[[Context], tuple[Any, ...]]] = {
        "context": lambda context: (context,),
        "eval_context": lambda context: (context.eval_ctx,),
        "environment": lambda context: (context.environment,),
    }
    return ways[wanted.name] if wanted is not None else lambda context: ()


# -- what can be called ----------------------------------------------------------------------------------------------


def _given(value: Any, *_: Any, **__: Any) -> int:
    return weigh(value, opaque=True)


def _nothing(*_: Any, **__: Any) -> int:
    return 0


def _padded(value: str, width: int, *_: Any) -> int:
    return max(len(value), width)


def _tabs(value: str, tabsize: int = 8) -> int:
    return len(value) + value.count("\t") * max(0, tabsize)


def _joined(value: str, items: Any) -> int:
    return weigh(items) + len(items) * len(value)


def _moment(value: Any, written: str, *_: Any) -> int:
    if len(written) > SHORT // 10:
        raise TooMuch(f"writes a moment in more than {SHORT // 10} characters of a format")
    return 0


_METHODS: tuple[tuple[type, Mapping[str, Estimate]], ...] = (
    (
        str,
        {
            **dict.fromkeys(
                (
                    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii"),
                    *("isdecimal", "isdigit", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper"),
                    *("lower", "partition", "removeprefix", "removesuffix", "rfind", "rindex", "rpartition", "rsplit"),
                    *("split", "splitlines", "startswith", "striptags", "swapcase", "title", "unescape", "upper"),
                ),
                _given,
            ),
            **dict.fromkeys(("lstrip", "rstrip", "strip"), _trim),
            **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _padded),
            "expandtabs": _tabs,
            "join": _joined,
            "replace": weight_of_replaced,
        },
    ),
    (bytes, {"decode": _given, "hex": _given}),
    (dict, {"copy": _given, **dict.fromkeys(("get", "items", "keys", "values"), _nothing)}),
    (list, dict.fromkeys(("copy", "count", "index"), _given)),
    (tuple, dict.fromkeys(("count", "index"), _given)),
    (range, dict.fromkeys(("count", "index"), _given)),
    (int, dict.fromkeys(("bit_count", "bit_length"), _given)),
    (float, dict.fromkeys(("hex", "is_integer"), _given)),
    *(
        (
            kind,
            {
                **dict.fromkeys(
                    (
                        *("astimezone", "ctime", "date", "dst", "isocalendar", "isoformat", "isoweekday", "replace"),
                        *(
                            "time",
                            "timestamp",
                            "timetz",
                            "toordinal",
                            "total_seconds",
                            "tzname",
                            "utcoffset",
                            "weekday",
                        ),
                    ),
                    _given,
                ),
                "strftime": _moment,
            },
        )
        for kind in (date, time, timedelta)
    ),
    (LoopContext, dict.fromkeys(("changed", "cycle"), _nothing)),
    (Cycler, dict.fromkeys(("next", "reset"), _nothing)),
)
"""By the type of a value, or of one that it is derived from."""
_CALLABLE = (BlockReference, Joiner, LoopContext, Macro, Undefined)
"""The last says itself that it cannot be."""
GLOBALS: Mapping[str, Anything] = {
    "range": bounded_range,
    "dict": dict,
    "cycler": Cycler,
    "joiner": Joiner,
    "namespace": Namespace,
}
"""Without `lipsum`, which says something else at each attempt."""


def check_call(called: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """See that something may be called; the weight of what it would look at, or make.

    Raises: TooMuch. TypeError: it may not.
    """
    owner = getattr(called, "__self__", None) if type(called) not in _CALLABLE else None
    if owner is not None:
        for kind, methods in _METHODS:
            if isinstance(owner, kind) and (estimate := methods.get(called.__name__)) is not None:
                return fits(estimate(owner, *args, **kwargs))
        raise TypeError(f"`{called.__name__}` of a {type(owner).__name__} may not be called")
    if not isinstance(called, (*_CALLABLE, Formatting)) and not any(called is each for each in GLOBALS.values()):
        raise TypeError(f"a {type(called).__name__} may not be called")
    return 0


# -- formats ---------------------------------------------------------------------------------------------------------

_NUMBERS = re.compile(r"\d+")


class _Formatter(SandboxedFormatter):
    """With bounds on each field."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        if any(len(each) > 4 or int(each) > WIDEST for each in _NUMBERS.findall(format_spec)):
            raise TooMuch(TOO_WIDE)
        ours().spend(STEP + weigh(value))
        field = super().format_field(value, format_spec)
        ours().spend(weigh(field))
        return field

    def convert_field(self, value: Any, conversion: Any) -> Any:
        ours().spend(weigh(value))
        return super().convert_field(value, conversion)


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    """The same for what is escaped."""


class Formatting:
    """`format` or `format_map` of a text."""

    def __init__(self, environment: Any, text: str, by_map: bool) -> None:
        escape = text.escape if isinstance(text, Markup) else None
        self._formatter = _EscapeFormatter(environment, escape=escape) if escape else _Formatter(environment)
        self._text = text
        self._by_map = by_map

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        if self._by_map:
            (kwargs,), args = args, ()
        ours().spend(len(self._text))
        return type(self._text)(self._formatter.vformat(self._text, args, kwargs))


TOO_WIDE = f"has a format with a width above {WIDEST:,}"


def _percent(text: str, args: Any) -> int:
    """The weight of what `%` makes of a text, as its fields and Python's rules for them say."""
    fields, width = 0, 0
    at = text.find("%")
    while at >= 0:
        fields += 1
        at = _after_name(text, at + 1)
        while at < len(text) and text[at] in "#0- +.*123456789":
            number = _NUMBERS.match(text, at)
            if text[at] == "*" or (number and (len(number[0].lstrip("0")) > 4 or int(number[0]) > WIDEST)):
                raise TooMuch(TOO_WIDE)
            width += int(number[0]) if number else 0
            at = number.end() if number else at + 1
        at = text.find("%", at + 1)
    weight = weigh(args)
    return len(text) + width + (weight * fields if isinstance(args, dict) else weight)


def _after_name(text: str, at: int) -> int:
    """Where a field goes on after its name, which is in brackets and may have some itself."""
    if text[at : at + 1] != "(":
        return at
    depth = 0
    for position in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth:
            return position + 1
    return len(text)


# -- operators -------------------------------------------------------------------------------------------------------


def check_operator(operator: str, left: Any, right: Any) -> None:
    """See what an operator would make. Raises: TooMuch. TypeError: it may not be used on these."""
    if operator == "%" and isinstance(left, str):
        fits(_percent(left, right))
    elif operator == "%" and isinstance(left, bytes):
        raise TypeError("bytes cannot be formatted")
    elif operator == "*":
        _check_product(left, right)
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        _fits_number(left.bit_length() * right)
    elif operator == "+" and type(left) is not int:
        fits(weigh(left) + weigh(right))


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _fits_number(left.bit_length() + right.bit_length())
    elif isinstance(right, int):
        fits(weigh(left) * max(1, right))
    elif isinstance(left, int):
        fits(weigh(right) * max(1, left))


def _fits_number(bits: int) -> None:
    if bits > LARGEST_NUMBER:
        raise TooMuch(TOO_LARGE_NUMBER)
