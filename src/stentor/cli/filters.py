"""Reads what people write for `--filter`, and says it again in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stentor.audience.contract import Condition
from stentor.errors import InvalidConfiguration

_WRITTEN = re.compile(r"(?P<column>[^=!^]+?)(?:(?P<sign>!=|\^=|=)(?P<value>.*)|\s+in\s+(?P<some>.+))", re.DOTALL)
HELP = (
    "Send only to recipients that match: `plan in free,trial`, `country=de`, `country!=at`, or `language^=de` "
    "(begins with de). Repeatable."
)


@dataclass(slots=True)
class _Wanted:
    values: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    none_of: list[str] = field(default_factory=list)


def filters(texts: Iterable[str]) -> dict[str, list[str] | Condition]:
    """The filters of a selection. Of those on one column, any value or prefix will do, and no excluded one.

    Raises:
        InvalidConfiguration: one is not a filter.
    """
    found: dict[str, _Wanted] = {}
    for text in texts:
        written = _WRITTEN.fullmatch(text)
        if written is None or not written["column"].strip() or (written["sign"] == "^=" and not written["value"]):
            raise InvalidConfiguration(
                f"--filter: {text!r} is not a filter; write COLUMN=VALUE, COLUMN!=VALUE, COLUMN^=PREFIX or"
                " 'COLUMN in A,B'"
            )
        wanted = found.setdefault(written["column"].strip(), _Wanted())
        match written["sign"]:
            case "=":
                wanted.values.append(written["value"])
            case "!=":
                wanted.none_of.append(written["value"])
            case "^=":
                wanted.prefixes.append(written["value"])
            case _:
                wanted.values += [value.strip() for value in written["some"].split(",")]
    return {column: _shortest(wanted) for column, wanted in found.items()}


def _shortest(wanted: _Wanted) -> list[str] | Condition:
    if not (wanted.prefixes or wanted.none_of):
        return wanted.values
    return Condition(values=wanted.values, prefixes=wanted.prefixes, none_of=wanted.none_of)


def in_words(wanted: Mapping[str, Sequence[str] | Condition]) -> list[str]:
    """Each filter as people read it."""
    return [_said(column, each) for column, each in wanted.items()]


def _said(column: str, wanted: Sequence[str] | Condition) -> str:
    if not isinstance(wanted, Condition):
        return f"{column} = {' or '.join(wanted)}"
    some = [*wanted.values, *(f"{prefix}…" for prefix in wanted.prefixes)]
    parts = [f"{column} = {' or '.join(some)}"] if some else []
    if wanted.none_of:
        parts.append(f"{column} not {' or '.join(wanted.none_of)}")
    return " and ".join(parts)
