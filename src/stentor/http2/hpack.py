"""HPACK (RFC 7541): our encoder for bursts, and the border to the library that decodes.

The encoder knows one shape of traffic: constant headers enter the peer's dynamic table once and cost a byte
each from then on; what varies is written as a literal and never enters the table, so that a million device tokens
leave it as it was. Values are sent without Huffman coding: it saves a few bytes and costs more CPU than the whole
rest of a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from jh2._hazmat import Decoder as LibraryDecoder  # the Rust one; `jh2.hpack` has its slow twin in Python
from jh2._hazmat import HPACKError, OversizedHeaderListError
from jh2.hpack.table import HeaderTable

from stentor.errors import ProtocolError
from stentor.http2.burst import Header, Template
from stentor.http2.frames import COMPRESSION_ERROR, DEFAULT_HEADER_TABLE_SIZE

_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_STATIC = HeaderTable.STATIC_TABLE
_STATIC_FIELDS = {field: index for index, field in reversed(list(enumerate(_STATIC, 1)))}
_STATIC_NAMES = {name: index for index, (name, _) in reversed(list(enumerate(_STATIC, 1)))}

_INDEXED = 0x80
_LITERAL_INDEXED = 0x40
_SIZE_UPDATE = 0x20
_LITERAL_NEVER_INDEXED = 0x10
_LITERAL = 0x00


def integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """An integer with a prefix of so many bits (RFC 7541 section 5.1), the bits above it taken from `pattern`."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((pattern | value,))
    out = bytearray((pattern | limit,))
    value -= limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(value: bytes) -> bytes:
    """A string literal without Huffman coding (section 5.2)."""
    return integer(len(value), 7, 0) + value


LENGTHS = tuple(integer(size, 7, 0) for size in range(1024))
"""The length prefixes of short strings, ready made: one tuple look-up where lengths differ within a burst."""


def length_prefix(size: int) -> bytes:
    return LENGTHS[size] if size < len(LENGTHS) else integer(size, 7, 0)


@dataclass(frozen=True, slots=True)
class Layout:
    """A request's header block with holes: `pieces[i]`, then the length and value of column `order[i]`, and so on."""

    pieces: tuple[bytes, ...]
    """One more than there are columns; the last one closes the block (and is often empty)."""
    order: tuple[int, ...]
    """Which column fills each hole: pseudo-headers must come first on the wire (RFC 9113 section 8.3)."""
    first: tuple[bytes, ...] | None
    """The pieces for the first request, when that one has to fill the peer's table; else None."""


MAX_KNOWN_BLOCKS = 64
LONGEST_KNOWN_BLOCK = 16
_ONE_BYTE_INDEXES = bytes(range(0x81, 0xFF))

Fields = list[tuple[bytes, bytes, bool]]
"""A decoded header block: (name, value, must never be indexed), in order."""


class Decoder:
    """The library's decoder, with every failure translated; after one the connection is past saving.

    Blocks made only of one-byte references to the table are remembered until the table may have changed: FCM's
    answers are all alike, and a look-up costs a tenth of decoding one.
    """

    __slots__ = ("_decode", "_known")

    def __init__(self, max_header_list_size: int) -> None:
        self._decode = LibraryDecoder(max_header_list_size).decode
        self._known: dict[bytes, Fields] = {}

    def decode(self, block: bytes) -> Fields:
        """The fields of a whole block.

        Raises:
            ProtocolError: the block is malformed or its header list too long.
        """
        short = len(block) <= LONGEST_KNOWN_BLOCK
        if short and block in self._known:
            return self._known[block]
        try:
            fields = cast(Fields, self._decode(block, True))
        except OversizedHeaderListError:
            raise ProtocolError("header list too long", code=COMPRESSION_ERROR) from None
        except HPACKError as error:
            raise ProtocolError(f"header block cannot be decoded: {error}", code=COMPRESSION_ERROR) from None
        except BaseException as error:
            # A block cut off inside an integer makes the Rust decoder panic, and a panic is no Exception: without
            # this a garbled answer would end the process as if somebody had pressed Ctrl-C.
            if type(error).__name__ != "PanicException":
                raise
            raise ProtocolError("header block is cut off", code=COMPRESSION_ERROR) from None
        if short and not block.translate(None, _ONE_BYTE_INDEXES):
            if len(self._known) < MAX_KNOWN_BLOCKS:
                self._known[block] = fields
        elif self._known:
            self._known.clear()  # that block may have changed the table
        return fields


