"""Addresses of pages about people. Ids may hold anything: slashes, spaces, signs of every script."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from stentor.api.bodies import decode_parameters
from stentor.api.operation import Fields

F = TypeVar("F", bound=Fields)
Query = dict[str, str | bool | None]


def place(*parts: str, **query: str | bool | None) -> str:
    """The address of a page.

    Args:
        parts: of the path; each is one part, whatever it holds.
        query: parameters; what is None is left out.
    """
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    given = {name: _text(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def filters(parameters: Iterable[tuple[str, str]], kind: type[F]) -> F:
    """What a form of filters says. A field that was left empty is not asked for; other parameters are not looked at.

    Raises: ProblemAnswer: a filter cannot be what was filled in.
    """
    names = kind.__struct_fields__
    return decode_parameters([(name, text) for name, text in parameters if name in names and text.strip()], kind)


def query_of(chosen: Fields) -> Query:
    """The parameters that say the same filters again."""
    return {name: value for name, value in msgspec.structs.asdict(chosen).items() if value not in (None, False)} | (
        {"dead": False} if getattr(chosen, "dead", None) is False else {}
    )


def _text(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value
