"""The words of a segment's text, with their places; and which value a word without quotes is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from stentor.audience.segments.tree import Instant, Now, Value, Version
from stentor.errors import InvalidSegment

LONGEST = 1_000_000
"""Characters of a segment's text."""
KEYWORDS = frozenset({"and", "or", "not", "in", "starts", "with", "contains", "exists"})
"""Words that mean something by themselves; as names or values they stand in quotes."""
UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
"""Seconds of a duration's units, the longest first."""

Kind: TypeAlias = Literal["word", "quoted", "sign", "mark", "end"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<quoted>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*')
    | (?P<sign><=|>=|!=|<>|==|=|<|>)
    | (?P<mark>[\[\](),])
    | (?P<word>[^\s"'\[\](),=<>!\\;&|]+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
_NAME = re.compile(r"[^\W\d][\w.-]*")
_BARE = re.compile(r"[^\W\d][\w.@/:+-]*")
_NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?", re.ASCII)
_VERSION = re.compile(r"v([0-9]+(?:\.[0-9]+)*)", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?",
    re.ASCII,
)
_NOW = re.compile(r"now(?:(?P<sign>[+-])(?P<duration>.+))?", re.DOTALL)
_DURATION = re.compile(r"(?:[0-9]{1,10}[wdhms])+", re.ASCII)
_PART = re.compile(r"([0-9]+)([wdhms])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """Of what is quoted: what is between the quotes."""
    at: int
    """Where it begins, in characters from the beginning."""
    source: str
    """As it was written."""

    @property
    def keyword(self) -> str:
        """The keyword that it is, or else empty."""
        word = self.text.lower() if self.kind == "word" else ""
        return word if word in KEYWORDS else ""

    def __str__(self) -> str:
        """For people."""
        return "the end" if self.kind == "end" else f"`{self.source[:30]}`"


def tokens(text: str) -> list[Token]:
    """Raises: InvalidSegment: something in it is no word, value or sign."""
    if len(text) > LONGEST:
        raise InvalidSegment(f"is {len(text):,} characters long; {LONGEST:,} are the most")
    return [*_tokens(text), Token("end", "", len(text.rstrip()), "")]


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise InvalidSegment(_stranger(text[position]), text=text, at=position)
        if found["quoted"]:
            yield Token("quoted", _unquoted(text, found["quoted"], position), position, found[0])
        elif found["sign"]:
            yield Token("sign", {"==": "=", "<>": "!="}.get(found[0], found[0]), position, found[0])
        elif found["mark"]:
            yield Token("mark", found[0], position, found[0])
        elif found["word"]:
            yield Token("word", found[0], position, found[0])
        position = found.end()


def _stranger(character: str) -> str:
    if character in "\"'":
        return "a quote is opened here and never closed"
    advice = {"&": "write `and`", "|": "write `or`", "!": "write `not`, or `!=`"}.get(
        character, "put quotes around names and values with such characters"
    )
    return f"{character!r} means nothing here; {advice}"


def _unquoted(text: str, quoted: str, at: int) -> str:
    for escape in _ESCAPE.finditer(quoted):
        if escape[1] not in _ESCAPES:
            raise InvalidSegment(
                f"`{escape[0]}` means nothing; write two backslashes for one", text=text, at=at + escape.start()
            )
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], quoted[1:-1])


def quoted(text: str) -> str:
    """A text as it is written between quotes."""
    for raw, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(raw, escape)
    return f'"{text}"'


def is_bare_name(word: str) -> bool:
    """Whether a name needs no quotes."""
    return _NAME.fullmatch(word) is not None and word.lower() not in KEYWORDS


def is_bare_text(word: str) -> bool:
    """Whether a text needs no quotes to be that text."""
    if _BARE.fullmatch(word) is None or word.lower() in KEYWORDS:
        return False
    return word not in ("true", "false") and _VERSION.fullmatch(word) is None and _NOW.fullmatch(word) is None


def value_of(word: str) -> Value:
    """What a word without quotes is.

    Raises:
        ValueError: it is nothing; the message says what to write instead.
    """
    if word in ("true", "false"):
        return word == "true"
    if _NUMBER.fullmatch(word):
        return whole(float(word)) if "." in word else int(word)
    if version := _VERSION.fullmatch(word):
        return Version(version[1])
    if _MOMENT.fullmatch(word):
        return _moment(word)
    if now := _NOW.fullmatch(word):
        seconds = duration(now["duration"]) if now["sign"] else 0
        return Now(-seconds if now["sign"] == "-" else seconds)
    if is_bare_text(word):
        return word
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+){2,}", word, re.ASCII):
        raise ValueError(f"write `v{word}` for a version, or put quotes around a text")
    if _DURATION.fullmatch(word):
        raise ValueError(f"write `now - {word}` for a moment, or put quotes around a text")
    raise ValueError("put quotes around it")


def whole(number: float) -> int | float:
    """A number without a fraction as a whole number."""
    return int(number) if number.is_integer() else number


def duration(text: str) -> int:
    """Seconds of `7d` or `1h30m`. Raises: ValueError: it is none."""
    if not _DURATION.fullmatch(text):
        raise ValueError("a duration is written like 7d, 12h or 1h30m")
    return sum(int(number) * UNITS[unit] for number, unit in _PART.findall(text))


def written_duration(seconds: int) -> str:
    """Seconds as a duration, the longest units first."""
    if not seconds:
        return "0s"
    parts = []
    for unit, length in UNITS.items():
        if unit == "w":
            continue  # 7d is what people write
        number, seconds = divmod(seconds, length)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)


def _moment(word: str) -> Instant:
    try:
        at = datetime.fromisoformat(word)
        return Instant((at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError("there is no such day or time") from None