class Encoder:
    """Mirrors the dynamic table of the peer's decoder."""

    def __init__(self) -> None:
        self._entries: list[Header] = []  # newest first, as the indexes count
        self._size = 0
        self._limit = DEFAULT_HEADER_TABLE_SIZE
        self._lowest_limit: int | None = None  # set while a size update is owed
        self._layouts: dict[Template, Layout] = {}

    def __repr__(self) -> str:
        return f"<Encoder {len(self._entries)} entries, {self._size}/{self._limit} bytes>"

    def set_limit(self, peer_limit: int) -> None:
        """Obey the peer's SETTINGS_HEADER_TABLE_SIZE; never use more than the default, it would gain us nothing.

        The change is announced in the next block, and the smallest limit of several before the last one
        (RFC 7541 section 4.2).
        """
        limit = min(peer_limit, DEFAULT_HEADER_TABLE_SIZE)
        if limit == self._limit:
            return
        self._lowest_limit = limit if self._lowest_limit is None else min(limit, self._lowest_limit)
        self._limit = limit
        self._evict(0)
        self._layouts.clear()

    def layout(self, template: Template) -> Layout:
        """The layout for the next burst. When it has a `first`, that block must be the next one on the wire."""
        steady = self._layouts.get(template)
        if steady is not None and self._lowest_limit is None:
            return steady
        update = self._size_update()
        wanted = self._worth_indexing(template.constant)
        first = None
        if not wanted.issubset(self._entries):
            # Everything is entered afresh, also what is there already: else entering the missing ones could
            # push out the present ones, and the indexes of this very block with them.
            first = self._pieces(template, enter=wanted)
            self._layouts.clear()
        pieces = self._pieces(template, enter=frozenset())
        order = _column_order(template.varying)
        steady = self._layouts[template] = Layout(pieces, order, None)
        if update:
            opening = first or pieces
            first = (update + opening[0], *opening[1:])
        return Layout(pieces, order, first) if first else steady

    def _worth_indexing(self, headers: tuple[Header, ...]) -> frozenset[Header]:
        """Those that fit the table together; a header that doesn't is sent as a literal each time."""
        room = self._limit
        chosen = set()
        for header in headers:
            size = _entry_size(header)
            if header not in _STATIC_FIELDS and header not in chosen and size <= room:
                chosen.add(header)
                room -= size
        return frozenset(chosen)

    def _pieces(self, template: Template, enter: frozenset[Header]) -> tuple[bytes, ...]:
        pieces: list[bytes] = []
        current = bytearray()
        entered: set[Header] = set()
        for pseudo in (True, False):
            for header in template.constant:
                if header[0].startswith(b":") == pseudo:
                    fresh = header in enter and header not in entered
                    current += self._enter(header) if fresh else self._constant(header)
                    entered.add(header)
            for name in template.varying:
                if name.startswith(b":") == pseudo:
                    current += self._name(name, _LITERAL_NEVER_INDEXED, 4)
                    pieces.append(bytes(current))
                    current.clear()
        return (*pieces, bytes(current))

    def _constant(self, header: Header) -> bytes:
        if header in _STATIC_FIELDS:
            return integer(_STATIC_FIELDS[header], 7, _INDEXED)
        if header in self._entries:
            return integer(len(_STATIC) + 1 + self._entries.index(header), 7, _INDEXED)
        return self._name(header[0], _LITERAL, 4) + string(header[1])

    def _enter(self, header: Header) -> bytes:
        encoded = self._name(header[0], _LITERAL_INDEXED, 6) + string(header[1])
        self._evict(_entry_size(header))
        self._entries.insert(0, header)
        self._size += _entry_size(header)
        return encoded

    def _name(self, name: bytes, pattern: int, prefix_bits: int) -> bytes:
        index = _STATIC_NAMES.get(name, 0)
        return integer(index, prefix_bits, pattern) + (b"" if index else string(name))

    def _evict(self, room_for: int) -> None:
        while self._entries and self._size + room_for > self._limit:
            self._size -= _entry_size(self._entries.pop())

    def _size_update(self) -> bytes:
        if self._lowest_limit is None:
            return b""
        limits = [self._lowest_limit] if self._lowest_limit == self._limit else [self._lowest_limit, self._limit]
        self._lowest_limit = None
        return b"".join(integer(limit, 5, _SIZE_UPDATE) for limit in limits)


def _entry_size(header: Header) -> int:
    return len(header[0]) + len(header[1]) + _ENTRY_OVERHEAD


def _column_order(varying: tuple[bytes, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(varying)), key=lambda i: not varying[i].startswith(b":")))
