"""Reads what people write as a filter, and writes a selection's filters the same way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def filters(texts: Iterable[str], name: str = "--filter") -> dict[str, list[str] | Condition]:
    """The filters of a selection. Of those on one column, any value or prefix will do, and no excluded one.

    Args:
        name: what errors call a filter.

    Raises:
        InvalidConfiguration: one is not a filter.
    """
    found: dict[str, _Wanted] = {}
    for text in texts:
        written = _read(text, name)
        wanted = found.setdefault(written["column"], _Wanted())
        if written["some"] is not None:
            some = _values(text, written["some"].strip().strip("()[]"), name)
            (wanted.none_of if written["no"] else wanted.values).extend(some)
            continue
        value, *others = _values(text, written["value"], name)
        if others:
            several = f"{written['column']} {'not in' if written['sign'] == '!=' else 'in'} {written['value'].strip()}"
            raise InvalidConfiguration(
                f"{name}: {text!r} has several values; write '{several}', or put quotes around a value with a comma"
            )
        match written["sign"]:
            case "!=":
                wanted.none_of.append(value)
            case "^=":
                wanted.prefixes.append(value)
            case _:
                wanted.values.append(value)
    return {column: _shortest(wanted) for column, wanted in found.items()}


def _read(text: str, name: str) -> re.Match[str]:
    """The parts of a filter. Raises: InvalidConfiguration: it has none, or would not mean what it seems to."""
    if advice := _advice(text):
        raise InvalidConfiguration(f"{name}: {text!r}: {advice}")
    written = _WRITTEN.fullmatch(text)
    if written is None or (written["sign"] == "^=" and not written["value"].strip()):
        raise InvalidConfiguration(
            f"{name}: {text!r} is not a filter; write COLUMN=VALUE, COLUMN!=VALUE, COLUMN^=PREFIX, 'COLUMN in A,B' or"
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


def _values(text: str, written: str, name: str) -> list[str]:
    """The values in a list with commas: without the space around them, and without quotes.

    Raises: InvalidConfiguration: there is more behind a quote.
    """
    found, position = [], 0
    while position <= len(written):
        value = _VALUE.match(written, position)
        if value is None or (value[3] or "").startswith(('"', "'")):
            raise InvalidConfiguration(f"{name}: {text!r}: a quote is not closed, or more stands behind it")
        found.append(next(each for each in value.groups() if each is not None))
        position = value.end() + (value[0][-1:] != ",")
    return found


def writable(found: Mapping[str, Sequence[str] | Condition]) -> list[str] | None:
    """Filters as people write them: `filters` reads them as these again. None: they cannot be written so."""
    texts = [text for column, wanted in found.items() for text in _as_written(column, wanted)]
    try:
        return texts if filters(texts) == found else None
    except InvalidConfiguration:
        return None


def _as_written(column: str, wanted: Sequence[str] | Condition) -> Iterator[str]:
    condition = wanted if isinstance(wanted, Condition) else Condition(values=list(wanted))
    for values, one, several in ((condition.values, "=", "in"), (condition.none_of, "!=", "not in")):
        if len(values) == 1:
            yield f"{column}{one}{_quoted(values[0])}"
        elif values:
            yield f"{column} {several} {', '.join(map(_quoted, values))}"
    yield from (f"{column}^={_quoted(prefix)}" for prefix in condition.prefixes)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w.@+-]+", value):
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'


def _shortest(wanted: _Wanted) -> list[str] | Condition:
    if not (wanted.prefixes or wanted.none_of):
        return wanted.values
    return Condition(values=wanted.values, prefixes=wanted.prefixes, none_of=wanted.none_of)
