"""The client connection under everything a peer may do, legal and not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stentor.http2 import frames, hpack
from stentor.http2.burst import Burst, Fate, Reply, Template
from stentor.http2.connection import MAX_BODY, MAX_CANCELLED, MAX_HEADER_BLOCK, RECEIVE_WINDOW, Exchange, State
from stentor.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, PADDED
from tests.unit.http2.peer import TEMPLATE, Peer, burst, fates

LIMIT_10 = [(frames.MAX_CONCURRENT_STREAMS, 10)]


# -- requests -----------------------------------------------------------------------------------------------------


def test_a_burst_arrives_as_it_was_given() -> None:
    peer = Peer()
    flight = peer.submit(300)
    requests = peer.requests()
    assert [stream_id for stream_id, *_ in requests] == list(range(1, 601, 2))
    for index, (_, fields, body, ended) in enumerate(requests):
        assert ended
        assert body == flight.burst.bodies[index]
        assert fields == [
            *TEMPLATE.constant[:3],
            (b":path", flight.burst.columns[1][index]),
            *TEMPLATE.constant[3:],
            (b"apns-id", flight.burst.columns[0][index]),
        ]


def test_columns_and_bodies_of_unequal_lengths_arrive_as_they_were_given() -> None:
    peer = Peer()
    paths = [b"/" + b"p" * (i * 7 % 400) for i in range(50)]
    bodies = [b"b" * (i * 13 % 700) for i in range(50)]
    template = Template(TEMPLATE.constant, (b":path",))
    flight = Exchange(Burst(template, (paths,), bodies))
    assert peer.client.submit(flight, range(50)) == 50
    got = peer.requests()
    assert [dict(fields)[b":path"] for _, fields, _, _ in got] == paths
    assert [body for _, _, body, _ in got] == bodies


def test_constant_headers_cost_a_byte_each_after_the_first_request() -> None:
    peer = Peer()
    peer.submit(3)
    blocks = [frame.payload for frame in peer.sent() if frame.kind == HEADERS]
    varying = len(b"/3/device/") + 64 + 2 + 36 + 1 + 1 + len(b"apns-id") + 1
    assert len(blocks[0]) > 100
    assert len(blocks[1]) == len(blocks[2]) == varying + len(TEMPLATE.constant)


def test_scattered_requests_can_be_sent() -> None:
    peer = Peer()
    flight = Exchange(burst(10))
    assert peer.client.submit(flight, [7, 2, 9]) == 3
    assert [dict(fields)[b":path"][-2:] for _, fields, _, _ in peer.requests()] == [b"07", b"02", b"09"]
    peer.say(peer.answer(3))
    assert fates(flight)[2] is Fate.RESPONSE


def test_a_200_without_what_proves_the_peer_is_kept_whole() -> None:
    peer = Peer()
    flight = peer.submit(5, template=replace(TEMPLATE, proof=b"apns-id"))
    peer.say(
        peer.answer(1, 200, b"", (b"apns-id", b"a")),
        peer.answer(3, 200, b"", (b"server", b"x"), (b"apns-id", b"b")),
        peer.answer(5),
        peer.answer(7, 200, b"", (b"server", b"x")),
        peer.answer(9, 200, b"<html>", (b"server", b"x")),
    )
    assert fates(flight) == [Fate.RESPONSE] * 5
    assert list(flight.results.statuses) == [200] * 5
    assert flight.results.replies == {
        2: Reply(200, (), b""),
        3: Reply(200, ((b"server", b"x"),), b""),
        4: Reply(200, ((b"server", b"x"),), b"<html>"),
    }


def test_bodies_that_begin_as_the_peers_do_are_not_kept_and_all_others_are() -> None:
    peer = Peer()
    flight = peer.submit(4, template=replace(TEMPLATE, opening=b'{"name"'))
    peer.say(
        peer.answer(1, 200, b'{"name":"x"}'), peer.answer(3), peer.answer(5, 200, b"<html>"), peer.answer(7, 404, b"{}")
    )
    assert fates(flight) == [Fate.RESPONSE] * 4
    assert flight.results.bodies == {1: b"", 2: b"<html>"}
    assert list(flight.results.replies) == [3]


def test_answers_are_settled_by_index_in_any_order() -> None:
    peer = Peer()
    flight = peer.submit(4)
    peer.say(
        peer.answer(7, 410, b'{"reason":"Unregistered"}', (b"content-type", b"application/json")),
        peer.answer(1),
        peer.answer(5, 200, b'{"name":"x"}'),
        peer.answer(3, 429),
    )
    results = flight.results
    assert list(results.statuses) == [200, 429, 200, 410]
    assert fates(flight) == [Fate.RESPONSE] * 4
    assert results.bodies == {2: b'{"name":"x"}'}
    assert results.replies[3].body == b'{"reason":"Unregistered"}'
    assert results.replies[3].headers == ((b"content-type", b"application/json"),)
    assert results.replies[1].body == b""
    assert flight.left == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_answers_may_come_in_pieces_of_any_size(size: int) -> None:
    peer = Peer()
    flight = peer.submit(5)
    data = b"".join(peer.answer(1 + 2 * i, 200 if i % 2 else 503, b"x" * i) for i in range(5))
    for start in range(0, len(data), size):
        peer.say(data[start : start + size])
    assert list(flight.results.statuses) == [503, 200, 503, 200, 503]
    assert flight.left == 0


# -- stream limits ------------------------------------------------------------------------------------------------


def test_no_more_streams_than_the_peer_allows() -> None:
    peer = Peer(LIMIT_10)
    flight = Exchange(burst(25))
    assert peer.client.submit(flight, range(25)) == 10
    assert peer.client.submit(flight, range(10, 25)) == 0
    peer.say(peer.answer(1), peer.answer(3))
    assert peer.client.submit(flight, range(10, 25)) == 2


def test_a_limit_lowered_in_flight_leaves_open_streams_alone_and_opens_no_new_ones() -> None:
    peer = Peer(LIMIT_10)
    flight = Exchange(burst(30))
    peer.client.submit(flight, range(10))
    peer.say(frames.settings([(frames.MAX_CONCURRENT_STREAMS, 3)]))
    for stream_id in range(1, 15, 2):
        assert peer.client.submit(flight, range(10, 30)) == 0
        peer.say(peer.answer(stream_id))
    assert peer.client.submit(flight, range(10, 30)) == 0
    peer.say(peer.answer(15))
    assert peer.client.submit(flight, range(10, 30)) == 1


def test_a_limit_of_zero_opens_nothing_and_a_raised_one_does() -> None:
    peer = Peer([(frames.MAX_CONCURRENT_STREAMS, 0)])
    flight = Exchange(burst(5))
    assert peer.client.submit(flight, range(5)) == 0
    peer.say(frames.settings([(frames.MAX_CONCURRENT_STREAMS, 1)]))
    assert peer.client.submit(flight, range(5)) == 1
    peer.say(peer.answer(1), frames.settings([(frames.MAX_CONCURRENT_STREAMS, 1000)]))
    assert peer.client.submit(flight, range(1, 5)) == 4


def test_settings_are_acknowledged_each() -> None:
    peer = Peer()
    peer.say(frames.settings([]), frames.settings([(0x99, 7)]))  # unknown settings are ignored
    assert [frame.flags for frame in peer.sent()] == [frames.ACK, frames.ACK]


def test_used_up_stream_ids_end_the_connection_gracefully() -> None:
    peer = Peer()
    peer.client._next_id = frames.LAST_STREAM_ID - 4
    flight = Exchange(burst(10))
    assert peer.client.submit(flight, range(10)) == 3
    assert peer.client.state is State.DRAINING
    assert peer.client.submit(flight, range(3, 10)) == 0
    peer.say(*(peer.answer(frames.LAST_STREAM_ID - back) for back in (4, 2, 0)))
    assert list(flight.results.statuses[:3]) == [200] * 3


# -- flow control -------------------------------------------------------------------------------------------------


def test_the_connection_window_is_never_overrun_and_a_refill_is_used() -> None:
    peer = Peer()
    flight = Exchange(burst(50, b"x" * 4096))
    sent = peer.client.submit(flight, range(50))
    assert sent == 16  # 15 whole ones, and the one that fills the window to the last byte
    assert sum(len(frame.payload) for frame in peer.sent() if frame.kind == DATA) == 65_535
    assert peer.client.submit(flight, range(sent, 50)) == 0
    peer.say(frames.window_update(0, 1 + 4096))
    assert [len(frame.payload) for frame in peer.sent()] == [1]
    assert peer.client.submit(flight, range(sent, 50)) == 1
    assert sum(len(frame.payload) for frame in peer.sent() if frame.kind == DATA) == 4096


def test_a_stream_window_smaller_than_the_body_sends_it_in_parts() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 1000)])
    flight = peer.submit(2, b"x" * 2500)
    assert [(f.stream_id, len(f.payload), f.flags) for f in peer.sent() if f.kind == DATA] == [
        (1, 1000, 0),
        (3, 1000, 0),
    ]
    peer.say(frames.window_update(3, 1000))
    assert [(f.stream_id, len(f.payload), f.flags) for f in peer.sent()] == [(3, 1000, 0)]
    peer.say(frames.window_update(3, 5000))
    assert [(f.stream_id, len(f.payload), f.flags) for f in peer.sent()] == [(3, 500, END_STREAM)]
    peer.say(frames.settings([(frames.INITIAL_WINDOW_SIZE, 3000)]))
    assert [(f.stream_id, len(f.payload)) for f in peer.sent() if f.kind == DATA] == [(1, 1500)]
    peer.say(peer.answer(1), peer.answer(3))
    assert flight.left == 0


def test_a_starved_stream_does_not_hold_up_the_others() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 100)])
    long = peer.submit(1, b"x" * 200)
    peer.submit(5, b"y" * 100)
    assert sum(f.flags == END_STREAM for f in peer.sent() if f.kind == DATA) == 5
    assert long.left == 1


def test_a_window_made_negative_by_settings_is_waited_out() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 1000)])
    peer.submit(1, b"x" * 1500)
    peer.sent()
    peer.say(frames.settings([(frames.INITIAL_WINDOW_SIZE, 0)]), frames.window_update(1, 1000))
    assert not [f for f in peer.sent() if f.kind == DATA]
    peer.say(frames.window_update(1, 500))
    assert [(len(f.payload), f.flags) for f in peer.sent()] == [(500, END_STREAM)]


def test_bodies_and_blocks_are_cut_to_the_peers_frame_size() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 2**20)])
    peer.say(frames.window_update(0, 2**20))
    template = Template((*TEMPLATE.constant, (b"x-long", b"v" * 40_000)), (b":path",))
    flight = Exchange(Burst(template, ([b"/a", b"/b"],), [b"x" * 40_000] * 2))
    assert peer.client.submit(flight, range(2)) == 2
    sent = peer.sent()
    assert max(len(frame.payload) for frame in sent) == 16_384
    assert [f.kind for f in sent[-6:]] == [HEADERS, 9, 9, DATA, DATA, DATA]
    assert [f.flags for f in sent[-6:]] == [0, 0, END_HEADERS, 0, 0, END_STREAM]
    peer.say(frames.settings([(frames.MAX_FRAME_SIZE, 2**17)]))
    peer.sent()
    peer.client.submit(Exchange(flight.burst), range(1))
    assert [(f.kind, f.flags) for f in peer.sent()] == [(HEADERS, END_HEADERS), (DATA, END_STREAM)]


def test_an_empty_body_needs_no_window() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 0)])
    peer.submit(3, b"")
    assert [ended for *_, ended in peer.requests()] == [True] * 3


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frames.window_update(0, 0), frames.PROTOCOL_ERROR),
        (frames.window_update(0, frames.MAX_WINDOW), frames.FLOW_CONTROL_ERROR),
        (frames.settings([(frames.INITIAL_WINDOW_SIZE, 2**31)]), frames.FLOW_CONTROL_ERROR),
        (frames.window_update(9, 1), frames.PROTOCOL_ERROR),
        (frames.frame(frames.WINDOW_UPDATE, 0, 0, b"abc"), frames.FRAME_SIZE_ERROR),
    ],
)
def test_illegal_windows_are_protocol_errors(data: bytes, code: int) -> None:
    assert Peer().fails(data).code == code


def test_stream_windows_out_of_bounds_end_only_that_stream() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 10)])
    peer.submit(2, b"x" * 100_000)
    peer.say(frames.window_update(1, frames.MAX_WINDOW), frames.window_update(1, 70_000), frames.window_update(3, 0))
    resets = [(f.stream_id, f.payload[-1]) for f in peer.sent() if f.kind == frames.RST_STREAM]
    assert resets == [(1, frames.FLOW_CONTROL_ERROR), (3, frames.PROTOCOL_ERROR)]
    assert [index for _, index, _ in peer.client.returned] == [0, 1]  # their bodies were never whole


def test_settings_that_overflow_a_stream_window_are_a_flow_control_error() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 10)])
    peer.submit(1, b"x" * 20)
    peer.say(frames.window_update(1, 5))
    peer.sent()
    peer.client._windows[1] = 20
    assert peer.fails(frames.settings([(frames.INITIAL_WINDOW_SIZE, 2**31 - 1)])).code == frames.FLOW_CONTROL_ERROR


def test_the_peer_gets_its_window_back() -> None:
    peer = Peer([(frames.MAX_CONCURRENT_STREAMS, 1000)])
    given_back = 0
    for _ in range(6):
        flight = peer.submit(50)
        first = peer.client.next_stream_id - 100
        body = b"z" * 16_384
        peer.say(*(peer.answer(first + 2 * i, 200, body) for i in range(50)))
        assert flight.left == 0
        given_back += sum(int.from_bytes(f.payload, "big") for f in peer.sent() if f.kind == frames.WINDOW_UPDATE)
    assert given_back >= 6 * 50 * 16_384 - RECEIVE_WINDOW // 2


def test_data_beyond_the_connection_window_is_a_flow_control_error() -> None:
    peer = Peer()
    peer.submit(200)
    peer.sent()
    heads = b"".join(frames.frame(HEADERS, END_HEADERS, 1 + 2 * i, peer.block(200)) for i in range(200))
    peer.say(heads)
    piece = b"x" * 16_000  # never ended, so none of it is given back
    with pytest.raises(Exception, match="beyond the connection's window"):
        peer.say_each(frames.frame(DATA, 0, 1 + 2 * stream, piece) for stream in range(200) for _ in range(4))


def test_an_endless_body_is_cut_and_its_stream_reset() -> None:
    peer = Peer()
    flight = peer.submit(1)
    peer.sent()
    peer.say(frames.frame(HEADERS, END_HEADERS, 1, peer.block(500)))
    for _ in range(5):
        peer.say(frames.frame(DATA, 0, 1, b"x" * 16_000))
    assert flight.results.statuses[0] == 500
    assert len(flight.results.replies[0].body) == MAX_BODY
    assert [(f.kind, f.payload[-1]) for f in peer.sent()] == [(frames.RST_STREAM, frames.CANCEL)]


# -- answers of every shape ---------------------------------------------------------------------------------------


def test_continuation_padding_and_priority_in_answers() -> None:
    peer = Peer()
    flight = peer.submit(2)
    block = peer.block(200, (b"x-much", b"y" * 50))
    peer.say(
        frames.frame(HEADERS, PADDED | frames.HAS_PRIORITY, 1, b"\x03" + b"\0\0\0\0\x10" + block[:5] + b"\0" * 3),
        frames.frame(frames.CONTINUATION, 0, 1, block[5:9]),
        frames.frame(frames.CONTINUATION, END_HEADERS, 1, block[9:]),
        frames.frame(DATA, PADDED, 1, b"\x02ab\0\0"),
        frames.frame(DATA, PADDED | END_STREAM, 1, b"\x00cd"),
        peer.answer(3),
    )
    assert flight.results.bodies == {0: b"abcd"}
    assert flight.left == 0


def test_interim_answers_and_trailers() -> None:
    peer = Peer()
    flight = peer.submit(1)
    peer.say(
        frames.frame(HEADERS, END_HEADERS, 1, peer.block(103, (b"link", b"x"))),
        frames.frame(HEADERS, END_HEADERS, 1, peer.block(100)),
        frames.frame(HEADERS, END_HEADERS, 1, peer.block(503, (b"retry-after", b"5"))),
        frames.frame(DATA, 0, 1, b"later"),
        frames.frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes(peer.encoder.encode([(b"grpc-status", b"0")]))),
    )
    reply = flight.results.replies[0]
    assert (reply.status, reply.body, reply.headers) == (503, b"later", ((b"retry-after", b"5"),))


def test_unknown_frame_types_and_priority_are_ignored() -> None:
    peer = Peer()
    flight = peer.submit(1)
    peer.say(
        frames.frame(0x42, 0xFF, 0, b"what"),
        frames.frame(0xFA, 0, 1, b"ever"),
        frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        peer.answer(1),
    )
    assert flight.left == 0


def test_table_size_updates_both_ways() -> None:
    peer = Peer()
    peer.submit(2)
    assert len(peer.requests()) == 2
    for size in (0, 100, 4096, 65_536):
        peer.say(frames.settings([(frames.HEADER_TABLE_SIZE, size)]))
        peer.decoder.max_allowed_table_size = size
        peer.submit(3)
        assert len(peer.requests()) == 3
    peer.encoder.header_table_size = 64  # the peer's encoder announces a smaller table in its next block
    peer.say(peer.answer(1, 200, b"", (b"x-a", b"b")), peer.answer(3, 200, b"", (b"x-a", b"b")))
    assert peer.client.responses == 2


def test_a_limit_lowered_and_raised_between_two_bursts_announces_both() -> None:
    peer = Peer()
    peer.submit(1)
    peer.requests()
    peer.say(frames.settings([(frames.HEADER_TABLE_SIZE, 0)]), frames.settings([(frames.HEADER_TABLE_SIZE, 4096)]))
    peer.submit(2)
    blocks = [f.payload for f in peer.sent() if f.kind == HEADERS]
    assert blocks[0].startswith(b"\x20\x3f\xe1\x1f")  # size 0, then 4096 (RFC 7541 section 4.2)
    assert not blocks[1].startswith(b"\x20")


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ([(b"x", b"y")], True),
        ([], True),
        ([(b":status", b"abc")], True),
        ([(b":status", b"99")], True),
        ([(b":status", b"100")], True),
    ],
)
def test_a_malformed_answer_is_ambiguous_and_its_stream_reset(fields: list[tuple[bytes, bytes]], end: bool) -> None:
    peer = Peer()
    flight = peer.submit(2)
    peer.sent()
    block = bytes(peer.encoder.encode(fields))
    peer.say(frames.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 1, block))
    assert [(f.kind, f.stream_id) for f in peer.sent()] == [(frames.RST_STREAM, 1)]
    assert fates(flight) == [Fate.AMBIGUOUS, Fate.PENDING]
    assert "malformed" in flight.results.reasons[0]
    peer.say(peer.answer(3))
    assert flight.left == 0


def test_body_before_headers_and_headers_after_headers_are_malformed() -> None:
    peer = Peer()
    flight = peer.submit(2)
    peer.say(frames.frame(DATA, 0, 1, b"x"))
    peer.say(
        frames.frame(HEADERS, END_HEADERS, 3, peer.block(200)), frames.frame(HEADERS, END_HEADERS, 3, peer.block(200))
    )
    assert fates(flight) == [Fate.AMBIGUOUS, Fate.AMBIGUOUS]


def test_an_answer_before_the_body_was_sent_ends_the_request() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 100)])
    flight = peer.submit(1, b"x" * 5000)
    peer.sent()
    peer.say(peer.answer(1, 413, b'{"reason":"PayloadTooLarge"}'))
    assert flight.results.statuses[0] == 413
    assert [(f.kind, f.stream_id) for f in peer.sent()] == [(frames.RST_STREAM, 1)]
    peer.say(frames.window_update(1, 5000))
    assert peer.sent() == []


def test_a_bare_answer_before_the_body_was_sent_ends_the_request_too() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 100)])
    flight = peer.submit(1, b"x" * 5000)
    peer.sent()
    peer.say(peer.answer(1, 200))
    assert flight.results.statuses[0] == 200
    assert peer.client._bodies == {}
    assert [(f.kind, f.stream_id) for f in peer.sent()] == [(frames.RST_STREAM, 1)]


# -- endings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", range(14))
def test_resets_by_reason(code: int) -> None:
    peer = Peer()
    flight = peer.submit(1)
    peer.say(frames.rst_stream(1, code))
    if code == frames.REFUSED_STREAM:
        assert [(index, reason) for _, index, reason in peer.client.returned] == [
            (0, "reset by the peer: REFUSED_STREAM")
        ]
        assert flight.left == 1
    else:
        assert fates(flight) == [Fate.AMBIGUOUS]
        assert frames.ERROR_NAMES[code] in flight.results.reasons[0]
        assert peer.client.returned == []


def test_a_reset_after_headers_is_ambiguous_whatever_it_says() -> None:
    peer = Peer()
    flight = peer.submit(1)
    peer.say(frames.frame(HEADERS, END_HEADERS, 1, peer.block(200)), frames.rst_stream(1, frames.REFUSED_STREAM))
    assert fates(flight) == [Fate.AMBIGUOUS]


def test_a_reset_after_the_whole_answer_changes_nothing() -> None:
    peer = Peer()
    flight = peer.submit(1)
    peer.say(peer.answer(1), frames.rst_stream(1, frames.NO_ERROR))
    assert fates(flight) == [Fate.RESPONSE]


@pytest.mark.parametrize(
    "debug", [b"", b"Maximum active streams violated", b'{"reason":"BadCertificateEnvironment"}', b"\xff"]
)
def test_goaway_hands_back_what_is_above_its_last_stream_and_finishes_the_rest(debug: bytes) -> None:
    peer = Peer()
    flight = peer.submit(5)
    peer.say(frames.goaway(5, frames.NO_ERROR, debug))
    assert peer.client.goaway_debug == debug
    assert peer.client.goaway_reason is not None
    assert [index for _, index, _ in peer.client.returned] == [3, 4]
    assert peer.client.submit(flight, range(5)) == 0
    peer.say(peer.answer(1), peer.answer(3))
    assert [flight.results.statuses[i] for i in range(3)] == [200, 200, 0]
    peer.client.lost("closed")
    assert fates(flight)[:3] == [Fate.RESPONSE, Fate.RESPONSE, Fate.AMBIGUOUS]


def test_goaway_in_two_steps_lowers_the_last_stream() -> None:
    peer = Peer()
    flight = peer.submit(5)
    peer.say(frames.goaway(frames.LAST_STREAM_ID, frames.NO_ERROR))
    assert peer.client.returned == []
    assert peer.client.state is State.DRAINING
    peer.say(peer.answer(1), frames.goaway(3, frames.NO_ERROR))
    assert [index for _, index, _ in peer.client.returned] == [2, 3, 4]
    peer.say(peer.answer(3))
    assert flight.left == 3


def test_a_second_goaway_without_a_reason_takes_back_no_reason() -> None:
    peer = Peer()
    peer.submit(1)
    peer.say(frames.goaway(frames.LAST_STREAM_ID, frames.ENHANCE_YOUR_CALM, b'{"reason":"Shutdown"}'))
    peer.say(frames.goaway(0, frames.NO_ERROR))
    assert peer.client.goaway_debug == b'{"reason":"Shutdown"}'
    assert peer.client.goaway_reason == 'GOAWAY ENHANCE_YOUR_CALM {"reason":"Shutdown"}'
    assert peer.client.told_to_calm_down
    peer.say(frames.goaway(0, frames.NO_ERROR, b"bye"))
    assert peer.client.goaway_reason == "GOAWAY NO_ERROR bye"


def test_goaway_with_id_zero_hands_everything_back() -> None:
    peer = Peer()
    peer.submit(5)
    peer.say(frames.goaway(0, frames.ENHANCE_YOUR_CALM))
    assert len(peer.client.returned) == 5
    assert peer.client.told_to_calm_down


def test_a_lost_connection_tells_written_from_unwritten() -> None:
    peer = Peer([(frames.INITIAL_WINDOW_SIZE, 100)])
    whole = peer.submit(2, b"x" * 100)
    partly = peer.submit(1, b"x" * 101)
    peer.client.lost("the wire was cut")
    assert fates(whole) == [Fate.AMBIGUOUS] * 2
    assert [(flight, index) for flight, index, _ in peer.client.returned] == [(partly, 0)]


def test_expired_requests_are_reset_and_late_answers_ignored() -> None:
    peer = Peer()
    flight = peer.submit(3)
    mark = peer.client.next_stream_id
    later = peer.submit(1)
    peer.sent()
    peer.say(peer.answer(3))
    assert peer.client.expire(mark, "no answer within 30 s") == 2
    assert [(f.kind, f.stream_id, f.payload[-1]) for f in peer.sent()] == [
        (frames.RST_STREAM, 1, frames.CANCEL),
        (frames.RST_STREAM, 5, frames.CANCEL),
    ]
    assert fates(flight) == [Fate.AMBIGUOUS, Fate.RESPONSE, Fate.AMBIGUOUS]
    peer.say(peer.answer(1, 200, b"late"), peer.answer(5), frames.window_update(1, 5), peer.answer(7))
    assert fates(flight) == [Fate.AMBIGUOUS, Fate.RESPONSE, Fate.AMBIGUOUS]
    assert later.left == 0
    assert peer.client._cancelled == set()


def test_too_many_unanswered_requests_retire_the_connection() -> None:
    peer = Peer()
    for _ in range(MAX_CANCELLED // 100 + 1):
        peer.submit(100, b"")
        peer.client.expire(peer.client.next_stream_id, "late")
        peer.sent()
    assert peer.client.state is State.DRAINING


# -- keep-alive and floods ----------------------------------------------------------------------------------------


def test_pings_are_answered_and_asked() -> None:
    peer = Peer()
    peer.say(frames.ping(b"12345678"))
    (pong,) = peer.sent()
    assert (pong.kind, pong.flags, pong.payload) == (frames.PING, frames.ACK, b"12345678")
    peer.client.ping()
    (ping,) = peer.sent()
    peer.say(frames.ping(b"strayping"[:8], ack=True))
    assert peer.client.pings_answered == 0
    peer.say(frames.ping(ping.payload, ack=True))
    assert peer.client.pings_answered == 1


@pytest.mark.parametrize("flood", [frames.ping(b"floodflo"), frames.settings([])])
def test_floods_of_frames_to_acknowledge_are_bounded(flood: bytes) -> None:
    peer = Peer()
    with pytest.raises(Exception, match="too many PING or SETTINGS"):
        peer.say_each(flood * 1000 for _ in range(1000))


def test_an_endless_header_block_is_bounded() -> None:
    peer = Peer()
    peer.submit(1)
    peer.say(frames.frame(HEADERS, 0, 1, b"\0" * 16_000))
    with pytest.raises(Exception, match=f"header block over {MAX_HEADER_BLOCK}"):
        peer.say_each(frames.frame(frames.CONTINUATION, 0, 1, b"\0" * 16_000) for _ in range(10))


def test_a_header_bomb_is_refused() -> None:
    peer = Peer()
    peer.submit(1)
    peer.sent()
    bomb = b"\x88\x40\x01a" + hpack.string(b"v" * 4000) + b"\xbe" * 8000  # 8 KB that unfold to 32 MB
    assert peer.fails(frames.headers(1, bomb, end_stream=True, max_frame_size=16_384)).code == frames.COMPRESSION_ERROR


# -- errors of the peer -------------------------------------------------------------------------------------------


ILLEGAL = {
    "frame too large": (frames.HEAD.pack(16_385 << 8 | DATA, 0, 1), frames.FRAME_SIZE_ERROR),
    "answer on a stream never opened": (frames.frame(HEADERS, 5, 99, b"\x88"), frames.PROTOCOL_ERROR),
    "answer on a server's stream": (frames.frame(HEADERS, 5, 2, b"\x88"), frames.PROTOCOL_ERROR),
    "headers on stream 0": (frames.frame(HEADERS, 5, 0, b"\x88"), frames.PROTOCOL_ERROR),
    "data on stream 0": (frames.frame(DATA, 0, 0, b"x"), frames.PROTOCOL_ERROR),
    "data on a stream never opened": (frames.frame(DATA, 0, 99, b"x"), frames.PROTOCOL_ERROR),
    "reset of stream 0": (frames.rst_stream(0, 0), frames.PROTOCOL_ERROR),
    "reset of a stream never opened": (frames.rst_stream(99, 0), frames.PROTOCOL_ERROR),
    "reset of a wrong size": (frames.frame(frames.RST_STREAM, 0, 1, b"abc"), frames.FRAME_SIZE_ERROR),
    "push": (frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2\x82"), frames.PROTOCOL_ERROR),
    "push enabled": (frames.settings([(frames.ENABLE_PUSH, 1)]), frames.PROTOCOL_ERROR),
    "frame size setting too small": (frames.settings([(frames.MAX_FRAME_SIZE, 100)]), frames.PROTOCOL_ERROR),
    "frame size setting too large": (frames.settings([(frames.MAX_FRAME_SIZE, 2**24)]), frames.PROTOCOL_ERROR),
    "settings on a stream": (frames.frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR),
    "settings of odd size": (frames.frame(frames.SETTINGS, 0, 0, b"abc"), frames.FRAME_SIZE_ERROR),
    "acknowledgement with content": (frames.frame(frames.SETTINGS, 1, 0, b"\0" * 6), frames.FRAME_SIZE_ERROR),
    "ping on a stream": (frames.frame(frames.PING, 0, 1, b"\0" * 8), frames.PROTOCOL_ERROR),
    "ping of a wrong size": (frames.frame(frames.PING, 0, 0, b"\0" * 7), frames.FRAME_SIZE_ERROR),
    "goaway on a stream": (frames.frame(frames.GOAWAY, 0, 1, b"\0" * 8), frames.PROTOCOL_ERROR),
    "goaway too short": (frames.frame(frames.GOAWAY, 0, 0, b"\0" * 7), frames.FRAME_SIZE_ERROR),
    "priority for stream 0": (frames.frame(frames.PRIORITY, 0, 0, b"\0" * 5), frames.PROTOCOL_ERROR),
    "continuation of nothing": (frames.frame(frames.CONTINUATION, 4, 1, b"\x88"), frames.PROTOCOL_ERROR),
    "interrupted header block": (
        frames.frame(HEADERS, 0, 1, b"\x88") + frames.ping(b"\0" * 8),
        frames.PROTOCOL_ERROR,
    ),
    "header block interrupted by an answer": (
        frames.frame(HEADERS, 0, 1, b"\x88") + frames.frame(HEADERS, 5, 3, b"\x88"),
        frames.PROTOCOL_ERROR,
    ),
    "continuation of another stream": (
        frames.frame(HEADERS, 0, 1, b"\x88") + frames.frame(frames.CONTINUATION, 4, 3, b""),
        frames.PROTOCOL_ERROR,
    ),
    "padding longer than the frame": (frames.frame(HEADERS, 4 | PADDED, 1, b"\x09\x88"), frames.PROTOCOL_ERROR),
    "padding flag on an empty frame": (frames.frame(HEADERS, 4 | PADDED, 1, b""), frames.PROTOCOL_ERROR),
    "priority flag on a short frame": (frames.frame(HEADERS, 4 | 0x20, 1, b"\0\0"), frames.FRAME_SIZE_ERROR),
    "an index that isn't in the table": (frames.frame(HEADERS, 5, 1, b"\xff\x20"), frames.COMPRESSION_ERROR),
    "a block cut off in an integer": (frames.frame(HEADERS, 5, 1, b"\x88\x40"), frames.COMPRESSION_ERROR),
    "a block cut off in a string": (frames.frame(HEADERS, 5, 1, b"\x88\x40\x05ab"), frames.COMPRESSION_ERROR),
}


@pytest.mark.parametrize("what", ILLEGAL)
def test_a_peers_error_is_a_clear_protocol_error(what: str) -> None:
    data, code = ILLEGAL[what]
    peer = Peer()
    peer.submit(2)
    peer.sent()
    error = peer.fails(data)
    assert error.code == code
    assert len(str(error)) > 10
    assert peer.client.state is State.CLOSED


def test_a_second_answer_on_an_ended_stream_is_a_protocol_error() -> None:
    peer = Peer()
    peer.submit(1)
    peer.sent()
    peer.say(peer.answer(1))
    assert peer.fails(peer.answer(1)).code == frames.STREAM_CLOSED


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1"),
        (frames.ping(b"\0" * 8), "first frame isn't SETTINGS"),
        (frames.SETTINGS_ACK, "first frame isn't SETTINGS"),
        (b"SSH-2.0-OpenSSH_9.2", "bytes|SETTINGS"),
    ],
)
def test_a_peer_that_isnt_an_http2_server_is_told_apart(data: bytes, match: str) -> None:
    with pytest.raises(Exception, match=match):
        Peer(started=False).say(data)


def test_nothing_is_taken_and_nothing_lost_after_an_error() -> None:
    peer = Peer()
    flight = peer.submit(3)
    peer.sent()
    peer.say(peer.answer(1))
    peer.fails(frames.ping(b"\0" * 8)[:-1] + b"\0" + frames.rst_stream(0, 0))
    assert peer.client.submit(flight, range(3)) == 0
    peer.client.lost("protocol error")
    assert fates(flight) == [Fate.RESPONSE, Fate.AMBIGUOUS, Fate.AMBIGUOUS]


def test_reprs_show_state_and_counts() -> None:
    peer = Peer(LIMIT_10)
    peer.submit(2)
    assert repr(peer.client) == "<Connection open, 2/10 streams, send window 65515, 0 responses>"
