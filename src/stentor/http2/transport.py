"""A `Connection` on a socket: TLS, proxy, deadlines and keep-alive, under asyncio (uvloop where it runs).

Rules: one `Link` a socket; it moves bytes and watches the time, all protocol is the connection's. A link tells its
owner two things only: `on_progress` after anything was read, `on_lost` once when it is over.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

from stentor.answer_times import AnswerTimes
from stentor.errors import ConnectFailed, HostForbidden, InvalidConfiguration, ProtocolError
from stentor.http2.addresses import Address, open_socket, others, resolve
from stentor.http2.burst import Fate
from stentor.http2.connection import Connection, Exchange, State

WRITE_BUFFER = 256 * 1024
"""Bytes that may wait for a slow peer before the link takes no more requests."""
WORTHWHILE = 8
"""The part of a connection's streams that is worth a write of its own: an eighth."""
DEADLINE_STEP = 0.1
"""Seconds of submissions that share one deadline, the first one's."""
GOODBYE = 1.0
"""Seconds a closing peer has to answer TLS' close_notify; OpenSSL would give it 30."""
MAX_PROXY_ANSWER = 16 * 1024
PROXY_PORT = 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Deadlines of a connection, all in seconds."""

    connect: float = 10.0
    """From the first packet to the peer's SETTINGS: DNS, TCP, proxy and TLS included."""
    answer: float = 30.0
    """From writing a request to its answer. Providers ask for at least 10 s; some answers take 15 to 30."""
    silence: float = 20.0
    """With answers outstanding and nothing heard for so long, a PING asks whether the peer is still there."""
    ping: float = 10.0
    """What the peer has to answer a PING; then the connection is given up."""
    idle: float = 60.0
    """A connection on which nothing was heard for so long takes no request until the peer has answered a PING: a NAT or
    a firewall on the way may have forgotten it, and all that is written on it then is ambiguous."""
    proof: float = 3.0
    """What the peer has to answer that PING; then the connection is replaced. Nothing was written on it."""
    idle_ping: float = 3600.0
    """An idle connection is pinged so seldom: APNs allows one an hour, FCM ends connections over eager ones."""


@dataclass(frozen=True, slots=True)
class _TimedRequest:
    """The request of a link whose answer is being timed."""

    stream_id: int
    flight: Exchange
    index: int
    since: float
    """When it was written, by the loop's clock."""

    @property
    def is_answered(self) -> bool:
        return self.flight.results.fates[self.index] == Fate.RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect. `repr` shows no proxy password."""

    host: str
    port: int = 443
    tls: ssl.SSLContext
    proxy: str | None = field(default=None, repr=False)
    """An HTTP proxy to tunnel through with CONNECT, as `http://user:password@host:port`."""
    permits: Callable[[str], bool] | None = None
    """Whether an IP address may be connected to, where a stranger chose the host. The host is resolved here then, also
    with a proxy, and the connection goes to the very address that was looked at."""

    def __post_init__(self) -> None:
        if self.proxy is not None:
            url = urlsplit(self.proxy)
            if url.scheme != "http" or not url.hostname:
                raise InvalidConfiguration("proxy: must be http://[user:password@]host:port")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def tls_context(
    *,
    ca_file: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    password: str | None = None,
) -> ssl.SSLContext:
    """A client context: TLS 1.2 or newer, certificates and host names verified, ALPN `h2` and nothing else.

    Args:
        ca_file: PEM file of the authorities to trust instead of the system's.
        certificate: PEM file of a client certificate (APNs certificate auth), `key` its key if in another file.
        password: of the key.

    Raises:
        InvalidConfiguration: a file is missing or isn't what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfiguration(f"CA file {ca_file}: {error}; it must hold PEM certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if certificate is not None:
        try:
            # Without a password given, an encrypted key must fail: OpenSSL would ask for it on the terminal.
            context.load_cert_chain(certificate, key, password or "")
        except (OSError, ssl.SSLError) as error:
            raise InvalidConfiguration(
                f"client certificate {certificate}: {error}; it must be PEM, with its key and the key's password"
            ) from None
    return context


class LinkOwner(Protocol):
    def on_progress(self, link: Link) -> None: ...
    def on_lost(self, link: Link) -> None: ...


