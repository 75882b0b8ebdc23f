"""Reads what people write for `--filter`, and says it again in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from stentor.audience.contract import Condition
from stentor.errors import InvalidConfiguration

_WRITTEN = re.compile(
    r"\s*(?P<column>[^=!^]*?[^=!^<>~\s])"
    r"(?:\s*(?P<sign>!=|\^=|==?)(?P<value>.*)|\s+(?P<no>not\s+)?in(?:\s+|(?=\())(?P<some>.+))",
    re.DOTALL | re.IGNORECASE,
)
_VALUE = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,]*?))\s*(?:,|$)""")
_COLUMN = r"\s*(?P<column>[^=!^<>~\"']*?[^=!^<>~\"'\s])"
_IN_SQL = (
    (rf"{_COLUMN}\s*<>\s*(?P<value>.+)", "write {column}!={value}"),
    (rf"{_COLUMN}(?<!\snot)\s+i?like\s+(?P<quote>['\"]?)(?P<value>[^%_'\"]+)%(?P=quote)\s*", "write {column}^={value}"),
    *(
        (
            rf"{_COLUMN}{rest}.*",
            "a filter asks only for values and how they begin; make this the `where` of an audience in stentor.toml",
        )
        for rest in (r"\s*(?:[<>]|=[<>]|!?~)", r"\s+(?:not\s+)?(?:between|i?like)\s", r"\s+is\s+(?:not\s+)?null")
    ),
)
"""What people know from SQL, and what to write instead."""
_JOINED = re.compile(
    r"(?P<first>.+?)\s+(?P<word>and|or)\s+(?P<second>\w[\w .-]*?\s*(?:[=!^<>]|\b(?:not\s+)?in\b).+)",
    re.DOTALL | re.IGNORECASE,
)
HELP = (
    "Send only to recipients that match: `plan in free,trial`, `plan not in free,trial`, `country=de`, `country!=at`, "
    "or `language^=de` (begins with de). Repeatable."
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
        written = _read(text)
        wanted = found.setdefault(written["column"], _Wanted())
        if written["some"] is not None:
            some = _values(text, written["some"].strip().strip("()[]"))
            (wanted.none_of if written["no"] else wanted.values).extend(some)
            continue
        value, *others = _values(text, written["value"])
        if others:
            several = f"{written['column']} {'not in' if written['sign'] == '!=' else 'in'} {written['value'].strip()}"
            raise InvalidConfiguration(
                f"--filter: {text!r} has several values; write '{several}', or put quotes around a value with a comma"
            )
        match written["sign"]:
            case "!=":
                wanted.none_of.append(value)
            case "^=":
                wanted.prefixes.append(value)
            case _:
                wanted.values.append(value)
    return {column: _shortest(wanted) for column, wanted in found.items()}


def _read(text: str) -> re.Match[str]:
    """The parts of a filter. Raises: InvalidConfiguration: it has none, or would not mean what it seems to."""
    if advice := _advice(text):
        raise InvalidConfiguration(f"--filter: {text!r}: {advice}")
    written = _WRITTEN.fullmatch(text)
    if written is None or (written["sign"] == "^=" and not written["value"].strip()):
        raise InvalidConfiguration(
            f"--filter: {text!r} is not a filter; write COLUMN=VALUE, COLUMN!=VALUE, COLUMN^=PREFIX, 'COLUMN in A,B' or"
            " 'COLUMN not in A,B'"
        )
    return written


def _advice(text: str) -> str | None:
    """What to write instead of what only SQL knows; None where it is nothing of this kind."""
    joined = _JOINED.fullmatch(text)
    if joined is not None and not any(joined["first"].count(quote) % 2 for quote in "\"'"):
        if joined["word"].lower() == "and":
            how = "give each condition as a --filter of its own"
        else:
            how = "write 'COLUMN in A,B' for several values of one column"
        return f"{how}, or put quotes around a value with {joined['word']!r} in it"
    for pattern, advice in _IN_SQL:
        if (found := re.fullmatch(pattern, text, re.DOTALL | re.IGNORECASE)) is not None:
            return advice.format(**found.groupdict())
    return None


def _values(text: str, written: str) -> list[str]:
    """The values in a list with commas: without the space around them, and without quotes.

    Raises: InvalidConfiguration: there is more behind a quote.
    """
    found, position = [], 0
    while position <= len(written):
        value = _VALUE.match(written, position)
        if value is None or (value[3] or "").startswith(('"', "'")):
            raise InvalidConfiguration(f"--filter: {text!r}: a quote is not closed, or more stands behind it")
        found.append(next(each for each in value.groups() if each is not None))
        position = value.end() + (value[0][-1:] != ",")
    return found


def _shortest(wanted: _Wanted) -> list[str] | Condition:
    if not (wanted.prefixes or wanted.none_of):
        return wanted.values
    return Condition(values=wanted.values, prefixes=wanted.prefixes, none_of=wanted.none_of)
