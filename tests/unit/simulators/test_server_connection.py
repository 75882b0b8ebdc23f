"""What the strict server holds against a client, and what it doesn't."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stentor.http2 import frames as f
from stentor.simulators.server_connection import Rules, ServerConnection
from tests.unit.simulators.raw_client import GOOD, RawClient, split

Bad = Callable[[RawClient], bytes]

HEADER_CASES: dict[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "upper case": ([*GOOD, (b"Apns-Id", b"1")], "not lower case"),
    "connection header": ([*GOOD, (b"connection", b"close")], "connection-specific"),
    "te": ([*GOOD, (b"te", b"gzip")], "te"),
    "pseudo after regular": ([GOOD[0], (b"apns-id", b"1"), *GOOD[1:]], "after a regular header"),
    "pseudo twice": ([GOOD[0], *GOOD], "twice"),
    "response pseudo": ([(b":status", b"200"), *GOOD], "not one of a request"),
    "no path": ([GOOD[0], GOOD[1], GOOD[3]], ":path"),
    "empty path": ([GOOD[0], GOOD[1], (b":path", b""), GOOD[3]], ":path"),
    "path without slash": ([GOOD[0], GOOD[1], (b":path", b"3/device"), GOOD[3]], "slash"),
    "no method": (GOOD[1:], ":method"),
    "no scheme": ([GOOD[0], *GOOD[2:]], ":scheme"),
    "no authority": (GOOD[:3], "neither :authority nor host"),
    "two authorities": ([*GOOD, (b"host", b"elsewhere")], "differ"),
    "line break": ([*GOOD, (b"x", b"a\r\nb")], "line break"),
    "space at the end": ([*GOOD, (b"x", b"a ")], "white space"),
    "odd name": ([*GOOD, (b"x y", b"a")], "characters"),
}

FRAME_CASES: dict[str, tuple[int, str, Bad]] = {
    "frame too large": (f.FRAME_SIZE_ERROR, "16384 allowed", lambda c: f.frame(f.DATA, 0, 1, bytes(16_385))),
    "DATA on stream 0": (f.PROTOCOL_ERROR, "never opened", lambda c: f.frame(f.DATA, 0, 0, b"x")),
    "DATA on an idle stream": (f.PROTOCOL_ERROR, "never opened", lambda c: f.frame(f.DATA, 0, 9, b"x")),
    "even stream": (f.PROTOCOL_ERROR, "even", lambda c: c.headers(2)),
    "HEADERS on stream 0": (f.PROTOCOL_ERROR, "stream 0", lambda c: c.headers(0)),
    "DATA after the end": (
        f.STREAM_CLOSED,
        "closed",
        lambda c: c.headers(1, end=True) + f.frame(f.DATA, 0, 1, b"x"),
    ),
    "HEADERS after the end": (
        f.STREAM_CLOSED,
        "after its END_STREAM",
        lambda c: c.headers(1, end=True) + c.headers(1, [(b"a", b"b")], end=True),
    ),
    "going back": (f.STREAM_CLOSED, "closed or was skipped", lambda c: c.headers(5, end=True) + c.headers(3, end=True)),
    "trailers without an end": (f.PROTOCOL_ERROR, "trailers", lambda c: c.headers(1) + c.headers(1, [(b"a", b"b")])),
    "pseudo in trailers": (f.PROTOCOL_ERROR, "in trailers", lambda c: c.headers(1) + c.headers(1, GOOD, end=True)),
    "content-length": (
        f.PROTOCOL_ERROR,
        "content-length 3",
        lambda c: c.headers(1, [*GOOD, (b"content-length", b"3")]) + f.frame(f.DATA, f.END_STREAM, 1, b"ab"),
    ),
    "content-length no number": (
        f.PROTOCOL_ERROR,
        "no number",
        lambda c: c.headers(1, [*GOOD, (b"content-length", b"x")]),
    ),
    "block interrupted": (
        f.PROTOCOL_ERROR,
        "inside stream 1's header block",
        lambda c: f.frame(f.HEADERS, 0, 1, c.block(GOOD)) + f.ping(bytes(8)),
    ),
    "stray CONTINUATION": (f.PROTOCOL_ERROR, "CONTINUATION", lambda c: f.frame(f.CONTINUATION, 4, 1)),
    "endless block": (
        f.ENHANCE_YOUR_CALM,
        "header block of more",
        lambda c: f.frame(f.HEADERS, 0, 1) + f.frame(f.CONTINUATION, 0, 1, bytes(16_384)) * 5,
    ),
    "large header list": (
        f.ENHANCE_YOUR_CALM,
        "8000 allowed",
        lambda c: c.headers(1, [*GOOD, (b"x", b"y" * 8_000)]),
    ),
    "undecodable block": (f.COMPRESSION_ERROR, "cannot be decoded", lambda c: f.frame(f.HEADERS, 5, 1, b"\xbe")),
    "block that makes the decoder panic": (
        f.COMPRESSION_ERROR,
        "cannot be decoded",
        lambda c: f.frame(f.HEADERS, 5, 1, b"\x82\x40"),
    ),
    "padding": (f.PROTOCOL_ERROR, "padding", lambda c: c.headers(1) + f.frame(f.DATA, f.PADDED, 1, b"\x05abc")),
    "no room for padding": (f.PROTOCOL_ERROR, "padding", lambda c: c.headers(1) + f.frame(f.DATA, f.PADDED, 1)),
    "depends on itself": (
        f.PROTOCOL_ERROR,
        "itself",
        lambda c: f.frame(f.HEADERS, f.END_HEADERS | f.HAS_PRIORITY, 1, b"\x00\x00\x00\x01\x00" + c.block(GOOD)),
    ),
    "priority cut": (f.FRAME_SIZE_ERROR, "too short", lambda c: f.frame(f.HEADERS, 0x24, 1, b"\x00")),
    "connection window": (
        f.FLOW_CONTROL_ERROR,
        "connection's window",
        lambda c: (
            c.headers(1)
            + c.headers(3)
            + f.frame(f.DATA, 0, 1, bytes(16_384)) * 2
            + f.frame(f.DATA, 0, 3, bytes(16_384)) * 2
        ),
    ),
    "window update of nothing": (f.PROTOCOL_ERROR, "of 0", lambda c: f.window_update(0, 0)),
    "window overflow": (f.FLOW_CONTROL_ERROR, "beyond", lambda c: f.window_update(0, f.MAX_WINDOW)),
    "stream window overflow": (
        f.FLOW_CONTROL_ERROR,
        "beyond",
        lambda c: c.headers(1) + f.window_update(1, f.MAX_WINDOW),
    ),
    "window of an idle stream": (f.PROTOCOL_ERROR, "never opened", lambda c: f.window_update(7, 1)),
    "short window update": (f.FRAME_SIZE_ERROR, "3 bytes", lambda c: f.frame(f.WINDOW_UPDATE, 0, 0, bytes(3))),
    "SETTINGS on a stream": (f.PROTOCOL_ERROR, "SETTINGS on", lambda c: f.frame(f.SETTINGS, 0, 1)),
    "SETTINGS cut": (f.FRAME_SIZE_ERROR, "multiple of 6", lambda c: f.frame(f.SETTINGS, 0, 0, bytes(5))),
    "ACK with content": (f.FRAME_SIZE_ERROR, "isn't empty", lambda c: f.frame(f.SETTINGS, f.ACK, 0, bytes(6))),
    "ACK too many": (f.PROTOCOL_ERROR, "too many", lambda c: f.SETTINGS_ACK),
    "push": (f.PROTOCOL_ERROR, "ENABLE_PUSH", lambda c: f.settings([(f.ENABLE_PUSH, 2)])),
    "initial window": (f.FLOW_CONTROL_ERROR, "INITIAL_WINDOW", lambda c: f.settings([(f.INITIAL_WINDOW_SIZE, 2**31)])),
    "frame size": (f.PROTOCOL_ERROR, "MAX_FRAME_SIZE", lambda c: f.settings([(f.MAX_FRAME_SIZE, 100)])),
    "PING cut": (f.FRAME_SIZE_ERROR, "PING of 4", lambda c: f.ping(bytes(4))),
    "PING on a stream": (f.PROTOCOL_ERROR, "PING on", lambda c: f.frame(f.PING, 0, 1, bytes(8))),
    "RST_STREAM cut": (f.FRAME_SIZE_ERROR, "RST_STREAM of", lambda c: f.frame(f.RST_STREAM, 0, 1, bytes(3))),
    "RST_STREAM of an idle stream": (f.PROTOCOL_ERROR, "never opened", lambda c: f.rst_stream(1, 0)),
    "PRIORITY cut": (f.FRAME_SIZE_ERROR, "PRIORITY of", lambda c: f.frame(f.PRIORITY, 0, 1, bytes(4))),
    "PRIORITY on stream 0": (f.PROTOCOL_ERROR, "PRIORITY on", lambda c: f.frame(f.PRIORITY, 0, 0, bytes(5))),
    "PUSH_PROMISE": (f.PROTOCOL_ERROR, "PUSH_PROMISE", lambda c: f.frame(f.PUSH_PROMISE, 4, 1, bytes(4))),
    "GOAWAY cut": (f.PROTOCOL_ERROR, "GOAWAY", lambda c: f.frame(f.GOAWAY, 0, 0, bytes(4))),
}


@pytest.mark.parametrize("name", FRAME_CASES)
def test_a_frame_that_breaks_the_rules_ends_the_connection_and_says_why(name: str) -> None:
    code, words, bad = FRAME_CASES[name]
    client = RawClient(Rules(connection_window=65_535, max_streams=10))
    client.server.take()
    if name == "connection window":
        client.server.hold_windows()
    client.send(bad(client))
    _, given, text = client.goaway()
    assert given == code
    assert words in text.decode()
    assert client.server.closed
    assert client.server.violations == [text.decode()]
    assert client.send(f.ping(bytes(8))) == []
    assert client.answers() == []


@pytest.mark.parametrize("name", HEADER_CASES)
def test_malformed_headers_are_refused(name: str) -> None:
    headers, words = HEADER_CASES[name]
    client = RawClient()
    assert client.send(client.headers(1, headers, end=True)) == []
    _, code, text = client.goaway()
    assert code == f.PROTOCOL_ERROR
    assert words in text.decode()


@pytest.mark.parametrize("opening", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"])
def test_another_protocol_is_recognised(opening: bytes) -> None:
    server = ServerConnection(Rules())
    server.receive(opening)
    assert server.closed
    assert "preface" in server.violations[0]


def test_a_stream_window_may_not_be_exceeded() -> None:
    client = RawClient(Rules(initial_window=1_000))
    client.server.hold_windows()
    client.send(client.headers(1) + f.frame(f.DATA, 0, 1, bytes(1_000)))
    assert not client.server.violations
    client.send(f.frame(f.DATA, 0, 1, b"x"))
    assert "exceeds the window of stream 1" in client.server.violations[0]


def test_padding_counts_against_the_windows_and_is_taken_off() -> None:
    client = RawClient(Rules(initial_window=100))
    client.server.hold_windows()
    block = client.block(GOOD)
    client.send(f.frame(f.HEADERS, f.END_HEADERS | f.PADDED, 1, b"\x03" + block + bytes(3)))
    assert client.send(f.frame(f.DATA, f.PADDED | f.END_STREAM, 1, b"\x5f" + b"body" + bytes(95)))[0].body == b"body"
    assert client.server.streams[1].receive_window == 0


def test_a_block_may_come_in_pieces_with_priority() -> None:
    client = RawClient()
    block = client.block([*GOOD, (b"x", b"y" * 50)])
    client.send(f.frame(f.HEADERS, f.END_STREAM | f.HAS_PRIORITY, 1, bytes(5) + block[:10]))
    client.send(f.frame(f.CONTINUATION, 0, 1, block[10:20]))
    (request,) = client.send(f.frame(f.CONTINUATION, f.END_HEADERS, 1, block[20:]))
    assert request.headers[-1] == (b"x", b"y" * 50)


def test_trailers_end_a_request() -> None:
    client = RawClient()
    (request,) = client.send(
        client.headers(1) + f.frame(f.DATA, 0, 1, b"b") + client.headers(1, [(b"t", b"1")], end=True)
    )
    assert request.body == b"b"


def test_unknown_frames_and_priority_are_ignored() -> None:
    client = RawClient()
    client.server.take()
    client.send(f.frame(0xBE, 0xFF, 3, b"?") + f.frame(f.PRIORITY, 0, 1, bytes(5)) + f.settings([(0x99, 1)]))
    assert client.answers() == [(f.SETTINGS, f.ACK, 0, b"")]
    assert not client.server.closed


def test_ping_is_answered() -> None:
    client = RawClient()
    client.server.take()
    client.send(f.ping(b"12345678"))
    assert client.answers() == [(f.PING, f.ACK, 0, b"12345678")]


def test_eager_pings_can_be_held_against_a_client() -> None:
    client = RawClient(Rules(max_idle_pings=2))
    client.send(f.ping(bytes(8)) * 2)
    client.request(1)
    client.send(f.ping(bytes(8)) * 2)
    assert not client.server.closed
    client.send(f.ping(bytes(8)))
    assert client.goaway()[1:] == (f.ENHANCE_YOUR_CALM, b"too_many_pings")


def test_too_many_streams_are_refused_or_end_the_connection() -> None:
    polite = RawClient(Rules(max_streams=1))
    polite.request(1)
    polite.server.take()
    polite.send(polite.headers(3))
    assert polite.answers() == [(f.RST_STREAM, 0, 3, f.REFUSED_STREAM.to_bytes(4))]
    assert polite.send(f.frame(f.DATA, f.END_STREAM, 3, b"late")) == []  # was under way: tolerated
    assert polite.server.violations == ["2 streams at once, 1 allowed"]

    apns = RawClient(Rules(max_streams=1, over_limit_code=7, over_limit_text="Maximum active streams"))
    apns.request(1)
    apns.request(3)
    assert apns.goaway() == (1, 7, b"Maximum active streams")


def test_whoever_has_not_acknowledged_the_first_settings_may_open_any_number() -> None:
    client = RawClient(Rules(max_streams=1, over_limit_code=7), acknowledge=False)
    assert [len(client.request(stream_id)) for stream_id in (1, 3, 5)] == [1, 1, 1]
    client.send(f.SETTINGS_ACK)
    client.request(7)
    assert client.server.violations == ["4 streams at once, 1 allowed"]

    strict = RawClient(Rules(max_streams=1, over_limit_code=7, takes_early=False), acknowledge=False)
    strict.request(1)
    strict.server.take()
    strict.request(3)
    assert strict.answers() == [(f.RST_STREAM, 0, 3, f.REFUSED_STREAM.to_bytes(4))]
    assert not strict.server.violations


def test_a_limit_that_was_not_acknowledged_blames_nobody() -> None:
    client = RawClient(Rules(max_streams=5, over_limit_code=7))
    client.request(1)
    client.server.set_limit(1)
    client.server.take()
    client.request(3)
    assert client.answers() == [(f.RST_STREAM, 0, 3, f.REFUSED_STREAM.to_bytes(4))]
    assert not client.server.violations
    client.send(f.SETTINGS_ACK)
    client.request(5)
    assert client.server.violations == ["2 streams at once, 1 allowed"]


def test_answers_obey_the_clients_windows_and_frame_size() -> None:
    client = RawClient()
    client.send(f.settings([(f.INITIAL_WINDOW_SIZE, 10)]))
    client.request(1)
    client.server.take()
    client.server.respond(1, [(b":status", b"200")], b"0123456789abcdef")
    assert [(kind, payload) for kind, _, _, payload in client.answers()][1:] == [(f.DATA, b"0123456789")]
    client.send(f.window_update(1, 3))
    assert client.answers() == [(f.DATA, 0, 1, b"abc")]
    client.send(f.settings([(f.INITIAL_WINDOW_SIZE, 20)]))
    assert client.answers()[-1] == (f.DATA, f.END_STREAM, 1, b"def")
    assert client.server.streams == {}


def test_an_answer_to_a_stream_that_was_cancelled_is_dropped() -> None:
    client = RawClient()
    client.request(1)
    client.send(f.rst_stream(1, f.CANCEL))
    assert not client.server.respond(1, [(b":status", b"200")])


def test_windows_are_replenished_unless_held() -> None:
    client = RawClient(Rules(initial_window=1_000))
    client.server.take()
    client.send(client.headers(1) + f.frame(f.DATA, 0, 1, bytes(600)))
    assert client.answers() == [(f.WINDOW_UPDATE, 0, 1, (600).to_bytes(4))]
    client.server.hold_windows()
    client.send(f.frame(f.DATA, 0, 1, bytes(900)))
    assert client.answers() == []
    client.server.release_windows()
    assert client.answers() == [
        (f.WINDOW_UPDATE, 0, 0, (1_500).to_bytes(4)),
        (f.WINDOW_UPDATE, 0, 1, (900).to_bytes(4)),
    ]


def test_after_goaway_new_streams_are_ignored_until_seen_and_a_fault_after() -> None:
    client = RawClient()
    client.request(1)
    client.server.goaway(1)
    client.server.take()
    assert client.request(3) == []
    assert client.server.respond(1, [(b":status", b"200")])
    assert not client.server.violations
    ping = next(payload for kind, _, _, payload in split(_goaway_bytes()) if kind == f.PING)
    client.send(f.ping(ping, ack=True))
    client.request(5)
    assert client.server.violations == ["stream 5 was opened after our GOAWAY had been seen"]


def _goaway_bytes() -> bytes:
    client = RawClient()
    client.server.take()
    client.server.goaway(0)
    return client.server.take()


def test_a_goaway_below_open_streams_forgets_them() -> None:
    client = RawClient()
    client.send(client.headers(1) + client.headers(3))
    client.server.goaway(1)
    assert client.send(f.frame(f.DATA, f.END_STREAM, 3, b"x")) == []
    (request,) = client.send(f.frame(f.DATA, f.END_STREAM, 1, b"y"))
    assert request.stream_id == 1
    assert not client.server.violations


def test_reading_can_be_cut_between_headers_and_body() -> None:
    client = RawClient()
    client.server.cut_at_header = 2
    requests = client.send(
        client.headers(1)
        + f.frame(f.DATA, f.END_STREAM, 1, b"{}")
        + client.headers(3)
        + f.frame(f.DATA, f.END_STREAM, 3, b"{}")
    )
    assert [request.stream_id for request in requests] == [1]
    assert client.server.cut
