"""Our client against h2's server state machine, which rejects any illegal frame, under random everything.

Settings (also changed in flight), windows, body sizes, the pieces in which bytes arrive, the order and kind of
answers, and where the connection is cut are all drawn by hypothesis. Held true: h2 never objects, every request is
settled or handed back exactly once, and what is said of it agrees with what the server did.
"""

from __future__ import annotations

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.settings import SettingCodes
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stentor.http2 import frames
from stentor.http2.burst import Burst, Fate, Template
from stentor.http2.connection import Connection, Exchange, State
from tests.unit.http2.peer import TEMPLATE

ANSWERS = ("bare", "body", "long body", "error", "interim", "trailers", "refuse", "reset", "never")
MOST_STREAMS = 40
OWN_SETTINGS: dict[SettingCodes | int, st.SearchStrategy[int]] = {
    SettingCodes.MAX_CONCURRENT_STREAMS: st.integers(1, MOST_STREAMS),
    SettingCodes.INITIAL_WINDOW_SIZE: st.sampled_from([0, 1, 100, 1000, 65_535, 100_000]),
    SettingCodes.HEADER_TABLE_SIZE: st.sampled_from([0, 50, 200, 4096, 65_536]),
}
pieces = st.sampled_from([1_000_000, 5000, 100, 11, 9, 1])
some_settings: st.SearchStrategy[dict[SettingCodes | int, int]] = st.fixed_dictionaries({}, optional=OWN_SETTINGS)


