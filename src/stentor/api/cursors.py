"""Cursors: where a list goes on, signed, and good for the question they were given for alone."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from stentor.access.signing import seal, unseal
from stentor.api.problems import INVALID_CURSOR, ProblemAnswer

LASTS = 7 * 86_400.0
"""Seconds for which a cursor can be used."""


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    question: bytes
    place: list[str | int | float]


class Cursors:
    """Makes and reads them with a key that all processes share."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "<Cursors>"

    def make(self, question: tuple[Any, ...], place: list[str | int | float], now: float) -> str:
        """Args:
        question: all that must be the same when the cursor is used: the operation and its filters.
        place: where to go on after.
        now: epoch seconds.
        """
        return seal(self._key, msgspec.msgpack.encode(_Cursor(_digest(question), place)), now + LASTS)

    def read(self, question: tuple[Any, ...], cursor: str, now: float) -> list[str | int | float]:
        """Raises: ProblemAnswer: it isn't one of ours, is too old, or was made for another question."""
        content = unseal(self._key, cursor, now)
        if content is None:
            raise ProblemAnswer(INVALID_CURSOR, "The cursor is not whole, or older than a week; begin without one.")
        found = msgspec.msgpack.decode(content, type=_Cursor)
        if found.question != _digest(question):
            raise ProblemAnswer(INVALID_CURSOR, "The cursor is of other filters; keep those, or begin without one.")
        return found.place


def _digest(question: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(question)).digest()[:16]
