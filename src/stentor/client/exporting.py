"""Long lists of the API, read as they come, compressed on the way: as rows, or saved as a file.

Rules: if the connection breaks off, it goes on after the last whole row, so that no row is missing and none is there
twice; memory doesn't grow with the list.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import BinaryIO, Literal, TypeVar

import aiohttp
import msgspec

from stentor.client.connection import (
    LOST,
    ApiConnection,
    ApiRequest,
    decoded,
    is_good,
    lost_by,
    may_come_back,
    passes,
    problem_of,
)
from stentor.client.shapes import Failure, Recipient

Row = TypeVar("Row", Failure, Recipient)
ExportFormat = Literal["csv", "jsonl"]


class _Place(msgspec.Struct):
    """Where a row stands."""

    batch_id: str
    position: int

    def __str__(self) -> str:
        return f"{self.batch_id}:{self.position}"


async def rows(
    connection: ApiConnection, path: str, query: Mapping[str, object], kind: type[Row]
) -> AsyncGenerator[Row, None]:
    """Each row. Raises: ApiProblem."""
    async with aclosing(_lines(connection, path, {**query, "format": "jsonl"})) as lines:
        async for response, line, _ in lines:
            yield decoded(response, line, kind)


async def save(
    connection: ApiConnection, path: str, query: Mapping[str, object], file: BinaryIO, kind: ExportFormat
) -> None:
    """Write all rows to a file. If it fails, the file has whole rows up to there. Raises: ApiProblem."""
    named = False
    async with aclosing(_lines(connection, path, {**query, "format": kind})) as lines:
        async for _, line, first in lines:
            names = first and kind == "csv"  # of the columns: they come anew with each answer
            if not (names and named):
                file.write(line)
            named = named or names


async def _lines(
    connection: ApiConnection, path: str, query: Mapping[str, object]
) -> AsyncGenerator[tuple[aiohttp.ClientResponse, bytes, bool], None]:
    """Each whole line, the answer that it is from, and whether it is the first of that."""
    patience, after, quoted = connection.patience(), query.get("after"), query["format"] == "csv"
    while True:
        request = ApiRequest(method="GET", path=path, query={**query, "after": after})
        refused, names, last = False, b"", b""
        try:
            async with connection.sent(request) as response:
                if not is_good(response, "text/csv" if quoted else "application/jsonl"):
                    problem = problem_of(response, await response.read())
                    refused = not passes(problem)
                else:
                    first = True
                    async with aclosing(_whole(response.content.iter_any(), quoted=quoted)) as lines:
                        async for line in lines:
                            yield response, line, first
                            if first and quoted:
                                names = line
                            else:
                                last = line
                                patience.renew()
                            first = False
                    return
        except LOST as error:
            problem, refused = lost_by(error), not may_come_back(error)
        if refused:
            raise problem
        if last:
            after = _place(last, names)
        await patience.wait(problem)


async def _whole(pieces: AsyncIterator[bytes], *, quoted: bool) -> AsyncGenerator[bytes, None]:
    """Lines with their ends. What comes after the last end is left out.

    Args:
        quoted: in quotes, a line's end is a part of the text (RFC 4180).
    """
    rest, within = b"", False
    async for piece in pieces:
        *ended, last = piece.split(b"\n")
        for part in ended:
            rest += part + b"\n"
            within ^= quoted and part.count(b'"') % 2 == 1
            if not within:
                yield rest
                rest = b""
        rest += last
        within ^= quoted and last.count(b'"') % 2 == 1


def _place(line: bytes, names: bytes) -> str:
    if not names:
        return str(msgspec.json.decode(line, type=_Place))
    head, row = csv.reader(io.StringIO((names + line).decode(), newline=""))
    found = dict(zip(head, row, strict=True))
    return str(_Place(found["batch_id"], int(found["position"])))
