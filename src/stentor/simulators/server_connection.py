"""The server's half of HTTP/2, without I/O, and strict: bytes in; bytes, and whole requests, out.

Rules: whatever a client may not do (RFC 9113) ends the connection with a GOAWAY whose debug text says what was wrong,
and is noted in `violations`. What a client could not know yet (a limit it has not acknowledged, a stream it opened
before our GOAWAY reached it) is never held against it. No clock, no socket, no opinion about what a request means.

Faults are made from outside, with the same methods a healthy server uses (`set_limit`, `reset`, `goaway`,
`hold_windows`), or with `inject`, which sends any bytes. The file is longer than our budget of 400 lines because it is
one state machine: cut in two, each half would need all the state of the other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from jh2._hazmat import Decoder, Encoder
from jh2.hpack.hpack import encode_integer

from stentor.http2 import frames as f
from stentor.simulators.request_headers import Header, problem_of_request, problem_of_trailers

_UNLIMITED = 2**31
_LARGEST_BLOCK = 65_536
_GOAWAY_PING = b"goneaway"
_U32 = Struct(">I")
_SIZE_UPDATE = 0x20  # HPACK's pattern for a dynamic table size update


class ServerRequest(NamedTuple):
    stream_id: int
    headers: list[Header]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What this server announces, and what it does to a client that opens too many streams."""

    max_streams: int = 100
    initial_window: int = f.DEFAULT_WINDOW
    connection_window: int = f.DEFAULT_WINDOW
    max_frame_size: int = f.DEFAULT_MAX_FRAME_SIZE
    max_header_list: int = 8_000
    header_table: int = f.DEFAULT_HEADER_TABLE_SIZE
    over_limit_code: int | None = None
    """GOAWAY with this code when a client exceeds a limit that it has acknowledged; None: REFUSED_STREAM."""
    over_limit_text: str = "too many streams"
    takes_early: bool = True
    """Whether a client that has not acknowledged the first SETTINGS may open any number of streams."""
    max_idle_pings: int | None = None
    """More PINGs than this without a request between them: GOAWAY ENHANCE_YOUR_CALM `too_many_pings`."""


