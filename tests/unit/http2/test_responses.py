"""A malformed response (RFC 9113, 8.1.1) is never an acceptance, whatever its status says."""

from __future__ import annotations

import pytest

from stentor.http2 import frames
from stentor.http2.burst import Fate
from tests.unit.http2.peer import Peer, fates

Field = tuple[bytes, bytes]

STATUS: Field = (b":status", b"200")
ID: Field = (b"apns-id", b"0a1b2c3d-1111-4222-8333-444455556666")

BAD_HEADS: dict[str, tuple[list[Field], str]] = {
    "upper case": ([STATUS, (b"Apns-Id", ID[1])], "header name 'Apns-Id' is not lower case"),
    "two statuses": ([STATUS, STATUS], "pseudo-header ':status'"),
    "two statuses, apart": ([STATUS, ID, (b":status", b"410")], "pseudo-header ':status'"),
    "a request's pseudo-header": ([STATUS, (b":path", b"/")], "pseudo-header ':path'"),
    "connection": ([STATUS, (b"connection", b"close")], "connection-specific header 'connection'"),
    "an odd name": ([STATUS, (b"a b", b"")], "header name 'a b'"),
    "an empty name": ([STATUS, (b"", b"")], "header name ''"),
    "no status": ([ID], "no valid status"),
    "the status second": ([ID, STATUS], "no valid status"),
    "nothing": ([], "no valid status"),
    "a length that is no number": ([STATUS, (b"content-length", b"+0")], "a content-length that is no number"),
    "two lengths": ([STATUS, (b"content-length", b"0"), (b"content-length", b"1")], "a content-length"),
}


def head(peer: Peer, stream_id: int, fields: list[Field], *, end: bool) -> bytes:
    block = bytes(peer.encoder.encode(fields))
    return frames.headers(stream_id, block, end_stream=end, max_frame_size=frames.DEFAULT_MAX_FRAME_SIZE)


def body(stream_id: int, content: bytes, *, end: bool = True) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, content)


@pytest.mark.parametrize("end", [True, False], ids=["without a body", "with a body"])
@pytest.mark.parametrize(("fields", "problem"), BAD_HEADS.values(), ids=BAD_HEADS)
def test_headers(fields: list[Field], problem: str, end: bool) -> None:
    peer = Peer()
    flight = peer.submit(2)
    peer.say(head(peer, 1, fields, end=end))
    assert [(frame.kind, frame.stream_id) for frame in peer.sent() if frame.kind == frames.RST_STREAM] == [
        (frames.RST_STREAM, 1)
    ]
    assert fates(flight) == [Fate.AMBIGUOUS, Fate.PENDING]
    assert flight.results.reasons[0].startswith(f"malformed response: {problem}")
    peer.say(peer.answer(3, 200, b"", ID))
    assert fates(flight)[1] is Fate.RESPONSE, "the connection goes on"


def test_what_was_in_order_once_is_judged_again_with_other_company() -> None:
    peer = Peer()
    flight = peer.submit(3)
    peer.say(peer.answer(1, 200, b"", ID))
    peer.say(head(peer, 3, [STATUS, ID, (b":status", b"200")], end=True))
    peer.say(peer.answer(5, 200, b"", ID))
    assert fates(flight) == [Fate.RESPONSE, Fate.AMBIGUOUS, Fate.RESPONSE]


@pytest.mark.parametrize("status", [200, 410])
@pytest.mark.parametrize("pieces", [[b""], [b"ab"], [b"ab", b"c", b"de"], [b"abcdef"], [b"abc", b"def"]])
def test_a_content_length_that_is_wrong(status: int, pieces: list[bytes]) -> None:
    peer = Peer()
    flight = peer.submit(1)
    length = (b"content-length", b"%d" % (1 + len(b"".join(pieces))))
    peer.say(head(peer, 1, [(b":status", b"%d" % status), length], end=not any(pieces)))
    if any(pieces):
        peer.say(*(body(1, piece, end=piece is pieces[-1]) for piece in pieces))
    assert fates(flight) == [Fate.AMBIGUOUS]
    came = len(b"".join(pieces))
    assert flight.results.reasons[0] == f"malformed response: content-length {came + 1}, and {came} bytes came"


@pytest.mark.parametrize(
    ("status", "length", "content"),
    [
        (200, b"0", b""),
        (200, b"3", b"abc"),
        (410, b"3", b"abc"),
        (204, b"7", b""),
        (304, b"7", b""),
        (200, b"003", b"abc"),
    ],
)
def test_a_content_length_that_is_right(status: int, length: bytes, content: bytes) -> None:
    peer = Peer()
    flight = peer.submit(2)
    for stream_id in (1, 3):  # the second is made of references alone
        peer.say(peer.answer(stream_id, status, content, (b"content-length", length), (b"content-length", length)))
    assert fates(flight) == [Fate.RESPONSE] * 2


def test_a_length_is_asked_for_each_time_though_the_headers_are_the_same() -> None:
    peer = Peer()
    flight = peer.submit(4)
    fields = (b"content-length", b"3")
    for stream_id, content in ((1, b"abc"), (3, b"abc"), (5, b"abcd"), (7, b"ab")):
        peer.say(peer.answer(stream_id, 200, content, fields))
    assert fates(flight) == [Fate.RESPONSE] * 2 + [Fate.AMBIGUOUS] * 2


@pytest.mark.parametrize("name", [b"Grpc-Status", b":status", b"connection"])
def test_trailers(name: bytes) -> None:
    peer = Peer()
    flight = peer.submit(2)
    peer.say(head(peer, 1, [STATUS], end=False), body(1, b"x", end=False), head(peer, 1, [(name, b"0")], end=True))
    peer.say(head(peer, 3, [STATUS], end=False), body(3, b"x", end=False), head(peer, 3, [(b"a", b"0")], end=True))
    assert fates(flight) == [Fate.AMBIGUOUS, Fate.RESPONSE]


def test_an_interim_response_is_judged_too() -> None:
    peer = Peer()
    flight = peer.submit(1)
    peer.say(head(peer, 1, [(b":status", b"103"), (b"Link", b"x")], end=False))
    assert fates(flight) == [Fate.AMBIGUOUS]


def test_endless_new_names_are_not_remembered() -> None:
    peer = Peer()
    for number in range(1000):
        peer.submit(1)
        peer.say(peer.answer(2 * number + 1, 200, b"", (b"x-%d" % number, b"")))
    assert len(peer.client._judge.names) <= 256