class Link(asyncio.Protocol):
    """One connection on one socket. Made by `connect`."""

    def __init__(self, owner: LinkOwner, timing: Deadlines) -> None:
        self.connection = Connection()
        self.error: str | None = None
        """Why the link ended, for people."""
        self.answer_times: AnswerTimes | None = None
        """Where it counts how long answers take, of one request at a time; None: nowhere."""
        self._timed: _TimedRequest | None = None
        self._owner = owner
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._closer: asyncio.TimerHandle | None = None
        self._paused = False
        self.heard = self._loop.time()
        """When the peer was last heard, by the loop's clock; its owner puts it back by what the machine slept since."""
        self.unproven = False
        """Whether the peer was silent for so long that nothing is written before it is heard again."""
        self.lost_idle = False
        """Whether the link ended with nothing under way, and the peer was silent to the end."""
        self._ping_at: float | None = None  # when the PING was sent that isn't answered yet
        self._ping_within = 0.0
        self._pings_sent = 0
        self._deadlines: deque[tuple[float, int]] = deque()  # (when, requests before this stream id)
        self.settled: asyncio.Future[None] = self._loop.create_future()
        """Done when the peer's SETTINGS are here, or with the error that came before."""
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def __repr__(self) -> str:
        return f"<Link {self.connection!r}{' paused' if self._paused else ''}>"

    @property
    def free_streams(self) -> int:
        """Requests the link would take now."""
        if self._paused or self.unproven or not self.connection.settings_received:
            return 0
        return self.connection.free_streams

    @property
    def asked(self) -> bool:
        """Whether the peer owes the answer to a PING."""
        return self._ping_at is not None

    @property
    def stuck(self) -> bool:
        """Whether it is unproven with requests under way."""
        return self.unproven and self.connection.open_streams > 0

    def room(self, waiting: int) -> int:
        """How many of so many waiting requests the link should be given now: as many as it takes, or none while that
        is only a few of them. Answers come two or three at a time; to write as many requests each time would cost
        several times what writing an eighth of the streams at once does, on either side."""
        free, connection = self.free_streams, self.connection
        worthwhile = free >= waiting or free * WORTHWHILE >= connection.max_streams or not connection.open_streams
        return free if worthwhile else 0

    @property
    def streams_full(self) -> bool:
        """Whether the peer's stream limit, and nothing else, keeps the link from taking more."""
        few = self.connection.free_streams * WORTHWHILE < self.connection.max_streams
        return not self._paused and not self.unproven and few and self.connection.state is State.OPEN

    def submit(self, flight: Exchange, indices: Sequence[int]) -> int:
        """Take what fits of these requests now and write it; returns how many."""
        first = self.connection.next_stream_id
        taken = self.connection.submit(flight, indices)
        if taken:
            now = self._loop.time()
            if self._timed is None and self.answer_times is not None:  # any of them, as the first is answered first
                chosen = random.randrange(taken)
                self._timed = _TimedRequest(first + 2 * chosen, flight, indices[chosen], now)
            deadline = now + self._timing.answer
            if self._deadlines and self._deadlines[-1][0] > deadline - DEADLINE_STEP:
                deadline, _ = self._deadlines.pop()
            self._deadlines.append((deadline, self.connection.next_stream_id))
        return taken

    def flush(self) -> None:
        if not self._paused and self._transport is not None:
            data = self.connection.data_to_send()
            if data:
                self._transport.write(data)

    def tick(self, now: float) -> None:
        """Look after deadlines; to be called a few times a second."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, before = self._deadlines.popleft()
            self.connection.expire(before, f"no answer within {self._timing.answer:g} s")
            self._note_answer(now)
        if self._ping_at is not None and now - self._ping_at > self._ping_within:
            self.abort(f"the peer answers nothing, not even a PING in {self._ping_within:g} s")
            return
        quiet = self._timing.silence if self.connection.open_streams else self._timing.idle_ping
        if self._ping_at is None and now - self.heard > quiet and self.connection.settings_received:
            self._ping(self._timing.ping)
        self.flush()
        self._close_when_done()

    def _note_answer(self, now: float) -> None:
        """Count how long the request that is being timed took, if it was answered; forget it, if it ended otherwise."""
        timed = self._timed
        if timed is None or self.connection.has(timed.stream_id):
            return
        self._timed = None
        if self.answer_times is not None and timed.is_answered:
            self.answer_times.note(now - timed.since)

    def doubt(self, now: float) -> bool:
        """Whether it is unproven; to be asked before requests are given to a link that may have been idle."""
        if not self.connection.open_streams and now - self.heard > self._timing.idle:
            self.unproven = True
        return self.unproven

    def prove(self) -> None:
        """Ask an idle peer for the answer to a PING. The link takes requests when that is here, or else ends."""
        if self._ping_at is None:
            self._ping(self._timing.proof)
            self.flush()

    def _ping(self, within: float) -> None:
        self.connection.ping()
        self.unproven = True
        self._pings_sent += 1
        self._ping_at = self._loop.time()
        self._ping_within = within

    def drain(self) -> None:
        """Take nothing new; close when the last answer is in."""
        self.connection.drain()
        self._close_when_done()

    def give_up(self) -> None:
        """Close a link whose connect failed: nobody waits for its SETTINGS any more."""
        if not self.settled.cancel() and not self.settled.cancelled():
            self.settled.exception()
        self.abort("gave up connecting")

    def abort(self, reason: str) -> None:
        """Close now; what is under way is settled as ambiguous, or handed back if it was never written."""
        self.error = self.error or reason
        self.connection.close()
        if self._transport is None:
            self.connection_lost(None)
            return
        self.flush()
        self._transport.abort()

    def _close_when_done(self) -> None:
        if self.connection.state is State.DRAINING and not self.connection.open_streams and self._transport:
            self.error = self.error or self.connection.goaway_reason or "drained"
            self.connection.close()
            self._close()

    def _close(self) -> None:
        """Send what is queued and close; without waiting long for a peer that doesn't say goodbye in TLS."""
        if self._transport is not None and self._closer is None:
            self.flush()
            self._transport.close()
            self._closer = self._loop.call_later(GOODBYE, self._transport.abort)

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self.abort("the peer doesn't speak HTTP/2 (ALPN h2 not agreed): is this the right host and port?")
            return
        self.connection.start()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        try:
            self.connection.receive(data)
        except ProtocolError as error:
            self.error = f"protocol error: {error}"
            self._close()
        if self.connection.settings_received and not self.settled.done():
            self.settled.set_result(None)
        self._note_answer(self.heard)
        if self.unproven and self.connection.pings_answered >= self._pings_sent:
            self.unproven, self._ping_at = False, None
        self._owner.on_progress(self)
        self.flush()
        self._close_when_done()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._owner.on_progress(self)
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self.closed.done():
            return
        if self.error is None:
            self.error = self.connection.goaway_reason or (
                f"connection lost: {error}" if error else "the peer closed the connection"
            )
        if self._closer is not None:
            self._closer.cancel()
        self._transport = None
        unheard = self._ping_at is None or self.heard < self._ping_at
        self.lost_idle = self.unproven and unheard and not self.connection.open_streams
        self.connection.lost(self.error)
        if not self.settled.done():
            self.settled.set_exception(ConnectFailed(self.error))
        self.closed.set_result(None)
        self._owner.on_lost(self)