class Violation(Exception):
    """The client broke a rule."""

    def __init__(self, code: int, text: str, debug: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.debug = text if debug is None else debug
        """What the GOAWAY says, where the provider has words of its own."""


class _Stream:
    """An open stream: what has come of the request, and what is left to send of the answer."""

    __slots__ = ("body", "ended", "headers", "length", "owed", "receive_window", "send_window", "unsent")

    def __init__(self, headers: list[Header], receive_window: int, send_window: int) -> None:
        self.headers = headers
        self.body = b""
        self.length: int | None = None
        self.ended = False
        self.owed = 0
        self.receive_window = receive_window
        self.send_window = send_window
        self.unsent: bytes | None = None


class ServerConnection:
    def __init__(self, rules: Rules, violations: list[str] | None = None) -> None:
        self.rules = rules
        self.violations = violations if violations is not None else []
        self.closed = False
        """A GOAWAY for an error was sent: nothing that comes is looked at any more."""
        self.streams: dict[int, _Stream] = {}
        self.delivered_id = 0
        """The highest stream whose request was handed over; the last stream id of an honest GOAWAY."""
        self.opened = 0
        """Streams opened by the client, refused ones included."""
        self.cut_at_header: int | None = None
        """Stop reading right after the headers of this many opened streams (see `cut`)."""
        self.cut = False
        self.high_water = 0
        self.limit = rules.max_streams
        """The newest stream limit announced."""
        self.goaway_last: int | None = None
        self.goaway_seen = False
        """The client has answered the PING that went out right behind our GOAWAY."""
        self._acknowledged_limit = _UNLIMITED
        self._unacknowledged: deque[list[tuple[int, int]]] = deque()
        self._input = b""
        self._preface_seen = False
        self._settings_seen = False
        self._output: list[bytes] = []
        self._ready: list[ServerRequest] = []
        self._decoder = Decoder()
        self._encoder = Encoder()
        self._table_updates: tuple[int, ...] = ()  # owed to the client at the start of the next block
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags, fragments, while END_HEADERS is awaited
        self._newest_id = 0
        self._discarded: set[int] = set()  # reset by us; what the client had under way for them is dropped
        self._initial_receive_window = f.DEFAULT_WINDOW
        self._receive_window = f.DEFAULT_WINDOW
        self._owed = 0
        self._held = False
        self._send_window = f.DEFAULT_WINDOW
        self._initial_send_window = f.DEFAULT_WINDOW
        self._send_frame_size = f.DEFAULT_MAX_FRAME_SIZE
        self._frame_size_limit = f.DEFAULT_MAX_FRAME_SIZE
        self._idle_pings = 0
        self._handlers = {
            f.DATA: self._on_data,
            f.HEADERS: self._on_headers,
            f.PRIORITY: self._on_priority,
            f.RST_STREAM: self._on_reset,
            f.SETTINGS: self._on_settings,
            f.PUSH_PROMISE: self._on_push_promise,
            f.PING: self._on_ping,
            f.GOAWAY: self._on_goaway,
            f.WINDOW_UPDATE: self._on_window_update,
            f.CONTINUATION: self._on_stray_continuation,
        }
        self._announce()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "going away" if self.goaway_last is not None else "open"
        return f"<ServerConnection {state}, {len(self.streams)}/{self.limit} streams, {self.opened} opened>"

    def _announce(self) -> None:
        rules = self.rules
        self._settings(
            [
                (f.HEADER_TABLE_SIZE, rules.header_table),
                (f.MAX_CONCURRENT_STREAMS, rules.max_streams),
                (f.INITIAL_WINDOW_SIZE, rules.initial_window),
                (f.MAX_FRAME_SIZE, rules.max_frame_size),
                (f.MAX_HEADER_LIST_SIZE, rules.max_header_list),
            ]
        )
        if rules.connection_window > f.DEFAULT_WINDOW:
            self._output.append(f.window_update(0, rules.connection_window - f.DEFAULT_WINDOW))
            self._receive_window = rules.connection_window

    # What the server does.

    def take(self) -> bytes:
        """The bytes to send; each is given out once."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def respond(self, stream_id: int, headers: list[Header], body: bytes = b"") -> bool:
        """Answer in full. False when the stream is gone (reset by the client, or the connection closed)."""
        stream = self.streams.get(stream_id)
        if stream is None or self.closed:
            return False
        block = self.encode(headers)
        self._output.append(f.headers(stream_id, block, end_stream=not body, max_frame_size=self._send_frame_size))
        if body:
            stream.unsent = body
            self._send_body(stream_id, stream)
        else:
            del self.streams[stream_id]
        return True

    def encode(self, headers: list[Header]) -> bytes:
        """A header block; it must be sent, and before the next one, or the client's table goes astray."""
        block = self._encoder.encode([(name, value, False) for name, value in headers])
        if self._table_updates:
            block = b"".join(map(_size_update, self._table_updates)) + block
            self._table_updates = ()
        return block

    def set_limit(self, max_streams: int) -> None:
        self.limit = max_streams
        self._settings([(f.MAX_CONCURRENT_STREAMS, max_streams)])

    def set_initial_window(self, size: int) -> None:
        self._settings([(f.INITIAL_WINDOW_SIZE, size)])

    def reset(self, stream_id: int, code: int) -> None:
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            if not stream.ended:
                self._discarded.add(stream_id)
            self._output.append(f.rst_stream(stream_id, code))

    def goaway(self, last_stream_id: int, code: int = f.NO_ERROR, debug: bytes = b"") -> None:
        """Announce the end. New streams are ignored from here on, and a fault once the client has seen this."""
        self.goaway_last = last_stream_id if self.goaway_last is None else min(last_stream_id, self.goaway_last)
        self._output.append(f.goaway(last_stream_id, code, debug))
        self._output.append(f.ping(_GOAWAY_PING))
        for stream_id in [i for i in self.streams if i > last_stream_id]:
            del self.streams[stream_id]

    def hold_windows(self) -> None:
        """Starve the client: no WINDOW_UPDATE until `release_windows`."""
        self._held = True

    def release_windows(self) -> None:
        self._held = False
        self._replenish_connection(at_least=1)
        for stream_id, stream in self.streams.items():
            if not stream.ended and stream.owed:
                self._replenish_stream(stream_id, stream)

    def inject(self, raw: bytes) -> None:
        """Send these bytes as they are, whatever they are."""
        self._output.append(raw)

    def _settings(self, values: list[tuple[int, int]]) -> None:
        self._unacknowledged.append(values)
        self._output.append(f.settings(values))

    def _send_body(self, stream_id: int, stream: _Stream) -> None:
        """As much of the answer's body as the client's windows allow; the rest waits for WINDOW_UPDATE."""
        rest = stream.unsent or b""
        while rest:
            size = min(len(rest), self._send_window, stream.send_window, self._send_frame_size)
            if size <= 0:
                stream.unsent = rest
                return
            chunk, rest = rest[:size], rest[size:]
            self._send_window -= size
            stream.send_window -= size
            self._output.append(f.frame(f.DATA, 0 if rest else f.END_STREAM, stream_id, chunk))
        del self.streams[stream_id]

    def _send_waiting(self) -> None:
        for stream_id, stream in list(self.streams.items()):
            if stream.unsent is not None:
                if self._send_window <= 0:
                    return
                self._send_body(stream_id, stream)

    # What the client does.

    def receive(self, data: bytes) -> list[ServerRequest]:
        """Take bytes of any size; give the requests that are whole now, in the order in which they became so."""
        if self.closed or self.cut:
            return []
        self._ready = []
        try:
            self._parse(self._input + data if self._input else data)
        except Violation as violation:
            self._fail(violation)
        return self._ready

    def _parse(self, data: bytes) -> None:
        position, size = 0, len(data)
        if not self._preface_seen:
            if not f.PREFACE.startswith(data[: len(f.PREFACE)]):
                raise Violation(f.PROTOCOL_ERROR, "the connection doesn't begin with the HTTP/2 preface")
            if size < len(f.PREFACE):
                self._input = data
                return
            self._preface_seen = True
            position = len(f.PREFACE)
        unpack, header_size = f.HEAD.unpack_from, f.HEADER_SIZE
        while size - position >= header_size and not self.cut:
            head, flags, stream_id = unpack(data, position)
            length = head >> 8
            if length > self._frame_size_limit:
                raise Violation(f.FRAME_SIZE_ERROR, f"a frame of {length} bytes, {self._frame_size_limit} allowed")
            start = position + header_size
            position = start + length
            if position > size:
                position = start - header_size
                break
            self._on_frame(head & 0xFF, flags, stream_id & 0x7FFF_FFFF, data[start:position])
        self._input = data[position:]

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None:
            self._on_continuation(kind, flags, stream_id, payload)
            return
        if not self._settings_seen:
            if kind != f.SETTINGS or flags & f.ACK:
                raise Violation(f.PROTOCOL_ERROR, f"the first frame is of type {kind:#x}, not SETTINGS")
            self._settings_seen = True
        handler = self._handlers.get(kind)
        if handler is not None:  # frames of unknown type are ignored (section 5.5)
            handler(flags, stream_id, payload)

    def _fail(self, violation: Violation) -> None:
        self.violations.append(violation.text)
        self._output.append(f.goaway(self.delivered_id, violation.code, violation.debug.encode()))
        self.closed = True
        self.streams.clear()

    # Header blocks.

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise Violation(f.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & f.PADDED:
            payload = _unpadded(payload, "HEADERS")
        if flags & f.HAS_PRIORITY:
            if len(payload) < 5:
                raise Violation(f.FRAME_SIZE_ERROR, "HEADERS too short for the priority it announces")
            if _U32.unpack_from(payload)[0] & 0x7FFF_FFFF == stream_id:
                raise Violation(f.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")
            payload = payload[5:]
        if flags & f.END_HEADERS:
            self._on_block(flags, stream_id, payload)
        else:
            self._block = (stream_id, flags, bytearray(payload))

    def _on_continuation(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        assert self._block is not None
        wanted, first_flags, fragments = self._block
        if kind != f.CONTINUATION or stream_id != wanted:
            raise Violation(
                f.PROTOCOL_ERROR,
                f"a frame of type {kind:#x} on stream {stream_id} inside stream {wanted}'s header block",
            )
        fragments += payload
        if len(fragments) > _LARGEST_BLOCK:
            raise Violation(f.ENHANCE_YOUR_CALM, f"a header block of more than {_LARGEST_BLOCK} bytes")
        if flags & f.END_HEADERS:
            self._block = None
            self._on_block(first_flags, stream_id, bytes(fragments))

    def _on_stray_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise Violation(f.PROTOCOL_ERROR, f"CONTINUATION on stream {stream_id} without a header block begun")

    def _decode(self, block: bytes) -> list[Header]:
        try:
            decoded = self._decoder.decode(block, True)
        except BaseException as error:  # the Rust decoder panics on some cut blocks, and a panic is no Exception
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise Violation(f.COMPRESSION_ERROR, f"the header block cannot be decoded: {error}") from None
        size = 0
        headers: list[Header] = []
        for name, value, _ in decoded:
            headers.append((name, value))  # type: ignore[arg-type]  # bytes, since raw was asked for
            size += len(name) + len(value) + 32
        if size > self.rules.max_header_list:
            raise Violation(f.ENHANCE_YOUR_CALM, f"a header list of {size} bytes, {self.rules.max_header_list} allowed")
        return headers

    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        headers = self._decode(block)
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_trailers(stream_id, stream, flags, headers)
        elif stream_id <= self._newest_id:
            if stream_id not in self._discarded and not self._is_beyond_goaway(stream_id):
                raise Violation(
                    f.STREAM_CLOSED,
                    f"HEADERS on stream {stream_id}, which is closed or was skipped (newest: {self._newest_id})",
                )
        else:
            self._on_new_stream(stream_id, flags, headers)

    def _on_trailers(self, stream_id: int, stream: _Stream, flags: int, headers: list[Header]) -> None:
        if stream.ended:
            raise Violation(f.STREAM_CLOSED, f"HEADERS on stream {stream_id} after its END_STREAM")
        if not flags & f.END_STREAM:
            raise Violation(f.PROTOCOL_ERROR, f"trailers on stream {stream_id} without END_STREAM")
        problem = problem_of_trailers(headers)
        if problem:
            raise Violation(f.PROTOCOL_ERROR, f"stream {stream_id}: {problem}")
        self._deliver(stream_id, stream)

    def _on_new_stream(self, stream_id: int, flags: int, headers: list[Header]) -> None:
        if not stream_id & 1:
            raise Violation(f.PROTOCOL_ERROR, f"a client opened stream {stream_id}, an even number")
        self._newest_id = stream_id
        self.opened += 1
        self._idle_pings = 0
        problem = problem_of_request(headers)
        if problem:
            raise Violation(f.PROTOCOL_ERROR, f"stream {stream_id}: {problem}")
        ended = bool(flags & f.END_STREAM)
        if self._is_beyond_goaway(stream_id):
            if self.goaway_seen:
                raise Violation(f.PROTOCOL_ERROR, f"stream {stream_id} was opened after our GOAWAY had been seen")
            return
        if not self._admit(stream_id, ended):
            return
        stream = _Stream(headers, self._initial_receive_window, self._initial_send_window)
        stream.length = _content_length(stream_id, headers)
        self.streams[stream_id] = stream
        if len(self.streams) > self.high_water:
            self.high_water = len(self.streams)
        if ended:
            self._deliver(stream_id, stream)
        elif self.cut_at_header is not None and self.opened >= self.cut_at_header:
            self.cut = True

    def _admit(self, stream_id: int, ended: bool) -> bool:
        """Whether there is room for one more stream. A limit not yet acknowledged refuses, but blames nobody."""
        count = len(self.streams)
        if count < self.limit or (self.rules.takes_early and self._acknowledged_limit == _UNLIMITED):
            return True
        if count >= self._acknowledged_limit:
            text = f"{count + 1} streams at once, {self._acknowledged_limit} allowed"
            code = self.rules.over_limit_code
            if code is not None:
                raise Violation(code, text, self.rules.over_limit_text)
            self.violations.append(text)
        if not ended:
            self._discarded.add(stream_id)
        self._output.append(f.rst_stream(stream_id, f.REFUSED_STREAM))
        return False

    def _is_beyond_goaway(self, stream_id: int) -> bool:
        return self.goaway_last is not None and stream_id > self.goaway_last

    def _deliver(self, stream_id: int, stream: _Stream) -> None:
        stream.ended = True
        if stream.length is not None and stream.length != len(stream.body):
            raise Violation(
                f.PROTOCOL_ERROR,
                f"stream {stream_id}: content-length {stream.length}, but {len(stream.body)} bytes came",
            )
        if stream_id > self.delivered_id:
            self.delivered_id = stream_id
        self._ready.append(ServerRequest(stream_id, stream.headers, stream.body))

    # Data and windows.

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        length = len(payload)
        self._receive_window -= length
        if self._receive_window < 0:
            raise Violation(
                f.FLOW_CONTROL_ERROR, f"DATA exceeds the connection's window by {-self._receive_window} bytes"
            )
        self._owed += length
        self._replenish_connection(at_least=self.rules.connection_window // 2)
        if flags & f.PADDED:
            payload = _unpadded(payload, "DATA")
        stream = self.streams.get(stream_id)
        if stream is None or stream.ended:
            self._on_stray_data(flags, stream_id)
            return
        stream.receive_window -= length
        if stream.receive_window < 0:
            raise Violation(
                f.FLOW_CONTROL_ERROR, f"DATA exceeds the window of stream {stream_id} by {-stream.receive_window} bytes"
            )
        stream.body = stream.body + payload if stream.body else payload
        if flags & f.END_STREAM:
            self._deliver(stream_id, stream)
            return
        stream.owed += length
        if not self._held and stream.owed * 2 >= self._initial_receive_window:
            self._replenish_stream(stream_id, stream)

    def _on_stray_data(self, flags: int, stream_id: int) -> None:
        if stream_id == 0 or (stream_id > self._newest_id):
            raise Violation(f.PROTOCOL_ERROR, f"DATA on stream {stream_id}, which was never opened")
        if stream_id in self._discarded:
            if flags & f.END_STREAM:
                self._discarded.discard(stream_id)
        elif not self._is_beyond_goaway(stream_id):
            raise Violation(f.STREAM_CLOSED, f"DATA on stream {stream_id}, which is closed")

    def _replenish_connection(self, at_least: int) -> None:
        if not self._held and self._owed and self._owed >= at_least:
            self._output.append(f.window_update(0, self._owed))
            self._receive_window += self._owed
            self._owed = 0

    def _replenish_stream(self, stream_id: int, stream: _Stream) -> None:
        self._output.append(f.window_update(stream_id, stream.owed))
        stream.receive_window += stream.owed
        stream.owed = 0

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Violation(f.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        increment = _U32.unpack(payload)[0] & 0x7FFF_FFFF
        if increment == 0:
            raise Violation(f.PROTOCOL_ERROR, f"WINDOW_UPDATE of 0 on stream {stream_id}")
        if stream_id == 0:
            self._send_window += increment
            if self._send_window > f.MAX_WINDOW:
                raise Violation(f.FLOW_CONTROL_ERROR, "WINDOW_UPDATE takes the connection's window beyond 2^31-1")
            self._send_waiting()
            return
        if stream_id > self._newest_id:
            raise Violation(f.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which was never opened")
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.send_window += increment
            if stream.send_window > f.MAX_WINDOW:
                raise Violation(f.FLOW_CONTROL_ERROR, f"WINDOW_UPDATE takes stream {stream_id} beyond 2^31-1")
            if stream.unsent is not None:
                self._send_body(stream_id, stream)

    # Everything else.

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise Violation(f.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if flags & f.ACK:
            self._on_settings_ack(payload)
            return
        if len(payload) % 6:
            raise Violation(f.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes, no multiple of 6")
        for identifier, value in f.parse_settings(payload):
            self._apply_client_setting(identifier, value)
        self._output.append(f.SETTINGS_ACK)
        self._send_waiting()

    def _apply_client_setting(self, identifier: int, value: int) -> None:
        if identifier == f.HEADER_TABLE_SIZE:
            self._resize_table(min(value, f.DEFAULT_HEADER_TABLE_SIZE))
        elif identifier == f.ENABLE_PUSH:
            if value > 1:
                raise Violation(f.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH of {value}")
        elif identifier == f.INITIAL_WINDOW_SIZE:
            if value > f.MAX_WINDOW:
                raise Violation(f.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE of {value}")
            change = value - self._initial_send_window
            self._initial_send_window = value
            for stream in self.streams.values():
                stream.send_window += change
        elif identifier == f.MAX_FRAME_SIZE:
            if not f.DEFAULT_MAX_FRAME_SIZE <= value <= f.LARGEST_MAX_FRAME_SIZE:
                raise Violation(f.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE of {value}")
            self._send_frame_size = value

    def _resize_table(self, size: int) -> None:
        """The library's encoder resizes its table without a word, so we tell the client: the lowest size since the
        last block, and the last (RFC 7541 section 4.2)."""
        if size != self._encoder.header_table_size:
            self._encoder.header_table_size = size
            lowest = min((size, *self._table_updates))
            self._table_updates = (size,) if lowest == size else (lowest, size)

    def _on_settings_ack(self, payload: bytes) -> None:
        """Only now does the client stand under what we announced."""
        if payload:
            raise Violation(f.FRAME_SIZE_ERROR, "a SETTINGS acknowledgement that isn't empty")
        if not self._unacknowledged:
            raise Violation(f.PROTOCOL_ERROR, "a SETTINGS acknowledgement too many")
        for identifier, value in self._unacknowledged.popleft():
            if identifier == f.MAX_CONCURRENT_STREAMS:
                self._acknowledged_limit = value
            elif identifier == f.INITIAL_WINDOW_SIZE:
                change = value - self._initial_receive_window
                self._initial_receive_window = value
                for stream in self.streams.values():
                    stream.receive_window += change
            elif identifier == f.MAX_FRAME_SIZE:
                self._frame_size_limit = value
            elif identifier == f.HEADER_TABLE_SIZE:
                self._decoder.max_allowed_table_size = value

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise Violation(f.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise Violation(f.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if flags & f.ACK:
            if payload == _GOAWAY_PING:
                self.goaway_seen = True
            return
        self._idle_pings += 1
        if self.rules.max_idle_pings is not None and self._idle_pings > self.rules.max_idle_pings:
            raise Violation(f.ENHANCE_YOUR_CALM, "too_many_pings")
        self._output.append(f.ping(payload, ack=True))

    def _on_reset(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Violation(f.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        if stream_id == 0 or stream_id > self._newest_id:
            raise Violation(f.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which was never opened")
        self.streams.pop(stream_id, None)
        self._discarded.discard(stream_id)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise Violation(f.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise Violation(f.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise Violation(f.PROTOCOL_ERROR, "a client may not send PUSH_PROMISE")

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0 or len(payload) < 8:
            raise Violation(f.PROTOCOL_ERROR, "GOAWAY on a stream, or too short")


def _size_update(size: int) -> bytes:
    encoded = bytes(encode_integer(size, 5))
    return bytes((encoded[0] | _SIZE_UPDATE,)) + encoded[1:]


def _unpadded(payload: bytes, what: str) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise Violation(f.PROTOCOL_ERROR, f"{what} whose padding is longer than the frame")
    return payload[1 : len(payload) - payload[0]]


def _content_length(stream_id: int, headers: list[Header]) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise Violation(f.PROTOCOL_ERROR, f"stream {stream_id}: content-length {value!r} is no number")
            return int(value)
    return None
