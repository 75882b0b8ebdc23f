"""One HTTP/2 client connection (RFC 9113) without I/O: bytes in, bytes and settled results out.

Rules: no socket, no clock, no awaits. Requests enter in bursts (`submit`), answers are written straight into the
`Results` of their burst, by index. A stream is an entry of one dict (stream id -> flight, index), never an object.
Whatever happens, each request taken by `submit` leaves in exactly one of three ways: settled as a response, settled
as ambiguous, or handed back in `returned` because it was certainly not processed (see `burst.Fate`).

Longer than a module should be: all of it is one state, and cut in two each half would reach into the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import accumulate, repeat, takewhile

from stentor.errors import ProtocolError
from stentor.http2 import encode, frames
from stentor.http2.burst import Burst, Fate, Reply, Results
from stentor.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_MAX_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEAD,
    HEADER_SIZE,
    HEADERS,
    LAST_STREAM_ID,
    MAX_WINDOW,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from stentor.http2.hpack import Decoder, Encoder, Fields, Layout
from stentor.http2.responses import ResponseJudge

MAX_HEADER_BLOCK = 65_536
"""Bytes of one header block, CONTINUATIONs and all; more is a protocol error (the CONTINUATION flood)."""
MAX_BODY = DEFAULT_WINDOW
"""Bytes kept of one response body; the stream's window, which is never widened, bounds the rest."""
RECEIVE_WINDOW = 4 * 2**20
"""Bytes the peer may have under way on the whole connection: the bound of what half-read answers can hold."""
STEP = RECEIVE_WINDOW // 2
"""Bytes of it that are given back at once."""
MAX_UNSENT_CONTROL = 2**20
"""Bytes of acknowledgements a peer may make us owe while it reads nothing (PING and SETTINGS floods)."""
MAX_CANCELLED = 10_000
"""Cancelled streams remembered for their late frames; with more, the connection takes no new requests."""

PING_PAYLOAD = b"stentor?"
OK = 200
_STATUS_NAME, _STATUS_OK = b":status", b"200"
FIRST_FINAL_STATUS = 200
RESPONSE = int(Fate.RESPONSE)

_TOO_LONG = DEFAULT_MAX_FRAME_SIZE + 1 << 8
_STATUSES = {b"%d" % status: status for status in range(100, 600)}


class State(Enum):
    OPEN = "open"
    DRAINING = "draining"  # finishes what it has, takes nothing new
    CLOSED = "closed"


class Exchange:
    """A burst under way: what was asked, what became of it, and how many requests are still to be settled."""

    __slots__ = ("burst", "left", "opening", "proof", "results")

    def __init__(self, burst: Burst) -> None:
        self.burst = burst
        self.proof = burst.template.proof
        self.opening = burst.template.opening
        self.results = Results(len(burst))
        self.left = len(burst)

    def settle(self, index: int, fate: Fate, reason: str) -> None:
        """Settle a request that got no response."""
        self.results.fates[index] = fate
        self.results.reasons[index] = reason
        self.left -= 1


Head = tuple[int, Fields, int | None]
"""The status and headers of a response, and how long its body must be, if they say so."""
StreamRequest = tuple[Exchange, int]
"""A flight and the index of one of its requests."""


