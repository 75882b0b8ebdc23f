"""One client's connection: bytes from the socket to requests, requests to the provider, answers back, faults between.

`world.injector` decides which accident befalls a request; the methods named `_do_…` carry it out. A message enters the
ledger at the moment the provider accepts it, before its answer is written: what is lost after that is the sender's to
find out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ssl import SSLObject
from typing import Any, cast

from stentor.http2 import frames as f
from stentor.simulators.delays import Delays
from stentor.simulators.injector import Act
from stentor.simulators.server_connection import ServerConnection, ServerRequest
from stentor.simulators.world import Judgement, Provider, Session, World

_WITHHELD = 10  # streams above a lowered last id that are waited for before the GOAWAY is sent,
_WITHHOLD_S = 0.05  # for so long at most
_LINGER_S = 2.0  # for a client that never shows that it has seen the GOAWAY

Http1Factory = Callable[[], asyncio.Protocol]


class Peer(asyncio.Protocol):
    def __init__(
        self, world: World, provider: Provider, delays: Delays, peers: set[Peer], http1: Http1Factory | None = None
    ) -> None:
        self._world = world
        self._provider = provider
        self._delays = delays
        self._peers = peers
        self._http1 = http1
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self.connection: ServerConnection  # these two come with the socket, which tells whose certificate it is
        self._session: Session
        self._processed_id = 0
        self._withheld: int | None = None  # count of them, while a GOAWAY with a lower last id is being prepared
        self._hung = False
        self._leaving = False
        self._lingering = False
        self._capped = False
        self._touched = False  # has output that the delayed answers' round will flush

    def __repr__(self) -> str:
        return f"<Peer {getattr(self, 'connection', 'without HTTP/2')!r}>"

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls: SSLObject = transport.get_extra_info("ssl_object")
        protocol = tls.selected_alpn_protocol()
        # Without ALPN a client speaks what the provider speaks: HTTP/2 where that is all there is.
        if protocol != "h2" and (protocol or self._http1):
            self._without_h2()
            return
        self._peers.add(self)
        self._session = self._provider.open_session(_topic_of(transport.get_extra_info("peercert")))
        self.connection = ServerConnection(self._provider.rules(self._session), self._world.violations)
        slow = self._world.faults.slow_reader
        if slow.hold_windows_s:
            self._do_hold_windows()
        if self._world.injector.zero_armed:
            self._world.injector.zero_armed = False
            self.connection.goaway(0, *self._provider.goaway_words("zero"))
            self._leaving = True
        self.flush()

    def _without_h2(self) -> None:
        assert self._transport is not None
        assert self._http1 is not None  # ALPN chooses only what the provider speaks
        successor = self._http1()
        self._transport.set_protocol(successor)
        successor.connection_made(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf():
            return
        connection, world = self.connection, self._world
        opened = connection.opened
        if world.faults.drop.before_body_every:
            connection.cut_at_header = opened + cast(int, world.injector.headers_until_cut())
        requests = connection.receive(data)
        world.injector.opened_streams += connection.opened - opened
        for request in requests:
            if self._is_deaf():
                break
            self._on_request(request)
        if connection.high_water > world.tally.streams_high_water:
            world.tally.streams_high_water = connection.high_water
        if connection.cut:
            world.tally.injected["drop_before_body"] += 1
            self._abort()
        else:
            self.flush()
            self._pace(len(data))

    def _is_deaf(self) -> bool:
        return self._hung or self._transport is None

    def pause_writing(self) -> None:
        """A client that doesn't read its answers gets no more requests read: our memory stays bounded."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._peers.discard(self)
        for timer in self._timers:
            timer.cancel()

    def flush(self) -> None:
        self._touched = False
        if self._transport is None:
            return
        output = self.connection.take()
        if output:
            self._transport.write(output)
        if self.connection.closed:
            self._transport.close()
        elif self._leaving and not self.connection.streams:
            if self.connection.goaway_seen:
                self._transport.close()
            elif not self._lingering:
                self._lingering = True
                self._later(_LINGER_S, self.close)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _abort(self) -> None:
        """Cut the TCP connection; what was answered before goes out first, as far as the socket takes it."""
        if self._transport is not None:
            output = self.connection.take()
            if output:
                self._transport.write(output)
            self._transport.abort()
            self._transport = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _pace(self, received: int) -> None:
        rate = self._world.faults.slow_reader.bytes_per_s
        if rate and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._later(received / rate, self.resume_writing)

    def _later(self, seconds: float, act: Callable[[], Any]) -> None:
        self._timers = [timer for timer in self._timers if not timer.cancelled() and timer.when() > self._loop.time()]
        # Under a millisecond uvloop gives a plain Handle, which has no `when`.
        self._timers.append(self._loop.call_later(max(seconds, 0.001), act))

    # Requests and answers.

    def _on_request(self, request: ServerRequest) -> None:
        if self._withheld is not None and request.stream_id > self._processed_id:
            self._withheld += 1
            if self._withheld >= _WITHHELD:
                self._finish_withholding()
            return
        goaway_last = self.connection.goaway_last
        if goaway_last is not None and request.stream_id > goaway_last:
            return  # came in the same read as the request that the GOAWAY was about
        injector = self._world.injector
        act = injector.on_request() if injector.touches_requests else None
        if request.stream_id > self._processed_id:
            self._processed_id = request.stream_id
        if act is None:
            self._give(request.stream_id, self._judge(request))
            return
        self._world.tally.injected[act.do] += 1
        _ACTS[act.do](self, request, act)

    def _judge(self, request: ServerRequest) -> Judgement:
        session = self._session
        answer = self._provider.judge(session, request.headers, request.body)
        limit = session.limit
        if limit != self.connection.limit and not self._capped:
            self.connection.set_limit(limit)
        if session.farewell is not None and self.connection.goaway_last is None:
            self.connection.goaway(self.connection.delivered_id, *session.farewell)
            self._leaving = True
        return answer

    def _give(self, stream_id: int, answer: Judgement) -> None:
        number = self._world.record(answer)
        delay = self._world.latency(answer.address)
        if delay:
            self._delays.add(delay, self, stream_id, answer, number)
        else:
            self._send(stream_id, answer, number)

    def _send(self, stream_id: int, answer: Judgement, number: int) -> None:
        if self.connection.respond(stream_id, answer.headers, answer.body) and number >= 0:
            self._world.ledger.mark_answered(number)

    def send_delayed(self, stream_id: int, answer: Judgement, number: int) -> bool:
        """Answer now; True when this is the first since the last flush."""
        if self._is_deaf():
            return False
        self._send(stream_id, answer, number)
        first = not self._touched
        self._touched = True
        return first

    # Accidents.

    def _do_goaway(self, request: ServerRequest, act: Act) -> None:
        connection = self.connection
        if connection.goaway_last is None:
            code, words = self._provider.goaway_words(act.form)
            if act.form == "lower":
                self._withheld = 0
                self._later(_WITHHOLD_S, self._finish_withholding)
            else:
                connection.goaway(connection.delivered_id, code, words)
                self._world.injector.zero_armed |= act.form == "zero"
            self._leaving = act.form != "lower"
        answer = self._judge(request)
        if act.then == "answer":
            self._give(request.stream_id, answer)
            return
        self._world.record(answer)
        self._finish_withholding()
        self.flush()
        if act.then == "close":
            self._abort()
        else:
            self._hung = True

    def _finish_withholding(self) -> None:
        if self._withheld is None or self._transport is None:
            return
        self._withheld = None
        self.connection.goaway(self._processed_id, *self._provider.goaway_words("lower"))
        self._leaving = True
        self.flush()

    def _do_drop(self, request: ServerRequest, act: Act) -> None:
        self._world.record(self._judge(request))
        self._abort()

    def _do_drop_before_body(self, request: ServerRequest, act: Act) -> None:
        self._give(request.stream_id, self._judge(request))
        self.connection.cut_at_header = self.connection.opened + 1

    def _do_reset(self, request: ServerRequest, act: Act) -> None:
        if act.do == "reset_refused":
            self.connection.reset(request.stream_id, f.REFUSED_STREAM)
            return
        if act.lucky:
            self._world.record(self._judge(request))
        self.connection.reset(request.stream_id, f.CANCEL if act.do == "reset_cancel" else f.INTERNAL_ERROR)

    def _do_hang(self, request: ServerRequest, act: Act) -> None:
        self._world.record(self._judge(request))
        self.flush()
        self._hung = True

    def _do_limit_drop(self, request: ServerRequest, act: Act) -> None:
        self._give(request.stream_id, self._judge(request))
        limits = self._world.faults.stream_limit
        if not self._capped:
            self._capped = True
            self.connection.set_limit(limits.drop_to)
            self._later(limits.drop_for_s, self._lift_cap)

    def _lift_cap(self) -> None:
        self._capped = False
        if self._transport is not None:
            self.connection.set_limit(self._session.limit)
            self.flush()

    def _do_hold_windows(self, request: ServerRequest | None = None, act: Act | None = None) -> None:
        self.connection.hold_windows()
        self._later(self._world.faults.slow_reader.hold_windows_s or 10.0, self._release_windows)
        if request is not None:
            self._give(request.stream_id, self._judge(request))

    def _release_windows(self) -> None:
        self.connection.release_windows()
        self.flush()

    def _do_malformed(self, request: ServerRequest, act: Act) -> None:
        self._give(request.stream_id, self._provider.malform(act.malformed, self._judge(request)))


_ACTS: dict[str, Callable[[Peer, ServerRequest, Act], None]] = {
    "goaway": Peer._do_goaway,
    "reset_refused": Peer._do_reset,
    "reset_internal": Peer._do_reset,
    "reset_cancel": Peer._do_reset,
    "drop_after_accept": Peer._do_drop,
    "drop_before_body": Peer._do_drop_before_body,
    "hang": Peer._do_hang,
    "limit_drop": Peer._do_limit_drop,
    "hold_windows": Peer._do_hold_windows,
    "malformed": Peer._do_malformed,
}


def _topic_of(certificate: dict[str, Any] | None) -> str | None:
    """The topic that a client certificate is for: the user id of its subject."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key in ("userId", "UID"):
                return str(value)
    return None
