"""The strict server against h2's client state machine: whatever h2 sends is accepted, whatever we send h2 accepts."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stentor.simulators.server_connection import Rules, ServerConnection

RULES = st.builds(
    Rules,
    max_streams=st.integers(1, 20),
    initial_window=st.integers(1, 70_000),
    connection_window=st.sampled_from([65_535, 200_000]),
    max_frame_size=st.sampled_from([16_384, 20_000, 100_000]),
    header_table=st.sampled_from([0, 64, 4_096]),
)
CLIENT_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: st.integers(1, 70_000),
        h2.settings.SettingCodes.HEADER_TABLE_SIZE: st.sampled_from([0, 100, 4_096, 9_000]),
        h2.settings.SettingCodes.MAX_FRAME_SIZE: st.integers(16_384, 70_000),
    },
)


class Pair:
    """h2's client and our server, and the bytes between them in random pieces."""

    def __init__(self, rules: Rules, data: st.DataObject, changes: dict[int, int]) -> None:
        self.server = ServerConnection(rules)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.client.initiate_connection()
        if changes:
            self.client.update_settings(changes)
        self.data = data
        self.answers: dict[int, tuple[bytes, bytes]] = {}
        self.ended: set[int] = set()
        self.resets: set[int] = set()

    def exchange(self, answer_with: bytes) -> None:
        """Carry bytes back and forth until both are silent; the server answers all requests."""
        for _ in range(2_000):
            outgoing, incoming = self.client.data_to_send(), self.server.take()
            if not outgoing and not incoming:
                return
            for piece in self._pieces(incoming):
                self._to_client(piece)
            for piece in self._pieces(outgoing):
                for request in self.server.receive(piece):
                    marker = dict(request.headers)[b"x-number"] + b":%d" % len(request.body)
                    self.server.respond(request.stream_id, [(b":status", b"200"), (b"echo", marker)], answer_with)
        raise AssertionError("the two never fall silent")

    def _pieces(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        size = self.data.draw(st.sampled_from([7, 100, 5_000, 1 << 20]))
        size = max(size, len(data) // 50)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def _to_client(self, piece: bytes) -> None:
        for event in self.client.receive_data(piece):
            if isinstance(event, h2.events.ResponseReceived):
                self.answers[event.stream_id] = (dict(event.headers)[b"echo"], b"")
            elif isinstance(event, h2.events.DataReceived):
                echo, body = self.answers[event.stream_id]
                self.answers[event.stream_id] = (echo, body + event.data)
                self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.resets.add(event.stream_id)
            assert not isinstance(event, h2.events.ConnectionTerminated), event


def _send(pair: Pair, number: int, body: bytes, answer: bytes) -> int:
    client = pair.client
    stream_id = client.get_next_available_stream_id()
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", b"/3/device/%064x" % number),
        (b":authority", b"localhost"),
        (b"x-number", b"%d" % number),
        (b"x-filler", b"f" * (number * 37 % 3_000)),
    ]
    client.send_headers(stream_id, headers, end_stream=not body)
    while body:
        size = min(client.local_flow_control_window(stream_id), client.max_outbound_frame_size, len(body))
        if size <= 0:
            pair.exchange(answer)
            continue
        client.send_data(stream_id, body[:size], end_stream=size == len(body))
        body = body[size:]
    return stream_id


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    rules=RULES,
    changes=CLIENT_SETTINGS,
    bodies=st.lists(st.integers(0, 6_000), min_size=1, max_size=25),
    answer=st.binary(max_size=300),
    limits=st.lists(st.integers(1, 30), max_size=3),
    data=st.data(),
)
def test_every_request_of_h2_is_answered_and_nobody_errs(
    rules: Rules, changes: dict[int, int], bodies: list[int], answer: bytes, limits: list[int], data: st.DataObject
) -> None:
    pair = Pair(rules, data, changes)
    pair.exchange(answer)
    sent: dict[int, int] = {}
    for number, size in enumerate(bodies):
        if limits and number % 5 == 4:
            pair.exchange(answer)  # what is under way when a limit falls may rightly be refused
            pair.server.set_limit(limits[number // 5 % len(limits)])
            pair.exchange(answer)
        if pair.client.open_outbound_streams >= pair.client.remote_settings.max_concurrent_streams:
            pair.exchange(answer)
        sent[_send(pair, number, bytes(size), answer)] = number
    pair.exchange(answer)
    assert pair.server.violations == []
    assert pair.ended == set(sent)
    assert pair.resets == set()
    for stream_id, number in sent.items():
        assert pair.answers[stream_id] == (b"%d:%d" % (number, bodies[number]), answer)


@given(garbage=st.binary(max_size=400), prefix=st.booleans())
def test_garbage_never_raises(garbage: bytes, prefix: bool) -> None:
    server = ServerConnection(Rules())
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    if prefix:
        server.receive(client.data_to_send())
    server.receive(garbage)
    server.receive(garbage)
    assert server.closed == bool(server.violations)


def test_a_decent_client_cannot_be_made_to_send_too_much() -> None:
    """h2 itself refuses to break our limits: the test of the tester."""
    server = ServerConnection(Rules(max_streams=1))
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    client.receive_data(server.take())
    headers = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")]
    client.send_headers(1, headers)
    with pytest.raises(h2.exceptions.TooManyStreamsError):
        client.send_headers(3, headers)
