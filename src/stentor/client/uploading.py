"""Many installations as one request: JSON Lines, made as they are sent, so that memory doesn't grow with them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from stentor.client.connection import ApiConnection, ApiRequest
from stentor.client.shapes import StreamResult

InstallationRow = Mapping[str, Any]
"""`id`, `address` and `channel`, further columns of the registry, and any attributes."""
InstallationRows = Iterable[InstallationRow] | AsyncIterable[InstallationRow]
PIECE = 200
"""Rows that are encoded and sent at a time."""
SILENCE = 600.0
"""Seconds that the service may need for what it has still to commit."""


class RowStream:
    """The body of one request, made anew for each try.

    Rows that come from an iterator can be had once: as soon as the first was taken, there is no second try.
    """

    def __init__(self, rows: InstallationRows) -> None:
        self._rows = rows
        self._begun = False
        self.failure: Exception | None = None
        """Why the rows ended early, if their source failed."""

    @property
    def repeatable(self) -> bool:
        once = isinstance(self._rows, Iterator | AsyncIterator)
        return self.failure is None and not (once and self._begun)

    async def pieces(self) -> AsyncIterator[bytes]:
        encoder = msgspec.json.Encoder()
        self._begun, waiting = True, list[InstallationRow]()
        try:
            async for row in _each(self._rows):
                waiting.append(row)
                if len(waiting) >= PIECE:
                    yield encoder.encode_lines(waiting)
                    waiting.clear()
            if waiting:
                yield encoder.encode_lines(waiting)
        except Exception as error:
            self.failure = error
            raise


async def upsert(
    connection: ApiConnection, path: str, query: Mapping[str, object], rows: InstallationRows
) -> StreamResult:
    """Send all rows. Raises: ApiProblem; and whatever the rows' source raises."""
    body = RowStream(rows)
    request = ApiRequest(
        method="PUT",
        path=path,
        query=query,
        stream=body.pieces,
        headers={"Content-Type": "application/jsonl"},
        silence=SILENCE,
        repeatable=lambda: body.repeatable,
    )
    try:
        return await connection.ask(request, StreamResult)
    finally:
        if body.failure is not None:
            raise body.failure


async def _each(rows: InstallationRows) -> AsyncIterator[InstallationRow]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