class Connection:
    def __init__(self) -> None:
        self.state = State.OPEN
        self.returned: list[tuple[Exchange, int, str]] = []
        """Requests certainly not processed, with the reason; the owner takes them out and sends them elsewhere."""
        self.goaway_reason: str | None = None
        """What the peer's GOAWAY said: its error's name and its debug data."""
        self.goaway_debug = b""
        self.told_to_calm_down = False
        """Whether that GOAWAY was ENHANCE_YOUR_CALM: we asked too much of the peer."""
        self.settings_received = False
        self.pings_answered = 0
        self.responses = 0
        self.max_streams = LAST_STREAM_ID
        self._streams: dict[int, StreamRequest] = {}
        self._bodies: dict[int, bytes] = {}  # what is still to be sent, by stream, in order
        self._windows: dict[int, int] = {}  # send windows of the streams in _bodies
        self._heads: dict[int, Head] = {}  # final headers read, body to come
        self._chunks: dict[int, bytearray] = {}
        self._cancelled: set[int] = set()
        self._next_id = 1
        self._encoder = Encoder()
        self._decoder = Decoder(MAX_HEADER_BLOCK)
        self._judge = ResponseJudge()
        self._send_window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        self._max_frame_size = DEFAULT_MAX_FRAME_SIZE
        self._receive_window = RECEIVE_WINDOW
        self._consumed = 0
        self._tail = b""
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags, parts of an unfinished header block
        self._out: list[bytes] = []
        self._control_bytes = 0

    def __repr__(self) -> str:
        return (
            f"<Connection {self.state.value}, {len(self._streams)}/{self.max_streams} streams, "
            f"send window {self._send_window}, {self.responses} responses>"
        )

    # -- what the owner asks ------------------------------------------------------------------------------------------

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    def has(self, stream_id: int) -> bool:
        """Whether the request on this stream is under way."""
        return stream_id in self._streams

    @property
    def next_stream_id(self) -> int:
        return self._next_id

    @property
    def free_streams(self) -> int:
        """How many more requests the peer's stream limit and the remaining stream ids allow now."""
        if self.state is not State.OPEN:
            return 0
        ids_left = (LAST_STREAM_ID - self._next_id) // 2 + 1
        return max(0, min(self.max_streams - len(self._streams), ids_left))

    def start(self) -> None:
        """Queue the preface: no pushes, and one wide window for the connection as a whole."""
        self._out += (
            frames.PREFACE,
            frames.settings([(frames.ENABLE_PUSH, 0), (frames.MAX_HEADER_LIST_SIZE, MAX_HEADER_BLOCK)]),
            frames.window_update(0, RECEIVE_WINDOW - DEFAULT_WINDOW),
        )

    def data_to_send(self) -> bytes:
        """All bytes queued since the last call; they count as written from here on."""
        data = b"".join(self._out)
        self._out.clear()
        self._control_bytes = 0
        return data

    def submit(self, flight: Exchange, indices: Sequence[int]) -> int:
        """Queue the first requests of `indices`, as many as streams and windows allow now; returns how many."""
        count = min(self.free_streams, len(indices))
        if count <= 0:
            return 0
        chosen = indices[:count]
        bodies, columns = _pick(flight.burst, chosen)
        done = 0
        while done < count and self._send_window > 0:
            layout = self._encoder.layout(flight.burst.template)
            columns_in_order = [columns[i] for i in layout.order]
            fitting = 0
            if layout.first is None and self._regular(layout, columns_in_order, bodies):
                fitting = _fitting(bodies[done:], self._send_window)
            if fitting:
                part = slice(done, done + fitting)
                cut = [column[part] for column in columns_in_order]
                self._out.append(encode.requests(layout, cut, bodies[part], self._next_id))
                self._send_window -= sum(map(len, bodies[part]))
                self._open(flight, chosen[part])
                done += fitting
            else:
                values = [column[done] for column in columns_in_order]
                self._submit_one(flight, chosen[done], encode.block(layout, values), bodies[done])
                done += 1
        return done

    def expire(self, before_stream_id: int, reason: str) -> int:
        """Give up on all requests submitted before that stream id that aren't answered yet; returns how many."""
        late = list(takewhile(before_stream_id.__gt__, self._streams))
        for stream_id in late:
            self._cancel(stream_id, frames.CANCEL, reason)
        return len(late)

    def ping(self) -> None:
        """Queue a PING; `pings_answered` grows when the peer answers it."""
        self._out.append(frames.ping(PING_PAYLOAD))

    def drain(self) -> None:
        """Take nothing new; what is under way may finish."""
        if self.state is State.OPEN:
            self.state = State.DRAINING

    def close(self, code: int = frames.NO_ERROR, debug: bytes = b"") -> None:
        """Queue a GOAWAY and end; the owner then calls `lost` for what was still under way."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._out.append(frames.goaway(0, code, debug))

    def lost(self, reason: str) -> None:
        """The connection is gone: settle what was written as ambiguous, hand back what wasn't."""
        self.state = State.CLOSED
        for stream_id in list(self._streams):
            self._forget(stream_id, reason, processed=stream_id not in self._bodies)

    # -- requests -------------------------------------------------------------------------------------------------

    def _regular(self, layout: Layout, columns: Sequence[Sequence[bytes]], bodies: Sequence[bytes]) -> bool:
        """Whether each request of these is one HEADERS and one DATA frame that its stream's window lets through."""
        longest = sum(map(len, layout.pieces)) + sum(max(map(len, column)) + 4 for column in columns)
        return longest <= self._max_frame_size and max(map(len, bodies)) <= min(
            self._max_frame_size, self._initial_window
        )

    def _open(self, flight: Exchange, indices: Sequence[int]) -> None:
        stop = self._next_id + 2 * len(indices)
        self._streams.update(zip(range(self._next_id, stop, 2), zip(repeat(flight), indices), strict=False))
        self._next_id = stop
        if stop > LAST_STREAM_ID:
            self.drain()

    def _submit_one(self, flight: Exchange, index: int, block: bytes, body: bytes) -> None:
        stream_id = self._next_id
        self._out.append(frames.headers(stream_id, block, end_stream=False, max_frame_size=self._max_frame_size))
        self._open(flight, (index,))
        self._bodies[stream_id] = body
        self._windows[stream_id] = self._initial_window
        self._send_body(stream_id)

    def _send_body(self, stream_id: int) -> None:
        """As much of a waiting body as the windows allow."""
        body = self._bodies[stream_id]
        while True:
            size = min(len(body), self._max_frame_size, self._send_window, self._windows[stream_id])
            if size <= 0 and body:
                self._bodies[stream_id] = body
                return
            last = size == len(body)
            self._out.append(frames.frame(DATA, END_STREAM if last else 0, stream_id, body[:size]))
            self._send_window -= size
            self._windows[stream_id] -= size
            body = body[size:]
            if last:
                del self._bodies[stream_id], self._windows[stream_id]
                return

    def _send_bodies(self) -> None:
        for stream_id in list(self._bodies):
            if self._send_window <= 0:
                return
            self._send_body(stream_id)

    def _forget(self, stream_id: int, reason: str, *, processed: bool) -> None:
        """End a stream that got no response."""
        flight, index = self._streams.pop(stream_id)
        self._drop_parts(stream_id)
        if processed:
            flight.settle(index, Fate.AMBIGUOUS, reason)
        else:
            self.returned.append((flight, index, reason))

    def _cancel(self, stream_id: int, code: int, reason: str) -> None:
        """Reset a stream from our side; without its END_STREAM the peer cannot have taken the request as whole."""
        self._reset(stream_id, code)
        self._forget(stream_id, reason, processed=stream_id not in self._bodies)

    def _reset(self, stream_id: int, code: int) -> None:
        self._out.append(frames.rst_stream(stream_id, code))
        self._cancelled.add(stream_id)
        if len(self._cancelled) > MAX_CANCELLED:
            self.drain()

    def _drop_parts(self, stream_id: int) -> None:
        if self._bodies.pop(stream_id, None) is not None:
            del self._windows[stream_id]
        self._heads.pop(stream_id, None)
        chunks = self._chunks.pop(stream_id, None)
        if chunks is not None:
            self._consume(len(chunks))

    # -- what the peer sends ----------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer, in pieces of any size.

        Raises:
            ProtocolError: the peer broke the protocol. A GOAWAY that says so is queued; the owner sends it, closes
                the socket and calls `lost`.
        """
        try:
            self._receive(self._tail + data if self._tail else data)
        except ProtocolError as error:
            self.close(error.code, str(error).encode())
            raise

    def _receive(self, data: bytes) -> None:
        position = 0
        end = len(data)
        unpack = HEAD.unpack_from
        streams, heads, bodies = self._streams, self._heads, self._bodies
        decode, sound = self._decoder.decode, self._judge.names
        plain = END_HEADERS | END_STREAM
        while end - position >= HEADER_SIZE:
            length_and_type, flags, stream_id = unpack(data, position)
            start = position + HEADER_SIZE
            position = start + (length_and_type >> 8)
            if length_and_type >= _TOO_LONG or not self.settings_received:
                self._check_start(length_and_type, flags, data)
            if position > end:
                position = start - HEADER_SIZE
                break
            kind = length_and_type & 0xFF
            payload = data[start:position]
            # The answer without a body, in one frame, with one header of a name that was found in order before, stands
            # here in full: it is what nearly all of APNs' are.
            if kind == HEADERS and flags == plain and stream_id in streams and self._block is None:
                fields = decode(payload)
                if (
                    len(fields) == 2
                    and (first := fields[0])[1] == _STATUS_OK
                    and first[0] == _STATUS_NAME
                    and (name := fields[1][0]) in sound
                    and not (stream_id in heads or bodies)
                ):
                    flight, index = streams.pop(stream_id)
                    results = flight.results
                    results.statuses[index] = OK
                    results.fates[index] = RESPONSE
                    if proof := flight.proof:
                        if name != proof:
                            results.replies[index] = _reply(OK, fields, b"")
                    elif flight.opening:
                        results.bodies[index] = b""
                    flight.left -= 1
                    self.responses += 1
                else:
                    self._on_fields(stream_id, fields, end_stream=True)
            elif self._block is None:
                handler = _HANDLERS.get(kind)
                if handler is not None:
                    handler(self, flags, stream_id & LAST_STREAM_ID, payload)
            else:
                self._on_continuation(kind, flags, stream_id & LAST_STREAM_ID, payload)
        self._tail = data[position:]

    def _check_start(self, length_and_type: int, flags: int, data: bytes) -> None:
        if not self.settings_received and data.startswith(b"HTTP/1"):
            raise ProtocolError("the peer answers in HTTP/1, not HTTP/2")
        if length_and_type >= _TOO_LONG:
            raise ProtocolError(
                f"frame of {length_and_type >> 8} bytes, {DEFAULT_MAX_FRAME_SIZE} allowed",
                code=frames.FRAME_SIZE_ERROR,
            )
        if not self.settings_received and (length_and_type & 0xFF != SETTINGS or flags & ACK):
            raise ProtocolError("the peer's first frame isn't SETTINGS: not an HTTP/2 server?")

    def _check_known(self, stream_id: int) -> None:
        """A frame for a stream without an open request is an error, unless we reset that stream ourselves."""
        if stream_id % 2 == 0 or stream_id >= self._next_id:
            raise ProtocolError(f"frame for stream {stream_id}, which was never opened")
        if stream_id not in self._cancelled:
            raise ProtocolError(f"frame for stream {stream_id}, which has ended", code=frames.STREAM_CLOSED)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id not in self._streams:
            self._check_known(stream_id)
        if flags & PADDED:
            payload = _unpad(payload)
        if flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise ProtocolError("HEADERS too short for its priority", code=frames.FRAME_SIZE_ERROR)
            payload = payload[5:]
        if flags & END_HEADERS:
            self._on_block(stream_id, flags, payload)
        else:
            self._block = (stream_id, flags, bytearray(payload))

    def _on_continuation(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or kind != CONTINUATION or stream_id != self._block[0]:
            raise ProtocolError("a header block and its CONTINUATION frames may not be interrupted")
        _, opening_flags, block = self._block
        block += payload
        if len(block) > MAX_HEADER_BLOCK:
            raise ProtocolError(f"header block over {MAX_HEADER_BLOCK} bytes", code=frames.ENHANCE_YOUR_CALM)
        if flags & END_HEADERS:
            self._block = None
            self._on_block(stream_id, opening_flags, bytes(block))

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        fields = self._decoder.decode(block)  # for a stream we reset as well: the table must stay in step
        if stream_id in self._streams:
            self._on_fields(stream_id, fields, end_stream=bool(flags & END_STREAM))
        elif flags & END_STREAM:
            self._cancelled.discard(stream_id)

    def _on_fields(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        head = self._heads.get(stream_id)
        if head is not None:  # trailers
            problem = self._judge.judge_trailers(fields) if end_stream else "headers after the headers"
            if problem:
                self._refuse(stream_id, problem)
            else:
                self._finish(stream_id, head, bytes(self._chunks.get(stream_id, b"")))
            return
        problem, length = ("", None) if fields is self._judge.plain else self._judge.judge(fields)
        if problem:
            self._refuse(stream_id, problem)
            return
        status = _STATUSES.get(fields[0][1])
        if status is None or (status < FIRST_FINAL_STATUS and end_stream):
            self._refuse(stream_id, "no valid status")
        elif end_stream:
            self._finish(stream_id, (status, fields, length), b"")
        elif status >= FIRST_FINAL_STATUS:
            self._heads[stream_id] = (status, fields, length)

    def _refuse(self, stream_id: int, problem: str) -> None:
        """A malformed response (RFC 9113, 8.1.1): the stream ends, and nobody knows what became of its request."""
        self._cancel(stream_id, frames.PROTOCOL_ERROR, f"malformed response: {problem}")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise ProtocolError("DATA beyond the connection's window", code=frames.FLOW_CONTROL_ERROR)
        if flags & PADDED:
            payload = _unpad(payload)
        if stream_id not in self._streams:
            self._check_known(stream_id)
            self._consume(size)
            if flags & END_STREAM:
                self._cancelled.discard(stream_id)
            return
        head = self._heads.get(stream_id)
        if head is None:
            self._consume(size)
            self._refuse(stream_id, "body before headers")
        elif flags & END_STREAM and stream_id not in self._chunks:
            self._consume(size)
            self._finish(stream_id, head, payload)
        else:
            self._consume(size - len(payload))
            chunks = self._chunks.setdefault(stream_id, bytearray())
            chunks += payload
            if flags & END_STREAM:
                self._finish(stream_id, head, bytes(chunks))
            elif len(chunks) >= MAX_BODY:
                status, fields, _ = head  # its length isn't waited for
                self._finish(stream_id, (status, fields, None), bytes(chunks[:MAX_BODY]))
                self._reset(stream_id, frames.CANCEL)

    def _finish(self, stream_id: int, head: Head, body: bytes) -> None:
        """Settle a response."""
        status, fields, length = head
        if length is not None and length != len(body):
            self._refuse(stream_id, f"content-length {length}, and {len(body)} bytes came")
            return
        flight, index = self._streams.pop(stream_id)
        if self._bodies or self._chunks:
            if stream_id in self._bodies:
                # Answered before we were done asking (a 413, say): the rest of the body is of no use to anyone.
                self._reset(stream_id, frames.NO_ERROR)
            self._drop_parts(stream_id)
        else:
            self._heads.pop(stream_id, None)
        results = flight.results
        results.fates[index] = RESPONSE
        results.statuses[index] = status
        if status != OK or (flight.proof and _lacks(flight.proof, fields)):
            results.replies[index] = _reply(status, fields, body)
        elif flight.opening:
            if not body.startswith(flight.opening):
                results.bodies[index] = body
        elif body:
            results.bodies[index] = body
        flight.left -= 1
        self.responses += 1

    def _consume(self, size: int) -> None:
        """Give the peer its window back, in large steps."""
        self._consumed += size
        if self._consumed >= STEP:
            self._out.append(frames.window_update(0, self._consumed))
            self._receive_window += self._consumed
            self._consumed = 0

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        _check_size(payload, 4, "RST_STREAM")
        if stream_id in self._streams:
            code = int.from_bytes(payload, "big")
            refused = code == frames.REFUSED_STREAM and stream_id not in self._heads
            whole = stream_id not in self._bodies
            self._forget(stream_id, f"reset by the peer: {frames.error_name(code)}", processed=whole and not refused)
        elif stream_id % 2 == 0 or stream_id >= self._next_id:
            self._check_known(stream_id)
        self._cancelled.discard(stream_id)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        _check_connection_frame(stream_id, "SETTINGS")
        if flags & ACK:
            _check_size(payload, 0, "SETTINGS acknowledgement")
            return
        if len(payload) % 6:
            raise ProtocolError("SETTINGS of a size that isn't a multiple of 6", code=frames.FRAME_SIZE_ERROR)
        for identifier, value in frames.parse_settings(payload):
            self._apply_setting(identifier, value)
        self.settings_received = True
        self._owe(frames.SETTINGS_ACK)
        self._send_bodies()

    def _apply_setting(self, identifier: int, value: int) -> None:
        if identifier == frames.MAX_CONCURRENT_STREAMS:
            self.max_streams = value
        elif identifier == frames.HEADER_TABLE_SIZE:
            self._encoder.set_limit(value)
        elif identifier == frames.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise ProtocolError("SETTINGS_INITIAL_WINDOW_SIZE too large", code=frames.FLOW_CONTROL_ERROR)
            for stream_id in self._windows:  # may fall below zero, section 6.9.2
                self._windows[stream_id] += value - self._initial_window
                if self._windows[stream_id] > MAX_WINDOW:
                    raise ProtocolError("a stream's window grew too large", code=frames.FLOW_CONTROL_ERROR)
            self._initial_window = value
        elif identifier == frames.MAX_FRAME_SIZE:
            if not DEFAULT_MAX_FRAME_SIZE <= value <= frames.LARGEST_MAX_FRAME_SIZE:
                raise ProtocolError(f"SETTINGS_MAX_FRAME_SIZE of {value}")
            self._max_frame_size = value
        elif identifier == frames.ENABLE_PUSH and value != 0:
            raise ProtocolError("a server may not enable push")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        _check_connection_frame(stream_id, "PING")
        _check_size(payload, 8, "PING")
        if not flags & ACK:
            self._owe(frames.ping(payload, ack=True))
        elif payload == PING_PAYLOAD:
            self.pings_answered += 1

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        _check_connection_frame(stream_id, "GOAWAY")
        if len(payload) < 8:
            raise ProtocolError("GOAWAY too short", code=frames.FRAME_SIZE_ERROR)
        last_stream_id = int.from_bytes(payload[:4], "big") & LAST_STREAM_ID
        code = int.from_bytes(payload[4:8], "big")
        debug = payload[8:]
        reason = f"GOAWAY {frames.error_name(code)} {debug.decode('utf-8', 'replace')}".rstrip()
        if debug or not self.goaway_debug:  # a later one without debug data takes back no reason
            self.goaway_debug, self.goaway_reason = debug, reason
        self.told_to_calm_down = self.told_to_calm_down or code == frames.ENHANCE_YOUR_CALM
        self.drain()
        for above in [stream_id for stream_id in self._streams if stream_id > last_stream_id]:
            self._forget(above, reason, processed=False)

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        _check_size(payload, 4, "WINDOW_UPDATE")
        increment = int.from_bytes(payload, "big") & MAX_WINDOW
        if stream_id == 0:
            if increment == 0:
                raise ProtocolError("WINDOW_UPDATE of zero")
            self._send_window += increment
            if self._send_window > MAX_WINDOW:
                raise ProtocolError("the connection's window grew too large", code=frames.FLOW_CONTROL_ERROR)
            self._send_bodies()
        elif stream_id in self._streams:
            self._widen(stream_id, increment)
        elif stream_id % 2 == 0 or stream_id >= self._next_id:
            self._check_known(stream_id)

    def _widen(self, stream_id: int, increment: int) -> None:
        if increment == 0:
            self._cancel(stream_id, frames.PROTOCOL_ERROR, "WINDOW_UPDATE of zero")
        elif stream_id in self._windows:
            self._windows[stream_id] += increment
            if self._windows[stream_id] > MAX_WINDOW:
                self._cancel(stream_id, frames.FLOW_CONTROL_ERROR, "the stream's window grew too large")
            else:
                self._send_body(stream_id)

    def _on_priority(self, _flags: int, stream_id: int, _payload: bytes) -> None:
        if stream_id == 0:
            raise ProtocolError("PRIORITY for stream 0")

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ProtocolError("PUSH_PROMISE although push is disabled")

    def _on_stray_continuation(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ProtocolError("CONTINUATION without a header block to continue")

    def _owe(self, acknowledgement: bytes) -> None:
        self._out.append(acknowledgement)
        self._control_bytes += len(acknowledgement)
        if self._control_bytes > MAX_UNSENT_CONTROL:
            raise ProtocolError("too many PING or SETTINGS frames", code=frames.ENHANCE_YOUR_CALM)


_HANDLERS = {
    DATA: Connection._on_data,
    HEADERS: Connection._on_headers,
    PRIORITY: Connection._on_priority,
    RST_STREAM: Connection._on_rst_stream,
    SETTINGS: Connection._on_settings,
    PUSH_PROMISE: Connection._on_push_promise,
    PING: Connection._on_ping,
    GOAWAY: Connection._on_goaway,
    WINDOW_UPDATE: Connection._on_window_update,
    CONTINUATION: Connection._on_stray_continuation,
}
"""By frame type; types that aren't here are ignored (RFC 9113 section 4.1)."""


