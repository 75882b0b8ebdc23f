"""A client of raw frames, for doing what no decent HTTP/2 library would do."""

from __future__ import annotations

from jh2._hazmat import Encoder

from stentor.http2 import frames as f
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules, ServerConnection, ServerRequest

GOOD: list[Header] = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/3/device/00ff"),
    (b":authority", b"localhost"),
]

Frame = tuple[int, int, int, bytes]


def split(data: bytes) -> list[Frame]:
    """The frames of a byte string as (type, flags, stream, payload); it must end with a whole one."""
    found = []
    while data:
        head, flags, stream_id = f.HEAD.unpack_from(data)
        length = head >> 8
        assert len(data) >= 9 + length
        found.append((head & 0xFF, flags, stream_id, data[9 : 9 + length]))
        data = data[9 + length :]
    return found


class RawClient:
    """A server connection that has seen a preface, and the means to send it any frame."""

    def __init__(self, rules: Rules | None = None, *, acknowledge: bool = True) -> None:
        self.server = ServerConnection(rules or Rules())
        self._encoder = Encoder()
        self.send(f.PREFACE + f.settings([]))
        if acknowledge:
            self.send(f.SETTINGS_ACK)

    def send(self, data: bytes) -> list[ServerRequest]:
        return self.server.receive(data)

    def block(self, headers: list[Header]) -> bytes:
        return self._encoder.encode([(name, value, False) for name, value in headers])

    def headers(self, stream_id: int, headers: list[Header] | None = None, *, end: bool = False) -> bytes:
        block = self.block(GOOD if headers is None else headers)
        return f.headers(stream_id, block, end_stream=end, max_frame_size=16_384)

    def request(self, stream_id: int, body: bytes = b"{}") -> list[ServerRequest]:
        return self.send(self.headers(stream_id) + f.frame(f.DATA, f.END_STREAM, stream_id, body))

    def answers(self) -> list[Frame]:
        return split(self.server.take())

    def goaway(self) -> tuple[int, int, bytes]:
        """Last stream id, code and debug text of the GOAWAY that ended the connection."""
        payload = next(payload for kind, _, _, payload in self.answers() if kind == f.GOAWAY)
        return int.from_bytes(payload[:4]), int.from_bytes(payload[4:8]), payload[8:]