class World:
    """Client, server, and the bytes between them."""

    def __init__(self, draw: st.DataObject) -> None:
        self.draw = draw
        self.client = Connection()
        self.server = h2.connection.H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.server.initiate_connection()
        self.server.update_settings({**draw.draw(some_settings)})
        self.client.start()
        self.paths: dict[int, bytes] = {}
        self.whole: list[int] = []  # streams whose request the server has in full, unanswered
        self.fates: dict[bytes, str] = {}  # what the server did with each path
        self.bodies: dict[int, int] = {}
        self.owed: list[tuple[int, int]] = []  # flow control to give back: stream, bytes
        self.returned: list[tuple[Exchange, int, str]] = []
        self.dead = False

    def to_server(self) -> None:
        data = self.client.data_to_send()
        size = self.draw.draw(pieces, "bytes to the server at a time")
        while data:
            for event in self.server.receive_data(data[:size]):
                self.on(event)
            data = data[size:]

    def to_client(self) -> None:
        data = self.server.data_to_send()
        size = self.draw.draw(pieces, "bytes to the client at a time")
        while data:
            self.client.receive(data[:size])
            data = data[size:]
        self.returned += self.client.returned
        self.client.returned = []

    def on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            assert event.headers is not None
            headers = [(bytes(name), bytes(value)) for name, value in event.headers]
            assert {name for name, _ in headers[:4]} == {b":method", b":scheme", b":authority", b":path"}
            self.paths[event.stream_id] = dict(headers)[b":path"]
            self.bodies[event.stream_id] = 0
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            assert event.flow_controlled_length is not None
            assert event.data is not None
            self.bodies[event.stream_id] += len(event.data)
            self.owed.append((event.stream_id, event.flow_controlled_length))
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            assert self.bodies[event.stream_id] == int(self.paths[event.stream_id].rpartition(b"/")[2])
            self.whole.append(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id is not None
            if event.stream_id in self.whole:
                self.whole.remove(event.stream_id)

    def refill(self) -> None:
        owed, self.owed = self.owed, []
        for stream_id, size in owed:
            if size:
                try:
                    self.server.acknowledge_received_data(size, stream_id)
                except h2.exceptions.StreamClosedError:
                    self.server.increment_flow_control_window(size)

    def answer(self, stream_id: int, kind: str) -> None:
        self.whole.remove(stream_id)
        server = self.server
        self.fates[self.paths[stream_id]] = kind
        if kind == "bare":
            server.send_headers(stream_id, [(":status", "200"), ("apns-id", "x" * stream_id)], end_stream=True)
        elif kind in ("body", "long body"):
            server.send_headers(stream_id, [(":status", "200"), ("content-type", "application/json")])
            body = b"{}" if kind == "body" else b"z" * min(60_000, server.local_flow_control_window(stream_id))
            for start in range(0, len(body), 16_000):
                server.send_data(stream_id, body[start : start + 16_000], pad_length=len(body) % 7)
            server.end_stream(stream_id)
        elif kind == "error":
            server.send_headers(stream_id, [(":status", "410"), ("x", "y")])
            server.send_data(stream_id, b'{"reason":"Unregistered"}', end_stream=True)
        elif kind == "interim":
            server.send_headers(stream_id, [(":status", "103"), ("link", "l")])
            server.send_headers(stream_id, [(":status", "200")], end_stream=True)
        elif kind == "trailers":
            server.send_headers(stream_id, [(":status", "500")])
            server.send_headers(stream_id, [("late", "news")], end_stream=True)
        elif kind == "refuse":
            server.reset_stream(stream_id, frames.REFUSED_STREAM)
        elif kind == "reset":
            server.reset_stream(stream_id, frames.INTERNAL_ERROR)

    def step(self) -> None:
        action = self.draw.draw(st.sampled_from(["answer"] * 4 + ["refill"] * 3 + ["settings", "ping", "window"]))
        if action == "answer" and self.whole:
            stream_id = self.draw.draw(st.sampled_from(self.whole))
            self.answer(stream_id, self.draw.draw(st.sampled_from(ANSWERS)))
        elif action == "refill":
            self.refill()
        elif action == "settings":
            self.server.update_settings({**self.draw.draw(some_settings)})
        elif action == "ping":
            self.server.ping(b"12345678")
        elif action == "window":
            self.server.increment_flow_control_window(self.draw.draw(st.integers(1, 100_000)))


def make_burst(number: int, sizes: list[int]) -> Burst:
    template = Template((*TEMPLATE.constant, (b"x-burst", b"%d" % number)), TEMPLATE.varying)
    paths = [b"/%d/%d/%d" % (number, index, size) for index, size in enumerate(sizes)]
    return Burst(template, ([b"id"] * len(sizes), paths), [b"b" * size for size in sizes])


body_sizes = st.lists(st.sampled_from([0, 1, 140, 140, 140, 999, 4096, 20_000]), min_size=1, max_size=40)
EXPECTED = {"bare": 200, "body": 200, "long body": 200, "error": 410, "interim": 200, "trailers": 500}


@given(draw=st.data(), bursts=st.lists(body_sizes, min_size=1, max_size=3))
@settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes; the draws printed tell enough
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
def test_no_illegal_frame_and_every_request_accounted_for(draw: st.DataObject, bursts: list[list[int]]) -> None:
    world = World(draw)
    world.to_server()
    world.to_client()
    flights = [Exchange(make_burst(number, sizes)) for number, sizes in enumerate(bursts)]
    todo = [(flight, index) for flight in flights for index in range(len(flight.burst))]
    for _ in range(draw.draw(st.integers(1, 60), "steps")):
        if draw.draw(st.booleans(), "submit") and todo:
            flight, first = todo[0]
            last = first + draw.draw(st.integers(1, len(flight.burst) - first))
            taken = world.client.submit(flight, range(first, last))
            del todo[:taken]
        world.to_server()
        world.step()
        world.to_client()
    if draw.draw(st.booleans(), "patience"):
        finish(world, todo)
    end(world, flights, todo)


def finish(world: World, todo: list[tuple[Exchange, int]]) -> None:
    """A peer that gives windows and answers gets every request."""
    world.server.update_settings(
        {SettingCodes.INITIAL_WINDOW_SIZE: 65_535, SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS}
    )
    for _ in range(400):
        if todo:
            flight, first = todo[0]
            del todo[: world.client.submit(flight, range(first, len(flight.burst)))]
        world.to_server()
        world.refill()
        for stream_id in list(world.whole):
            world.answer(stream_id, "bare")
        world.to_client()
    unanswered = sum(did == "never" for did in world.fates.values())
    assert not todo or unanswered >= MOST_STREAMS, "the client stopped sending although it could"


def end(world: World, flights: list[Exchange], todo: list[tuple[Exchange, int]]) -> None:
    world.client.expire(world.client.next_stream_id // 2, "late")
    if world.draw.draw(st.booleans(), "goaway"):
        acted_on = max((stream_id for stream_id, path in world.paths.items() if path in world.fates), default=0)
        last = world.draw.draw(st.integers(acted_on, world.client.next_stream_id))
        world.client.receive(frames.goaway(last, frames.NO_ERROR))
        assert world.client.state is State.DRAINING
    world.client.lost("cut")
    world.returned += world.client.returned
    handed_back = [(flight, index) for flight, index, _ in world.returned]
    assert len(handed_back) == len(set(handed_back)), "handed back twice"
    unsent = set(todo)
    for flight in flights:
        open_ends = 0
        for index, path in enumerate(flight.burst.columns[1]):
            fate = Fate(flight.results.fates[index])
            did = world.fates.get(path)
            if (flight, index) in unsent or (flight, index) in set(handed_back):
                open_ends += 1
                assert fate is Fate.PENDING
                assert did in (None, "refuse"), f"the server has what is called not processed: {did}"
            elif fate is Fate.RESPONSE:
                assert did is not None
                assert flight.results.statuses[index] == EXPECTED[did]
            else:
                assert fate is Fate.AMBIGUOUS
                assert did != "refuse", "refused, and so safe to send again"
        assert flight.left == open_ends
