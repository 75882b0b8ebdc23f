"""Commands that share some of their options: these stand in the place of one parameter, which is what they make."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any


def expanded(
    command: Callable[..., None],
    parameter: str,
    options: Mapping[str, tuple[Any, Any]],
    make: Callable[[Mapping[str, Any]], Any],
) -> Callable[..., None]:
    """A command that has options in the place of one of its parameters.

    Args:
        options: by name their type, as typer takes it, and their default.
        make: gives the parameter's value for what the options say, by name.
    """
    own = inspect.signature(command, eval_str=True)

    @wraps(command)
    def run(**given: Any) -> None:
        made = make({name: given.pop(name) for name in options})
        command(**{parameter: made}, **given)

    parameters = []
    for name, each in own.parameters.items():
        if name == parameter:
            parameters += [
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
                for option, (kind, default) in options.items()
            ]
        else:
            parameters.append(each.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
