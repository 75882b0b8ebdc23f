"""A text with Liquid in it, as `templates.Text` is one with Jinja: checked before, and within the same bounds.

Rules: what python-liquid leaves without a limit pays from the message's allowance here: each round of a loop, each
value that is looked up, filtered, kept or written. What would make much out of little has an estimate. A filter, tag
or name that isn't in a table here cannot be used: there is nothing to include, and nothing that says something else at
each attempt, as `now` does. Loaded with the first message that has such a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from io import StringIO
from typing import Any, ClassVar, TextIO

from liquid import BoundTemplate, Environment, FalsyStrictUndefined, Mode, RenderContext, Tag
from liquid.ast import Node
from liquid.builtin.expressions.primitive import Literal
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LiquidError, LiquidSyntaxError, UndefinedError
from liquid.expression import Expression
from liquid.stream import TokenStream
from liquid.token import TOKEN_EXPRESSION, Token
from liquid.undefined import UNDEFINED, Undefined
from liquid.utils import ReadOnlyChainMap

from stentor.audience.contract import LANGUAGE, TIME_ZONE
from stentor.errors import InvalidMessage, Skipped
from stentor.planning import braze
from stentor.planning.allowance import (
    LARGEST_TEXT,
    LONGEST_RANGE,
    ROUNDS,
    STEP,
    TooMuch,
    fits,
    ours,
    weigh,
    weigh_arguments,
)
from stentor.planning.formats import LENGTHS, Formats, Unwritable
from stentor.planning.guards import weight_of_replaced, weight_of_rounded
from stentor.planning.local_filters import COST, MOMENTS, problem_of_call
from stentor.planning.local_filters import NAMES as LOCAL
from stentor.planning.skipping import LONGEST_WHY, Skip, shortened
from stentor.planning.templates import DEEPEST, MOST_PARTS, RENDER_ERRORS, check_text, short

DEEPEST_BLOCK = 30
LONGEST_MARKUP = 4_000
"""Characters from which `strip_html` strips: its pattern takes the square of them."""
LONGEST_MOMENT = 100
"""Characters of a format such as `%d.%m.`."""
ABORT = "abort_message"
_IS_TEMPLATE = re.compile(r"\{[{%]")
_MISSING = re.compile(r"^'?(\w+)'?(?:\.\S+)? is undefined")
_QUOTED = re.compile(r"""\s*(?:\(\s*(?:(["'])(?P<inner>.*?)\1)?\s*\)|(["'])(?P<bare>.*?)\3)?\s*""", re.DOTALL)
_COMPILE_ERRORS = (LiquidError, RecursionError, MemoryError)
_TAGS = frozenset(
    {
        *("if", "unless", "case", "for", "break", "continue", "assign", "capture", "cycle", "increment", "decrement"),
        *("echo", "liquid", "comment", "#", "doc", "ifchanged", ABORT),
        *("content", "output", "illegal"),  # the parser's own names of a text, of `{{ }}`, and of what is no tag
    }
)
_FILTERS = frozenset(
    {
        *("abs", "append", "at_least", "at_most", "base64_decode", "base64_encode", "base64_url_safe_decode"),
        *("base64_url_safe_encode", "capitalize", "ceil", "compact", "concat", "default", "divided_by", "downcase"),
        *("escape", "escape_once", "find", "find_index", "first", "floor", "has", "join", "last", "lstrip", "map"),
        *("minus", "modulo", "newline_to_br", "plus", "prepend", "reject", "remove", "remove_first", "remove_last"),
        *("replace", "replace_first", "replace_last", "reverse", "round", "rstrip", "size", "slice", "sort"),
        *("sort_natural", "split", "squish", "strip", "strip_html", "strip_newlines", "sum", "times", "truncate"),
        *("truncatewords", "uniq", "upcase", "url_decode", "url_encode", "where"),
    }
)
_FREE = ("default", "first", "last", "size")


def is_liquid(text: str) -> bool:
    return _IS_TEMPLATE.search(text) is not None


class LiquidText:
    """A template, parsed. See `templates.Text`."""

    writes = False
    """Each filling has a context of its own."""

    def __init__(self, name: str, source: str) -> None:
        """Raises: InvalidMessage: it is broken, nested too deeply, or has what isn't there."""
        self.name = name
        try:
            if braze.is_braze(source):
                source = braze.from_braze(name, source)
            self._template = _ENVIRONMENT.from_string(source)
            parts = _parts(self._template.nodes, self._context({}))
            self.size = len(parts)
            if self.size > MOST_PARTS:
                raise TooMuch(f"has more than {MOST_PARTS:,} parts")
            analysis = self._template.analyze(include_partials=False)
        except _COMPILE_ERRORS as error:
            raise InvalidMessage(name, _broken(error)) from None
        except TooMuch as error:
            raise InvalidMessage(name, f"the template {error.message}") from None
        self.variables = frozenset(analysis.globals)
        used = analysis.filters.keys()
        if wrong := _wrong_filter(parts, used, self._context({})):
            raise InvalidMessage(name, f"broken template: {wrong}")
        skips = any(isinstance(each, _AbortNode) for each in parts)
        self.reads = frozenset(
            # One that may skip is filled for each reader, also if it needs nothing of any.
            name
            for name, of in ((LANGUAGE, used & LOCAL or skips), (TIME_ZONE, used & MOMENTS))
            if of
        )

    @cached_property
    def constant(self) -> str:
        """What it always becomes, as it needs no variables. Raises: as `fill`."""
        return self.fill({})

    def context(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        return dict(variables)

    def fill(self, context: Mapping[str, Any]) -> str:
        """Raises: as `templates.Text.fill`."""
        buffer = _Written()
        try:
            self._template.render_with_context(self._context(context), buffer)
            return check_text(self.name, buffer.getvalue())
        except Skip as error:
            raise Skipped(self.name, error.message or "") from None
        except Unwritable as error:
            raise InvalidMessage(self.name, error.message or "") from None
        except UndefinedError as error:
            missing = _MISSING.search(str(error.message))
            needs = f"needs `{missing[1]}`, which this installation doesn't have" if missing else short(error.message)
            raise InvalidMessage(self.name, needs) from None
        except TooMuch as error:
            raise InvalidMessage(self.name, f"the template {error.message}") from None
        except LiquidError as error:
            raise InvalidMessage(self.name, f"the template failed: {short(error.message)}") from None
        except RENDER_ERRORS as error:
            raise InvalidMessage(self.name, f"the template failed: {type(error).__name__}: {short(error)}") from None

    def _context(self, variables: Mapping[str, Any]) -> RenderContext:
        return _Context(self._template, globals=variables)


def _broken(error: BaseException) -> str:
    if isinstance(error, LiquidError):
        cause = error.__cause__
        if cause is None:
            place = error.context()
            line = f", line {place[0]}" if place else ""
            return f"broken template{line}: {short(error.message)}"
        if not isinstance(cause, RecursionError | MemoryError):
            return f"broken template: {short(cause)}"
    return f"the template nests blocks or expressions more than {DEEPEST} deep"


def _parts(nodes: list[Node], context: RenderContext) -> list[Node | Expression]:
    """All nodes and expressions. Raises: TooMuch: they are nested too deeply."""
    found: list[Node | Expression] = []
    level: list[Node | Expression] = list(nodes)
    for _ in range(2 * DEEPEST):
        if not level:
            return found
        found += level
        level = [below for each in level for below in _below(each, context)]
    raise TooMuch(f"nests blocks or expressions more than {DEEPEST} deep")


def _below(part: Node | Expression, context: RenderContext) -> list[Node | Expression]:
    if isinstance(part, Node):
        return [*part.children(context, include_partials=False), *part.expressions()]
    return list(part.children())


def _wrong_filter(parts: list[Node | Expression], used: Collection[str], context: RenderContext) -> str | None:
    """What is wrong with the filters, as far as it can be seen in the template; None: nothing."""
    if unknown := sorted(set(used) - _ENVIRONMENT.filters.keys()):
        return f"there is no filter `{unknown[0]}`"
    for part in parts:
        for each in getattr(part, "filters", None) or ():
            given = [argument.value for argument in each.args]
            if each.name not in LOCAL or not all(isinstance(value, Literal) for value in given):
                continue
            args, kwargs = each.evaluate_args(context)
            if each.name == "date" and args and args[0] not in LENGTHS:
                continue  # a format
            if problem := problem_of_call(each.name, args, kwargs):
                return problem
    return None


# -- what pays -------------------------------------------------------------------------------------------------------


class _Written(StringIO):
    """What a template writes, or captures."""

    def write(self, text: str, /) -> int:
        ours().spend(STEP + len(text))
        return super().write(text)


class _Context(RenderContext):
    """Pays for what is looked up, kept and gone through."""

    cost_of_round = 0
    """Of the loop that begins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)  # without `now` and `today`

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        found = super().get(path, token=token, default=default)
        ours().spend(STEP * len(path) + (len(found) if isinstance(found, str | list | dict) else 0))
        return found

    def assign(self, key: str, val: Any) -> None:
        ours().spend(STEP + weigh(val, opaque=True))
        super().assign(key, val)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        ours().go_round(length)
        ours().spend(length * self.cost_of_round)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return _Written()


class _ForNode(ForNode):
    """A loop that pays for each round what is in it."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        items = self.expression.iterable.evaluate(context)
        if isinstance(items, range) and items and items[-1] - items[0] >= LONGEST_RANGE:
            raise TooMuch(f"has a range of more than {LONGEST_RANGE:,} numbers")
        if isinstance(context, _Context):
            context.cost_of_round = STEP // 4 * len(_parts([self.block], context))
        return super().render_to_output(context, buffer)


class _ForTag(ForTag):
    node_class = _ForNode


class _AbortNode(Node):
    """Ends the message for this recipient."""

    __slots__ = ("why",)

    def __init__(self, token: Token, why: str) -> None:
        super().__init__(token)
        self.blank = False
        self.why = why

    def __str__(self) -> str:
        return f"{{% {ABORT} {self.why!r} %}}"

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        raise Skip(shortened(self.why))


class _AbortTag(Tag):
    """`{% abort_message('why') %}`, as Braze has it."""

    name = ABORT
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token, said = stream.current, ""
        if stream.peek.kind == TOKEN_EXPRESSION:
            next(stream)
            said = stream.current.value
        found = _QUOTED.fullmatch(said)
        if found is None:
            raise LiquidSyntaxError(f"`{ABORT}` has a text: write {{% {ABORT}('why') %}}", token=token)
        why = found["inner"] or found["bare"] or ""
        if len(why) > LONGEST_WHY:
            raise LiquidSyntaxError(
                f"the reason of `{ABORT}` has {len(why)} characters, and at most {LONGEST_WHY}", token=token
            )
        return _AbortNode(token, why)


# -- filters ---------------------------------------------------------------------------------------------------------


def _joined(value: Any, separator: Any = " ") -> int:
    return weigh(value, opaque=True) + (len(value) if isinstance(value, list | tuple | range) else 1) * weigh(separator)


def _stripped(value: Any) -> int:
    if isinstance(value, str) and len(value) > LONGEST_MARKUP:
        raise TooMuch(f"strips HTML from more than {LONGEST_MARKUP:,} characters")
    return 0


def _unique(value: Any, *_: Any) -> int:
    if isinstance(value, list | tuple | range):
        ours().go_round(len(value) ** 2 // DEEPEST)
    return 0


_ESTIMATES: Mapping[str, Callable[..., int]] = {
    "join": _joined,
    "replace": weight_of_replaced,
    "round": weight_of_rounded,
    "strip_html": _stripped,
    "uniq": _unique,
}


def _guarded(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    estimate = _ESTIMATES.get(name)

    def guarded(value: Any, *args: Any, **kwargs: Any) -> Any:
        allowance = ours()
        if name not in _FREE:
            if isinstance(value, list | tuple | range | dict):
                allowance.go_round(len(value))
            given = {key: each for key, each in kwargs.items() if key not in ("context", "environment")}
            allowance.spend(STEP + weigh(value, opaque=True) + weigh_arguments(args, given, opaque=True))
            if estimate is not None:
                fits(estimate(value, *args))
        made = inner(value, *args, **kwargs)
        if name not in _FREE:
            allowance.spend(weigh(made, opaque=True))
        return made

    for marker in ("with_context", "with_environment", "validate"):
        if hasattr(inner, marker):
            setattr(guarded, marker, getattr(inner, marker))
    return guarded


def _local(name: str) -> Callable[..., str]:
    method = getattr(Formats, name)

    def write(value: Any, *args: Any, **kwargs: Any) -> str:
        allowance = ours()
        allowance.spend(COST + weigh_arguments(args, kwargs, opaque=True))
        for each in (value, *args, *kwargs.values()):
            if isinstance(each, Undefined):
                str(each)  # says which name is missing
        try:
            if name == "date" and args and args[0] not in LENGTHS:
                return _strftime(allowance.formats, value, *args)
            written: str = method(allowance.formats, value, *args, **kwargs)
        except Unwritable as error:
            raise Unwritable(f"`{name}`: {error.message}") from None
        fits(len(written))
        return written

    return write


def _strftime(formats: Formats, value: Any, written: Any) -> str:
    if value in ("now", "today"):
        raise Unwritable(f"'{value}' isn't the same at each attempt; put the moment into a value of the campaign")
    if not isinstance(written, str) or len(written) > LONGEST_MOMENT:
        raise Unwritable(f"a format is a text of at most {LONGEST_MOMENT} characters, such as '%d.%m.'")
    return formats.moment(value).strftime(written)


class _Environment(Environment):
    block_nesting_limit: ClassVar[int] = DEEPEST_BLOCK
    context_depth_limit: ClassVar[int] = DEEPEST_BLOCK
    loop_iteration_limit: ClassVar[int | None] = ROUNDS
    output_stream_limit: ClassVar[int | None] = LARGEST_TEXT
    template_class = BoundTemplate

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.add_tag(_ForTag)
        self.add_tag(_AbortTag)
        self.tags = {name: tag for name, tag in self.tags.items() if name in _TAGS}
        guarded = {name: _guarded(name, inner) for name, inner in self.filters.items() if name in _FILTERS}
        self.filters = guarded | {name: _local(name) for name in LOCAL}


_ENVIRONMENT = _Environment(undefined=FalsyStrictUndefined, tolerance=Mode.STRICT)
