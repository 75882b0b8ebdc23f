"""A text with Jinja in it, compiled so that whoever wrote it can take no more memory and time than a text may.

Rules: whatever is wrong with a template is an `InvalidMessage` in one line that names the field; a template reads
values and can do nothing else; what may be called is in `guards`, what it may cost in `allowance`. To have each loop,
literal and comparison pay, the tree that Jinja parsed is changed before it is compiled: nothing is evaluated while
compiling, as that would cost the checks what it may not cost a recipient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from jinja2 import (
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
    meta,
    nodes,
    pass_context,
)
from jinja2.runtime import Context, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from stentor.audience.contract import LANGUAGE, TIME_ZONE
from stentor.errors import InvalidMessage, Skipped
from stentor.planning.allowance import (
    LARGEST_TEXT,
    STEP,
    TOO_LARGE,
    Allowance,
    TooMuch,
    begin,
    end,
    fits,
    ours,
    weigh,
    weigh_arguments,
)
from stentor.planning.formats import Formats, Unwritable, formats_for
from stentor.planning.guards import GLOBALS, Formatting, check_call, check_operator, guarded_filters, guarded_tests
from stentor.planning.local_filters import check_local
from stentor.planning.skipping import FILTER as SKIP
from stentor.planning.skipping import Skip, Skips, skip

DEEPEST = 50
"""Blocks and expressions within each other."""
MOST_BRACKETS = 15
"""Within each other. Jinja's parser goes deepest for these, and leaves no trace of them in its tree."""
MOST_PARTS = 10_000
"""Names, constants, operators, filters, blocks and texts between them: compiling takes its time for each."""
LONGEST_PROBLEM = 200
"""Characters of what an exception says; it may quote a value."""

_IS_TEMPLATE = re.compile(r"\{[{%#]")
_MISSING = re.compile(r"'(\w+)' is undefined")
_WRITES = (nodes.Assign, nodes.AssignBlock, nodes.Block, nodes.Macro)
"""What changes a template's context, so that no other may share it."""
_OF_OTHERS = (nodes.Extends, nodes.FromImport, nodes.Import, nodes.Include)
RENDER_ERRORS = (
    *(TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError),
    *(RuntimeError, MemoryError, OSError),  # a RecursionError is one of the first
)
"""What an expression over values of the wrong type or shape may raise."""
_COMPILE_ERRORS = (RecursionError, MemoryError, SyntaxError)
"""What Jinja and Python raise of code that is nested more deeply than they can follow."""
_ROUND, _HELD, _JOINED = "(round)", "(held)", "(joined)"
"""Filters that no template can name."""


class Text:
    """A template, compiled."""

    def __init__(self, name: str, source: str) -> None:
        """Raises: InvalidMessage: it is broken, or nested too deeply."""
        self.name = name
        """Of its field."""
        try:
            _check_brackets(source)
            tree = _ENVIRONMENT.parse(source)
            self.size = _check_depth(tree)
            """How many parts it has."""
            skips = Skips()
            tree = skips.visit(tree)
            self.variables = frozenset(meta.find_undeclared_variables(tree))
            is_local, has_moments = check_local(tree)
            self.reads = frozenset(
                # One that may skip is filled for each reader, also if it needs nothing of any.
                name
                for name, of in ((LANGUAGE, is_local or skips.found), (TIME_ZONE, has_moments))
                if of
            )
            """What it needs to know of its reader."""
            self.writes = next(tree.find_all(_WRITES), None) is not None
            """Whether it changes its context."""
            tree = _Paying().visit(tree)
            tree.set_environment(_ENVIRONMENT)
            self._template = _ENVIRONMENT.from_string(tree)
            self._template.globals = _ENVIRONMENT.globals  # each context copies them; Jinja's own chain is slow at that
        except TemplateSyntaxError as error:
            raise InvalidMessage(name, f"broken template, line {error.lineno}: {short(error.message)}") from None
        except TooMuch as error:
            raise InvalidMessage(name, f"the template {error.message}") from None
        except ValueError:  # Python reads no longer ones
            raise InvalidMessage(name, "the template has a number with too many digits") from None
        except _COMPILE_ERRORS:
            raise InvalidMessage(name, _NESTED) from None

    @cached_property
    def constant(self) -> str:
        """What it always becomes, as it needs no variables. Raises: as `fill`."""
        return self.fill(self.context({}))

    def context(self, variables: Mapping[str, Any]) -> Context:
        """For any templates that don't change it."""
        return self._template.new_context(dict(variables))

    def fill(self, context: Context) -> str:
        """What `template.render` does, but for making a context of its own, which would take ten times as long.

        It takes from the message's allowance, see `filling`.

        Raises:
            Skipped: it says that this recipient gets nothing.
            InvalidMessage: it needs a variable that is missing, failed, or took more than it may.
        """
        try:
            return check_text(self.name, "".join(self._template.root_render_func(context)))
        except Skip as error:
            raise Skipped(self.name, error.message or "") from None
        except Unwritable as error:
            raise InvalidMessage(self.name, error.message or "") from None
        except UndefinedError as error:
            missing = _MISSING.search(error.message or "")
            needs = f"needs `{missing[1]}`, which this installation doesn't have" if missing else short(error.message)
            raise InvalidMessage(self.name, needs) from None
        except TooMuch as error:
            raise InvalidMessage(self.name, f"the template {error.message}") from None
        except RENDER_ERRORS as error:
            raise InvalidMessage(self.name, f"the template failed: {type(error).__name__}: {short(error)}") from None