async def connect(endpoint: Endpoint, owner: LinkOwner, timing: Deadlines) -> Link:
    """Open a link and wait for the peer's SETTINGS, which hold its stream limit.

    Raises:
        ConnectFailed: with what went wrong and, where we can tell, the remedy.
    """
    try:
        async with asyncio.timeout(timing.connect):
            return await _connect_in_time(endpoint, owner, timing)
    except TimeoutError:
        raise ConnectFailed(f"{endpoint}: no HTTP/2 connection within {timing.connect:g} s") from None
    except ssl.SSLCertVerificationError as error:
        message = f"{endpoint}: its certificate is not trusted ({error.verify_message}); is the CA file the right one?"
        raise ConnectFailed(message) from None
    except HostForbidden:
        raise
    except (OSError, UnicodeError, ConnectFailed) as error:  # UnicodeError: no host can have such a name
        raise ConnectFailed(f"{endpoint}: {error}") from None


async def permitted_addresses(endpoint: Endpoint) -> list[str]:
    """The IP addresses of an endpoint's host that `Endpoint.permits`, in the resolver's order.

    Raises:
        HostForbidden: there are some, and none is permitted.
        OSError, UnicodeError: the host cannot be resolved.
    """
    return list(dict.fromkeys(str(address[4][0]) for address in await _permitted(endpoint)))


async def _permitted(endpoint: Endpoint) -> list[Address]:
    found = await resolve(endpoint.host, endpoint.port)
    permitted = [each for each in found if endpoint.permits is None or endpoint.permits(str(each[4][0]))]
    if not permitted:
        raise HostForbidden(f"{endpoint}: leads to an address that must not be connected to")
    return permitted


