"""Filters that write numbers, moments and plurals as the recipient's language does.

Rules: how something is written is `formats`' matter; a filter that is called wrongly is found when the template is
compiled, as far as its arguments are written in the template.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.runtime import Context

from stentor.planning.allowance import STEP, fits, ours, weigh_arguments
from stentor.planning.formats import Formats, Unwritable, formats_for

COST = 8 * STEP
"""Of writing one value, beside what any filter costs."""
_NUMBER, _MOMENT = 1, "2030-01-31T18:00:00Z"
_SAMPLES = MappingProxyType(
    {
        **dict.fromkeys(("number", "percent", "currency", "plural"), _NUMBER),
        **dict.fromkeys(("date", "time", "datetime"), _MOMENT),
    }
)
"""A value that each of them can write."""
NAMES = frozenset(_SAMPLES)
MOMENTS = frozenset(name for name, sample in _SAMPLES.items() if sample == _MOMENT)
"""Those that write moments."""


def local_filters() -> dict[str, Callable[..., str]]:
    """By name. They pay for themselves: what they write of a value is short, however long that is."""
    return {name: _filter(name) for name in _SAMPLES}


def _filter(name: str) -> Callable[..., str]:
    method = getattr(Formats, name)

    @pass_context  # so that none is called before there is a text to fill, which compiling would do
    def write(_: Context, value: Any, *args: Any, **kwargs: Any) -> str:
        allowance = ours()
        allowance.spend(COST)
        for each in (value, *args, *kwargs.values()):
            if isinstance(each, Undefined):
                str(each)  # says which name is missing
        if kwargs:
            allowance.spend(weigh_arguments((), kwargs))
        try:
            written: str = method(allowance.formats, value, *args, **kwargs)
        except Unwritable as error:
            raise Unwritable(f"`{name}`: {error.message}") from None
        fits(len(written))
        return written

    write.__name__ = name
    return write


def check_local(tree: nodes.Node) -> tuple[bool, bool]:
    """Whether a template has such filters, and whether any writes a moment.

    Raises: TemplateSyntaxError: one is called wrongly.
    """
    found = [each for each in tree.find_all(nodes.Filter) if each.name in NAMES]
    for each in found:
        _check_call(each)
    return bool(found), any(each.name in MOMENTS for each in found)


def _check_call(node: nodes.Filter) -> None:
    method = getattr(Formats, node.name)
    try:
        inspect.signature(method).bind(None, None, *node.args, **{str(each.key): each.value for each in node.kwargs})
    except TypeError as error:
        raise TemplateSyntaxError(f"`{node.name}`: {error}", node.lineno) from None
    given = [*node.args, *(each.value for each in node.kwargs)]
    if not all(isinstance(each, nodes.Const) for each in given) or node.dyn_args or node.dyn_kwargs:
        return
    args = [each.value for each in node.args if isinstance(each, nodes.Const)]
    kwargs = {str(each.key): each.value.value for each in node.kwargs if isinstance(each.value, nodes.Const)}
    if problem := problem_of_call(node.name, args, kwargs):
        raise TemplateSyntaxError(problem, node.lineno) from None


def problem_of_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """What is wrong with such arguments of a filter, whatever the value is; None: nothing."""
    method = getattr(Formats, name)
    try:
        inspect.signature(method).bind(None, None, *args, **kwargs)
        method(formats_for("", "", ""), _SAMPLES[name], *args, **kwargs)
    except TypeError as error:
        return f"`{name}`: {error}"
    except Unwritable as error:
        return f"`{name}`: {error.message}"
    return None