_NOBODYS = formats_for("", "", "")
"""How numbers and moments are written for nobody in particular."""


@contextmanager
def filling(formats: Formats = _NOBODYS) -> Iterator[None]:
    """Fill the texts of one message, with an allowance for all of them.

    Args:
        formats: how numbers and moments are written for its reader.
    """
    token = begin(Allowance(formats))
    try:
        yield
    finally:
        end(token)


def is_template(text: str) -> bool:
    return _IS_TEMPLATE.search(text) is not None


def check_text(name: str, text: str) -> str:
    """See that a text can be stored and sent.

    Raises: InvalidMessage: names the field.
    """
    size = len(text)
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise InvalidMessage(name, "has half a character (a lone surrogate), which cannot be sent") from None
    if size > LARGEST_TEXT:
        raise InvalidMessage(name, f"is {size:,} bytes long; a text has at most {LARGEST_TEXT:,}")
    if "\0" in text:
        raise InvalidMessage(name, "has a NUL character, which no phone shows and no database stores; remove it")
    return text


_NESTED = f"the template nests blocks or expressions more than {DEEPEST} deep"


def short(problem: object) -> str:
    said = " ".join(str(problem).split())
    return said if len(said) <= LONGEST_PROBLEM else f"{said[:LONGEST_PROBLEM]}…"


# -- before it is compiled -------------------------------------------------------------------------------------------


def _check_brackets(source: str) -> None:
    depth = 0
    for _, token, value in _ENVIRONMENT.lex(source):
        if token == "operator":
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(value, 0)
            if depth > MOST_BRACKETS:
                raise TooMuch(f"has more than {MOST_BRACKETS} brackets within each other")


def _check_depth(tree: nodes.Node) -> int:
    """How many parts it has."""
    level: list[nodes.Node] = [tree]
    size = 0
    for _ in range(DEEPEST):
        size += len(level)
        if size > MOST_PARTS:
            raise TooMuch(f"has more than {MOST_PARTS:,} parts")
        level = [below for each in level for below in each.iter_child_nodes()]
        if not level:
            return size
        for each in level:
            if isinstance(each, _OF_OTHERS):
                raise TemplateSyntaxError("there are no other templates to include or import", each.lineno)
    raise TooMuch(_NESTED.removeprefix("the template "))