@dataclass(frozen=True, slots=True)
class _Way:
    """How an endpoint may be reached."""

    addresses: list[Address]
    """Where sockets go: the endpoint's addresses, or its proxy's."""
    targets: list[str]
    """What a proxy may be asked for, best first: the endpoint's name, or its permitted addresses. Empty without one."""

    def without(self, tried: Address) -> _Way | None:
        """What is left when an address, and the first target, led nowhere; None: there is no other way."""
        addresses, targets = others(self.addresses, tried), self.targets[1:]
        if not addresses and not targets:
            return None
        return _Way(addresses or self.addresses, targets or self.targets)


async def _way_to(endpoint: Endpoint) -> _Way:
    if endpoint.proxy is None:
        return _Way(await _permitted(endpoint), [])
    proxy = urlsplit(endpoint.proxy)
    targets = [endpoint.host] if endpoint.permits is None else await permitted_addresses(endpoint)
    targets[1:] = sorted(targets[1:], key=lambda each: (":" in each) == (":" in targets[0]))  # the other family next
    return _Way(await resolve(str(proxy.hostname), proxy.port or PROXY_PORT), targets)


async def _connect_in_time(endpoint: Endpoint, owner: LinkOwner, timing: Deadlines) -> Link:
    """Connect by the first address that takes a connection; where nothing comes of that, by one other.

    An address may take connections and swallow what is larger than its first packets, so the first one has half of the
    time for all that comes after. It has all of it where it is the only one.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timing.connect
    way = await _way_to(endpoint)
    opened, address = await open_socket(way.addresses)
    other = way.without(address)
    if other is None:
        return await _speak(opened, way, endpoint, owner, timing)
    half = (deadline - loop.time()) / 2
    try:
        async with asyncio.timeout(half):
            return await _speak(opened, way, endpoint, owner, timing)
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError:
        first: Exception = ConnectFailed(f"connected, and then no HTTP/2 connection within {half:.1f} s")
    except (OSError, _TunnelRefused) as error:
        first = error
    try:
        opened, _ = await open_socket(other.addresses)
        return await _speak(opened, other, endpoint, owner, timing)
    except (OSError, ConnectFailed):
        raise first from None


async def _speak(opened: socket.socket, way: _Way, endpoint: Endpoint, owner: LinkOwner, timing: Deadlines) -> Link:
    """Make a socket a link: through the proxy where there is one, TLS, and the peer's SETTINGS."""
    loop = asyncio.get_running_loop()
    link = Link(owner, timing)
    try:
        if endpoint.proxy is not None:
            await _connect_by_proxy(opened, link, endpoint, way.targets[0], urlsplit(endpoint.proxy))
        else:
            await loop.create_connection(lambda: link, ssl=endpoint.tls, server_hostname=endpoint.host, sock=opened)
        await link.settled
    except BaseException:
        link.give_up()
        raise
    return link


class _TunnelRefused(ConnectFailed):
    """The proxy doesn't connect us to that target."""


class _Tunnel(asyncio.Protocol):
    """Reads a proxy's answer to CONNECT, up to the empty line."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self.answer.done() and (b"\r\n\r\n" in self._read or len(self._read) > MAX_PROXY_ANSWER):
            self.answer.set_result(self._read)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(_TunnelRefused("the proxy closed the connection"))


async def _connect_by_proxy(opened: socket.socket, link: Link, endpoint: Endpoint, host: str, url: SplitResult) -> None:
    """Have the proxy at the other end of a socket connect us to the endpoint at `host`: its name or an address."""
    loop = asyncio.get_running_loop()
    transport, tunnel = await loop.create_connection(_Tunnel, sock=opened)
    target = f"[{host}]:{endpoint.port}" if ":" in host else f"{host}:{endpoint.port}"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        request += f"Proxy-Authorization: Basic {b64encode(credentials).decode()}\r\n"
    try:
        transport.write(f"{request}\r\n".encode())
        status_line = (await tunnel.answer).partition(b"\r\n")[0].decode("latin-1")
        version, _, rest = status_line.partition(" ")
        if not version.startswith("HTTP/1.") or not rest.startswith("2"):
            raise _TunnelRefused(f"the proxy {url.hostname}:{url.port} refused the tunnel: {status_line[:100]!r}")
        secured = await loop.start_tls(transport, link, endpoint.tls, server_hostname=endpoint.host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectFailed("the connection was lost during the TLS handshake")
    link.connection_made(secured)
