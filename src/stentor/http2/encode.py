"""A burst of requests as bytes: the columns of a `Burst` interleaved into HEADERS and DATA frames.

The whole burst is one `b"".join` over a flat list that extended slices fill a column at a time, so that the cost of a
request is a dozen list slots and no Python bytecode. Where a column's values differ in length, the pieces that hold
lengths become columns too.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from struct import Struct
from sys import byteorder

from stentor.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS
from stentor.http2.hpack import Layout, length_prefix

_LENGTH_AND_TYPE = Struct(">I")
_HEADERS_FLAGS = bytes((END_HEADERS,))
_DATA_FLAGS = bytes((END_STREAM,))


def stream_ids(ids: Iterable[int]) -> list[bytes]:
    """Each stream id as the four bytes that stand in a frame's head."""
    packed = array("I", ids)
    if byteorder == "little":
        packed.byteswap()
    raw = packed.tobytes()
    return [raw[i : i + 4] for i in range(0, len(raw), 4)]


def interleave(parts: Sequence[bytes | Sequence[bytes]], count: int) -> bytes:
    """`count` rows joined: of each part its value for the row, or the part itself where it is the same for all."""
    width = len(parts)
    flat: list[bytes] = [b""] * (width * count)
    for position, part in enumerate(parts):
        flat[position::width] = repeat(part, count) if isinstance(part, bytes) else part
    return b"".join(flat)


def requests(
    layout: Layout, columns: Sequence[Sequence[bytes]], bodies: Sequence[bytes], first_stream_id: int
) -> bytes:
    """HEADERS and one DATA frame with END_STREAM for each request, on consecutive streams.

    `columns` are in the order of `layout.order`. The caller has checked that every block and body fits a frame and
    every window; `layout.first` isn't used here.
    """
    count = len(bodies)
    ids = stream_ids(range(first_stream_id, first_stream_id + 2 * count, 2))
    fixed = sum(map(len, layout.pieces))
    lengths = [_uniform_or_column(column) for column in columns]
    parts: list[bytes | Sequence[bytes]] = [_headers_head(fixed, lengths, count), ids]
    for piece, column, length in zip(layout.pieces, columns, lengths, strict=False):
        if isinstance(length, int):
            parts.append(piece + length_prefix(length))
        else:
            parts.append([piece + length_prefix(size) for size in length])
        parts.append(column)
    if layout.pieces[-1]:
        parts.append(layout.pieces[-1])
    body_length = _uniform_or_column(bodies)
    if isinstance(body_length, int):
        parts.append(_data_head(body_length))
    else:
        parts.append([_data_head(size) for size in body_length])
    parts += (ids, bodies)
    return interleave(parts, count)


def block(layout: Layout, values: Sequence[bytes]) -> bytes:
    """The header block of a single request; takes `layout.first` where there is one."""
    pieces = layout.first or layout.pieces
    literals = (length_prefix(len(value)) + value for value in values)
    return b"".join((*chain.from_iterable(zip(pieces, literals, strict=False)), pieces[-1]))


def _uniform_or_column(column: Sequence[bytes]) -> int | list[int]:
    lengths = list(map(len, column))
    first = lengths[0]
    return first if lengths.count(first) == len(lengths) else lengths


def _headers_head(fixed: int, lengths: list[int | list[int]], count: int) -> bytes | list[bytes]:
    for length in lengths:
        if isinstance(length, int):
            fixed += length + len(length_prefix(length))
    varying = [length for length in lengths if not isinstance(length, int)]
    if not varying:
        return _LENGTH_AND_TYPE.pack(fixed << 8 | HEADERS) + _HEADERS_FLAGS
    totals = [fixed + sum(n + len(length_prefix(n)) for n in row) for row in zip(*varying, strict=True)]
    return [_LENGTH_AND_TYPE.pack(total << 8 | HEADERS) + _HEADERS_FLAGS for total in totals]


def _data_head(size: int) -> bytes:
    return _LENGTH_AND_TYPE.pack(size << 8 | DATA) + _DATA_FLAGS