class _Paying(NodeTransformer):
    """Has what could take much pay for it."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        cost = _cost(node.body)
        test_cost = 0 if node.test is None else _cost([node.test])
        self.generic_visit(node)
        node.body.insert(0, _pay(cost, node))
        if node.test is not None:
            node.test = nodes.And(_filtered(nodes.Const(test_cost), _ROUND, node), node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._repeatable(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._repeatable(node)

    def visit_Block(self, node: nodes.Block) -> nodes.Node:
        return self._repeatable(node)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._literal(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        return self._literal(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._literal(node) if node.ctx == "load" else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(nodes.Tuple(node.nodes, "load", lineno=node.lineno), _JOINED, node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, _HELD, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _compared(node.expr)
        for operand in node.ops:
            operand.expr = _compared(operand.expr)
        return node

    def _repeatable(self, node: nodes.Macro | nodes.CallBlock | nodes.Block) -> nodes.Node:
        cost = _cost(node.body)
        self.generic_visit(node)
        node.body.insert(0, _pay(cost, node))
        return node

    def _literal(self, node: nodes.Expr) -> nodes.Node:
        if all(isinstance(each, nodes.Const) for each in node.find_all(nodes.Expr)):
            return node
        self.generic_visit(node)
        return _filtered(node, _HELD, node)


def _cost(body: Iterable[nodes.Node]) -> int:
    """Of going through it once."""
    parts = [each for node in body for each in (node, *node.find_all(nodes.Node))]
    written = sum(len(each.data) for each in parts if isinstance(each, nodes.TemplateData))
    looked_up = sum(isinstance(each, nodes.Getattr) for each in parts)
    return written + looked_up * STEP + len(parts) * STEP // 4


def _pay(cost: int, at: nodes.Node) -> nodes.ExprStmt:
    return nodes.ExprStmt(_filtered(nodes.Const(cost), _ROUND, at), lineno=at.lineno)


def _compared(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _filtered(node, _HELD, node)


def _filtered(node: nodes.Expr, name: str, at: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=at.lineno)


# -- while it is filled ----------------------------------------------------------------------------------------------


@pass_context
def _round(_: Context, cost: int) -> bool:
    """One round of a loop, or a call."""
    allowance = ours()
    allowance.go_round()
    allowance.spend(max(1, cost))
    return True


@pass_context
def _held(_: Context, value: Any) -> Any:
    ours().spend(STEP + weigh(value, opaque=True))
    return value


@pass_context
def _joined(context: Context, parts: tuple[Any, ...]) -> str:
    ours().spend(STEP + fits(weigh_arguments(parts, {})))
    return markup_join(parts) if context.eval_ctx.autoescape else str_join(parts)


@pass_context
def _written(_: Context, value: Any) -> Any:
    """What is written into the text, or into a part of it."""
    ours().spend(STEP + (len(value) if type(value) is str else weigh(value)))
    return value


class _Missing(Undefined):
    """What an installation doesn't have: an error where it would be written, and false, and nobody's equal, where a
    template asks."""

    __slots__ = ()
    __iter__ = __str__ = __len__ = __contains__ = Undefined._fail_with_undefined_error


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which everything is paid for."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        super().__init__(
            undefined=_Missing, keep_trailing_newline=True, optimized=False, finalize=_written, cache_size=0
        )
        self.globals = dict(GLOBALS)
        self.filters = {**guarded_filters(), _ROUND: _round, _HELD: _held, _JOINED: _joined, SKIP: skip}
        self.tests = guarded_tests()

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """What macros, blocks and the like made."""
        whole = "".join(parts)
        if len(whole) > LARGEST_TEXT:
            raise TooMuch(TOO_LARGE)
        ours().spend(len(whole))
        return whole

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        check_operator(operator, left, right)
        made = super().call_binop(context, operator, left, right)
        ours().spend(STEP + weigh(made, opaque=True))
        return made

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # named as Jinja's
        allowance = ours()
        given = {name: value for name, value in kwargs.items() if name not in _LOCALS} if kwargs else kwargs
        allowance.go_round()
        allowance.spend(STEP + weigh_arguments(args, given, opaque=True))
        allowance.spend(check_call(__obj, args, given))
        allowance.go_deeper()
        made = super().call(__context, __obj, *args, **kwargs)
        allowance.depth -= 1  # whatever is raised ends the text
        allowance.spend(weigh(made, opaque=True))
        return made

    def getitem(self, obj: Any, argument: Any) -> Any:
        ours().spend(STEP + weigh(argument))  # what has no text has no place in a message about it either
        return super().getitem(obj, argument)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if getattr(value, "__name__", None) not in ("format", "format_map"):
            return None
        owner = getattr(value, "__self__", None)
        return Formatting(self, owner, value.__name__ == "format_map") if isinstance(owner, str) else None


_LOCALS = ("_block_vars", "_loop_vars")
"""What Jinja passes along with a call's own arguments."""
_ENVIRONMENT = _Environment()
