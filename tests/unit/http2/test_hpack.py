"""HPACK: our encoder against the library's decoder, and the library's Rust decoder against a second implementation."""

from __future__ import annotations

import hpack as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.errors import ProtocolError
from stentor.http2 import encode
from stentor.http2.burst import Template
from stentor.http2.frames import COMPRESSION_ERROR
from stentor.http2.hpack import MAX_KNOWN_BLOCKS, Decoder, Encoder, integer

names = st.sampled_from([b":status", b"content-type", b"date", b"apns-id", b"x-a", b"x-b"])
values = st.sampled_from([b"", b"200", b"application/json", b"v" * 20, b"w" * 200]) | st.binary(max_size=40)
blocks = st.lists(st.lists(st.tuples(names, values), max_size=6), min_size=1, max_size=12)


@given(blocks=blocks, sizes=st.lists(st.sampled_from([0, 40, 100, 4096]), max_size=4), huffman=st.booleans())
@settings(max_examples=300, deadline=None)
def test_decoding_agrees_with_another_implementation(
    blocks: list[list[tuple[bytes, bytes]]], sizes: list[int], huffman: bool
) -> None:
    encoder, decoder = reference.Encoder(), Decoder(65_536)
    for number, fields in enumerate(blocks):
        if number % 3 == 1 and sizes:
            encoder.header_table_size = sizes[number % len(sizes)]
        for _ in range(2):  # the second time as references, which the decoder remembers
            block = encoder.encode(fields, huffman=huffman)
            assert [(name, value) for name, value, _ in decoder.decode(block)] == fields


def test_remembered_blocks_are_forgotten_when_the_table_changes() -> None:
    encoder, decoder = reference.Encoder(), Decoder(65_536)
    first, second = [(b"x-a", b"1")], [(b"x-a", b"2")]
    decoder.decode(encoder.encode(first))
    same = encoder.encode(first)
    assert len(same) == 1
    assert decoder.decode(same) == decoder.decode(same) == [(b"x-a", b"1", False)]
    decoder.decode(encoder.encode(second))
    assert [field[:2] for field in decoder.decode(same)] == second, "index 62 is another field now"
    for index in range(1, 62):
        decoder.decode(bytes((0x80 | index, 0x88, 0x80 | index)))
        decoder.decode(bytes((0x88, 0x80 | index)))
    assert len(decoder._known) <= MAX_KNOWN_BLOCKS


@pytest.mark.parametrize(
    "block",
    [b"\x80", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x40", b"\x00\x85ab", b"\x3f\xff\xff\x03", b"\x00\x01"],
)
def test_broken_blocks_are_protocol_errors(block: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        Decoder(65_536).decode(block)
    assert caught.value.code == COMPRESSION_ERROR


def test_an_interrupt_while_decoding_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(65_536)

    def interrupted(block: bytes, raw: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoder, "_decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decoder.decode(b"\x88")


@given(value=st.integers(0, 2**40), bits=st.integers(3, 7))
def test_integers(value: int, bits: int) -> None:
    assert integer(value, bits, 0) == bytes(reference.hpack.encode_integer(value, bits))


constants = st.lists(
    st.tuples(
        st.sampled_from([b":method", b":authority", b"authorization", b"apns-topic", b"x"]),
        values | st.just(b"z" * 4000),
    ),
    max_size=6,
    unique_by=lambda field: field[0],
)


@given(
    templates=st.lists(st.tuples(constants, st.booleans()), min_size=1, max_size=4),
    uses=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, None, 0, 60, 300, 4096, 9000])), max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_every_block_decodes_to_its_headers_whatever_the_table_went_through(
    templates: list[tuple[list[tuple[bytes, bytes]], bool]], uses: list[tuple[int, int | None]]
) -> None:
    encoder, decoder = Encoder(), reference.Decoder(max_header_list_size=2**20)
    made = [Template(tuple(fields), (b"apns-id", b":path") if varying else ()) for fields, varying in templates]
    for which, limit in uses:
        if limit is not None:
            encoder.set_limit(limit)
            decoder.max_allowed_table_size = limit
        template = made[which % len(made)]
        for repeat in range(2):
            row = [b"id%d" % repeat, b"/path%d" % repeat][: len(template.varying)]
            layout = encoder.layout(template)
            block = encode.block(layout, [row[i] for i in layout.order])
            got = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
            assert sorted(got) == sorted([*template.constant, *zip(template.varying, row, strict=True)])
            pseudo = [name.startswith(b":") for name, _ in got]
            assert pseudo == sorted(pseudo, reverse=True), "pseudo-headers come first"
            assert not any(value in row for _, value in decoder.header_table.dynamic_entries), "tokens stay out"
