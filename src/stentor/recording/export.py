"""Long lists as text, a piece at a time: CSV for spreadsheets, or JSON Lines.

Rules: in CSV, times are ISO 8601 in UTC, and a text that a spreadsheet would run as a formula gets an apostrophe in
front (`cells`); JSON Lines hold everything unchanged.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from stentor.cells import cell

TIMES = frozenset({"at", "created_at", "starts_at", "finished_at", "registered_at", "dead_at"})
"""Columns with epoch seconds."""


async def json_lines(pages: AsyncIterator[Sequence[msgspec.Struct]]) -> AsyncIterator[bytes]:
    """An object a line."""
    encoder = msgspec.json.Encoder()
    async for page in pages:
        if page:
            yield encoder.encode_lines(page)


async def csv_lines(names: Sequence[str], pages: AsyncIterator[Sequence[msgspec.Struct]]) -> AsyncIterator[bytes]:
    """A line of names, then a line each.

    Args:
        names: the columns: fields of the objects.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    table.writerow(names)
    yield text.getvalue().encode()
    async for page in pages:
        if not page:
            continue
        text.seek(0)
        text.truncate()
        table.writerows(_row(names, each) for each in page)
        yield text.getvalue().encode()


def _row(names: Iterable[str], of: msgspec.Struct) -> list[Any]:
    return [moment(value) if name in TIMES else cell(value) for name in names for value in (getattr(of, name),)]


def moment(at: float | None) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
