"""Garbage from the peer: only clean protocol errors, nothing unaccounted for, nothing unbounded.

`STENTOR_FUZZ_CASES` sets the number of cases (100,000 by default); a failure prints the seed of its case.
"""

from __future__ import annotations

import os
import random

import pytest

from stentor.errors import ProtocolError
from stentor.http2 import frames
from stentor.http2.burst import Fate
from stentor.http2.connection import MAX_UNSENT_CONTROL, Connection, Exchange
from tests.unit.http2.peer import Peer, burst

CASES = int(os.environ.get("STENTOR_FUZZ_CASES", "100000"))
PARTS = 4
REQUESTS = burst(6, b"x" * 30)
LONGEST_TAIL = frames.HEADER_SIZE + frames.DEFAULT_MAX_FRAME_SIZE


def legal_frames(draw: random.Random, peer: Peer) -> list[bytes]:
    stream_id = draw.choice((1, 3, 5, 7, 9, 11))
    return [
        peer.answer(stream_id, draw.choice((200, 200, 400, 410, 503)), draw.randbytes(draw.randrange(40))),
        frames.frame(
            frames.HEADERS, frames.END_HEADERS, stream_id, peer.block(200, (b"a", draw.randbytes(3).hex().encode()))
        ),
        frames.frame(frames.HEADERS, 0, stream_id, peer.block(100)),
        frames.frame(frames.CONTINUATION, draw.choice((0, 4)), stream_id, peer.block(200)),
        frames.frame(frames.DATA, draw.choice((0, 1, 8, 9)), stream_id, draw.randbytes(draw.randrange(20))),
        frames.rst_stream(stream_id, draw.randrange(15)),
        frames.settings([(draw.randrange(8), draw.choice((0, 1, 100, 16_384, 65_535, 2**31 - 1)))]),
        frames.window_update(draw.choice((0, stream_id)), draw.choice((0, 1, 1000, 2**31 - 1))),
        frames.ping(b"\0" * 8, ack=draw.random() < 0.5),
        frames.goaway(draw.choice((0, 3, 2**31 - 1)), draw.randrange(15), draw.randbytes(draw.randrange(9))),
        frames.frame(draw.randrange(256), draw.randrange(256), draw.randrange(14), draw.randbytes(draw.randrange(12))),
    ]


def garble(draw: random.Random, data: bytes) -> bytes:
    kind = draw.randrange(5)
    if kind == 0 or not data:
        return data
    position = draw.randrange(len(data))
    if kind == 1:
        return data[:position] + draw.randbytes(draw.randrange(1, 5)) + data[position + 1 :]
    if kind == 2:
        return data[:position] + data[position + draw.randrange(1, 6) :]
    if kind == 3:
        return data[:position]
    flipped = bytearray(data)
    flipped[position] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def one_case(seed: int) -> None:
    draw = random.Random(seed)
    peer = Peer(started=draw.random() < 0.95)
    client = peer.client
    flight = Exchange(REQUESTS)
    taken = client.submit(flight, range(draw.randrange(7)))
    messages = draw.choices(legal_frames(draw, peer), k=draw.randrange(1, 6))
    if draw.random() < 0.05:
        messages.append(draw.randbytes(draw.randrange(60)))
    data = garble(draw, b"".join(messages))
    cut = draw.randrange(len(data) + 1)
    try:
        for piece in (data[:cut], data[cut:]):
            client.receive(piece)
            check_bounds(client)
    except ProtocolError:
        pass
    client.lost("over")
    handed_back = [index for _, index, _ in client.returned]
    settled = [index for index, fate in enumerate(flight.results.fates) if fate != Fate.PENDING]
    assert sorted(handed_back + settled) == list(range(taken))
    assert flight.left == len(REQUESTS) - len(settled)


def check_bounds(client: Connection) -> None:
    assert len(client._tail) <= LONGEST_TAIL
    assert client._control_bytes <= MAX_UNSENT_CONTROL
    assert len(client._heads) <= client.open_streams
    assert len(client._chunks) <= client.open_streams


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_fuzzed_server_bytes_are_only_ever_protocol_errors(part: int) -> None:
    for seed in range(part, CASES, PARTS):
        try:
            one_case(seed)
        except BaseException as error:
            error.add_note(f"fuzz case {seed}")
            raise
