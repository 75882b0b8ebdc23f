"""What is given for a segment, in whatever spelling: text, JSON in MongoDB's words, OneSignal's filters, or a name."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec

from stentor.audience.segments import mongo, onesignal, text
from stentor.audience.segments.written import written
from stentor.errors import InvalidSegment

Spelt: TypeAlias = str | dict[str, Any] | list[Any]
"""A text or a name; JSON; filters."""

LONGEST_NAME = 100
"""Characters of a segment's name."""
_NAME = re.compile(rf"\w[\w.-]{{0,{LONGEST_NAME - 1}}}")


def is_name(said: str) -> bool:
    """Whether it is a name: one word, which no condition is."""
    return _NAME.fullmatch(said) is not None


def checked_name(name: str) -> str:
    """Raises: InvalidSegment: it cannot be a segment's name."""
    if not is_name(name):
        raise InvalidSegment(
            f"a segment's name is one word of up to {LONGEST_NAME} letters, digits, `_`, `-` and `.`", field="name"
        )
    return name


def canonical(said: Spelt) -> str:
    """A segment as `written` writes it.

    Raises:
        InvalidSegment: it is none.
    """
    if isinstance(said, str) and said.lstrip()[:1] in ("{", "["):
        try:
            said = msgspec.json.decode(said, type=dict[str, Any] | list[Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidSegment(f"is not JSON: {error}") from None
    if isinstance(said, str):
        return written(text.read(said))
    return written(onesignal.read(said) if isinstance(said, list) else mongo.read(said))


def told(said: Spelt | None) -> tuple[str | None, str | None]:
    """The segment, or the name of one, of what was given; both None where nothing was.

    Raises:
        InvalidSegment: it is neither.
    """
    if said is None or said == "":
        return None, None
    if isinstance(said, str) and is_name(said.strip()):
        return None, said.strip()
    return canonical(said), None
