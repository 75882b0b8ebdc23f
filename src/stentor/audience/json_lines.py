"""JSON Lines, an object a line, whether they come from a file or as a stream. Memory stays the same whatever comes.

Lines count from 1, empty ones included. One bad line is a `Bad`, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec

from stentor.audience.rows import ColumnMapping

LONGEST_LINE = 1024 * 1024
"""Bytes; what is longer is no row of installations."""
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Read:
    """A row that could be read: what it says, by the names that the mapping gives its columns."""

    line: int
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that could not be read."""

    line: int
    rule: str
    """The same words for the same fault."""
    detail: str = ""


def too_long(line: int) -> Bad:
    return Bad(line, "line too long", f"more than {LONGEST_LINE} bytes")


class ObjectReader:
    """Reads lines, an object each. Neighbours mostly have the same columns, so these are looked at once."""

    def __init__(self, mapping: ColumnMapping) -> None:
        self._mapping = mapping
        self._decode = msgspec.json.Decoder().decode
        self._columns: list[str] = []
        self._picked = mapping.pick([])

    def read(self, number: int, line: str) -> Read | Bad | None:
        """What a line says; None of an empty one."""
        if not line or line.isspace():
            return None
        try:
            found = self._decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            return Bad(number, "malformed JSON", str(error))
        if not isinstance(found, dict):
            return Bad(number, "malformed JSON", "each line must be one object")
        columns = list(found)
        if columns != self._columns:
            self._columns = columns
            self._picked = self._mapping.pick(columns)
        return Read(number, self._picked.row(list(found.values())))


async def read_stream(
    pieces: AsyncIterable[bytes], mapping: ColumnMapping, rows: int, size: int
) -> AsyncIterator[list[Read | Bad]]:
    """The rows of a stream, so many at a time.

    Args:
        pieces: the text, cut anywhere.
        rows, size: of one lot, rows at most; and bytes, or one line more.
    """
    reader = ObjectReader(mapping)
    batch: list[Read | Bad] = []
    held = 0
    async for number, line in _lines(pieces):
        row = _read(reader, number, line)
        if row is not None:
            batch.append(row)
            held += 0 if line is None else len(line)
        if len(batch) == rows or held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _read(reader: ObjectReader, number: int, line: bytes | None) -> Read | Bad | None:
    if line is None:
        return too_long(number)
    try:
        return reader.read(number, line.decode())
    except UnicodeDecodeError:
        return Bad(number, "not UTF-8")


async def _lines(pieces: AsyncIterable[bytes]) -> AsyncIterator[tuple[int, bytes | None]]:
    """The lines with their numbers; None in the place of one that is too long."""
    number = 0
    rest = bytearray()
    skipping = False  # the rest of a line that is too long
    async for piece in pieces:
        first, newline, more = piece.partition(b"\n")
        if not skipping:
            rest += first
        if len(rest) > LONGEST_LINE:
            skipping, rest = True, bytearray()
        if not newline:
            continue
        number += 1
        yield number, None if skipping else _without_bom(number, bytes(rest))
        *whole, last = more.split(b"\n")
        for line in whole:
            number += 1
            yield number, line if len(line) <= LONGEST_LINE else None
        skipping, rest = (True, bytearray()) if len(last) > LONGEST_LINE else (False, bytearray(last))
    if rest or skipping:
        number += 1
        yield number, None if skipping else _without_bom(number, bytes(rest))


def _without_bom(number: int, line: bytes) -> bytes:
    return line.removeprefix(BOM) if number == 1 else line