def _lacks(proof: bytes, fields: Fields) -> bool:
    return all(name != proof for name, _, _ in fields)


def _reply(status: int, fields: Fields, body: bytes) -> Reply:
    return Reply(status, tuple((name, value) for name, value, _ in fields[1:]), body)


def _unpad(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ProtocolError("more padding than frame")
    return payload[1 : len(payload) - payload[0]]


def _check_size(payload: bytes, size: int, what: str) -> None:
    if len(payload) != size:
        raise ProtocolError(f"{what} of {len(payload)} bytes, not {size}", code=frames.FRAME_SIZE_ERROR)


def _check_connection_frame(stream_id: int, what: str) -> None:
    if stream_id != 0:
        raise ProtocolError(f"{what} on stream {stream_id}, not on the connection")


def _pick(burst: Burst, indices: Sequence[int]) -> tuple[Sequence[bytes], list[Sequence[bytes]]]:
    """The bodies and columns of some requests: a slice where they stand together, else one by one."""
    if isinstance(indices, range):
        part = slice(indices.start, indices.stop)
        return burst.bodies[part], [column[part] for column in burst.columns]
    return [burst.bodies[i] for i in indices], [[column[i] for i in indices] for column in burst.columns]


def _fitting(bodies: Sequence[bytes], window: int) -> int:
    """How many of the bodies, from the first on, fit the window as a whole."""
    if sum(map(len, bodies)) <= window:
        return len(bodies)
    return sum(1 for _ in takewhile(window.__ge__, accumulate(map(len, bodies))))
