"""What the docstrings under the fields of a class say: for the API's document."""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache


@cache
def of_fields(kind: type) -> dict[str, str]:
    """By field, its docstring as one paragraph; those of classes above it too."""
    said: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        said |= _of_module(each.__module__).get(each.__qualname__, {})
    return said


@cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    """By class, its fields' docstrings; of what is written in C, none."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError, KeyError):
        return {}
    return {node.name: _of_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> dict[str, str]:
    said = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            said[field.target.id] = " ".join(below.value.value.split())
    return said
