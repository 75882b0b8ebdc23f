"""Long lists as files that are downloaded: CSV or JSON Lines, compressed if the client takes gzip."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Literal

import msgspec
from starlette.requests import Request

from stentor.api.operation import Streamed
from stentor.recording.export import csv_lines, json_lines

CSV, JSON_LINES = "text/csv", "application/jsonl"
Kind = Literal["csv", "jsonl"]
_TAKES_GZIP = re.compile(r"gzip(?!;q=0(\.0*)?(,|$))")


def export(
    request: Request, name: str, kind: Kind, names: Sequence[str], pages: AsyncIterator[Sequence[msgspec.Struct]]
) -> Streamed:
    """A list as a file.

    Args:
        request: says whether the client takes gzip.
        name: of the file, without its ending.
        names: the columns: fields of the objects.
    """
    pieces = csv_lines(names, pages) if kind == "csv" else json_lines(pages)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Vary": "Accept-Encoding"}
    accepted = request.headers.get("accept-encoding", "").lower().replace(" ", "")
    if _TAKES_GZIP.search(accepted):
        headers["Content-Encoding"] = "gzip"
        pieces = _gzip(pieces)
    return Streamed(content_type=CSV if kind == "csv" else JSON_LINES, pieces=pieces, headers=headers)


async def _gzip(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Compressed lightly: the machine has other things to do."""
    packer = zlib.compressobj(level=1, wbits=31)
    async for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
