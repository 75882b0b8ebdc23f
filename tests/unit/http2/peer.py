"""A hand-made server for the connection's unit tests: it says just what a test wants said, legal or not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from jh2.hpack import Decoder, Encoder

from stentor.errors import ProtocolError
from stentor.http2 import frames
from stentor.http2.burst import Burst, Fate, Template
from stentor.http2.connection import Connection, Exchange

TEMPLATE = Template(
    constant=(
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"push.example"),
        (b"authorization", b"bearer " + b"t" * 100),
        (b"apns-topic", b"com.example.app"),
    ),
    varying=(b"apns-id", b":path"),
)


def burst(count: int, body: bytes = b'{"aps":{}}', template: Template = TEMPLATE) -> Burst:
    paths = [b"/3/device/%064x" % i for i in range(count)]
    ids = [b"00000000-0000-4000-8000-%012x" % i for i in range(count)]
    return Burst(template, (ids, paths), [body] * count)


class Frame:
    def __init__(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        self.kind, self.flags, self.stream_id, self.payload = kind, flags, stream_id, payload

    def __repr__(self) -> str:
        return f"Frame({self.kind}, {self.flags:#x}, stream {self.stream_id}, {len(self.payload)} bytes)"


class Peer:
    """Holds a client connection and speaks to it; `sent` are the client's frames since the last look."""

    def __init__(self, settings: Iterable[tuple[int, int]] = (), *, started: bool = True) -> None:
        self.client = Connection()
        self.client.start()
        assert self.client.data_to_send().startswith(frames.PREFACE)
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.decoder.max_header_list_size = 2**20
        if started:
            self.say(frames.settings(settings))
            self.sent()

    def say(self, *data: bytes) -> None:
        self.client.receive(b"".join(data))

    def say_each(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.client.receive(piece)

    def fails(self, *data: bytes) -> ProtocolError:
        """The protocol error these bytes must cause; checks that the client says goodbye with its code."""
        with pytest.raises(ProtocolError) as caught:
            self.say(*data)
        last = self.sent()[-1]
        assert last.kind == frames.GOAWAY
        assert int.from_bytes(last.payload[4:8], "big") == caught.value.code
        return caught.value

    def sent(self) -> list[Frame]:
        data = self.client.data_to_send()
        out = []
        while data:
            length_and_type, flags, stream_id = frames.HEAD.unpack_from(data)
            size = frames.HEADER_SIZE + (length_and_type >> 8)
            out.append(Frame(length_and_type & 0xFF, flags, stream_id, data[frames.HEADER_SIZE : size]))
            data = data[size:]
        return out

    def requests(self) -> list[tuple[int, list[tuple[bytes, bytes]], bytes, bool]]:
        """What the client sent, as (stream id, headers, body, ended); decodes every block, as a server must."""
        seen: dict[int, tuple[list[tuple[bytes, bytes]], bytearray]] = {}
        ended = set()
        block = b""
        for frame in self.sent():
            if frame.kind in (frames.HEADERS, frames.CONTINUATION):
                block += frame.payload
                if frame.flags & frames.END_HEADERS:
                    fields = [(bytes(name), bytes(value)) for name, value in self.decoder.decode(block, raw=True)]
                    seen[frame.stream_id] = (fields, bytearray())
                    block = b""
            elif frame.kind == frames.DATA:
                seen.setdefault(frame.stream_id, ([], bytearray()))[1].extend(frame.payload)
                if frame.flags & frames.END_STREAM:
                    ended.add(frame.stream_id)
        return [(stream_id, fields, bytes(body), stream_id in ended) for stream_id, (fields, body) in seen.items()]

    def block(self, status: int, *fields: tuple[bytes, bytes]) -> bytes:
        return bytes(self.encoder.encode([(b":status", b"%d" % status), *fields]))

    def answer(self, stream_id: int, status: int = 200, body: bytes = b"", *fields: tuple[bytes, bytes]) -> bytes:
        head = frames.headers(
            stream_id, self.block(status, *fields), end_stream=not body, max_frame_size=frames.DEFAULT_MAX_FRAME_SIZE
        )
        return head + (frames.frame(frames.DATA, frames.END_STREAM, stream_id, body) if body else b"")

    def submit(self, count: int, body: bytes = b'{"aps":{}}', template: Template = TEMPLATE) -> Exchange:
        flight = Exchange(burst(count, body, template))
        assert self.client.submit(flight, range(count)) == count
        return flight


def fates(flight: Exchange) -> list[Fate]:
    return [Fate(fate) for fate in flight.results.fates]
