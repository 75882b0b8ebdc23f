"""`{{ skip('why') }}`: a template that says that its recipient gets nothing.

Rules: it is told apart from a name that an installation has, as only a call of `skip` is one; the reason is short, and
one that is written in the template is looked at by the check.
"""

from __future__ import annotations

from typing import Any

from jinja2 import TemplateRuntimeError, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from stentor.planning.allowance import STEP, ours

NAME = "skip"
FILTER = "(skip)"
"""A filter that no template can name."""
LONGEST_WHY = 100
"""Characters of a reason."""
_HINT = "write why, for example {{ skip('no open order') }}"


class Skip(TemplateRuntimeError):
    """This recipient gets nothing; the message says why."""


class Skips(NodeTransformer):
    """Finds the calls of `skip` in a template, and has them end it."""

    def __init__(self) -> None:
        self.found = False

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        """Raises: TemplateSyntaxError: it says nothing, or too much."""
        self.generic_visit(node)
        if not isinstance(node.node, nodes.Name) or node.node.name != NAME:
            return node
        if len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise TemplateSyntaxError(f"`skip` has one text: {_HINT}", node.lineno)
        (why,) = node.args
        if isinstance(why, nodes.Const):
            check_why(why.value, node.lineno)
        self.found = True
        return nodes.Filter(why, FILTER, [], [], None, None, lineno=node.lineno)


def check_why(why: object, line: int) -> None:
    """See that a reason, as a template has it, is one. Raises: TemplateSyntaxError."""
    if not isinstance(why, str) or not why.strip():
        raise TemplateSyntaxError(f"`skip` needs a text: {_HINT}", line)
    if len(why) > LONGEST_WHY:
        raise TemplateSyntaxError(f"the reason of `skip` has {len(why)} characters, and at most {LONGEST_WHY}", line)


def shortened(why: str) -> str:
    """A reason that was put together for a recipient, in one line."""
    told = " ".join(why[: 2 * LONGEST_WHY].split()) or "no reason was given"
    return told if len(told) <= LONGEST_WHY else f"{told[: LONGEST_WHY - 1]}…"


@pass_context
def skip(_: Context, why: Any) -> str:
    """Raises: Skip."""
    ours().spend(STEP)
    if isinstance(why, Undefined):
        str(why)  # says which name is missing
    raise Skip(shortened(str(why) if isinstance(why, str | int | float) else ""))
