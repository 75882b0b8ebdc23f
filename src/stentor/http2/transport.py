"""A `Connection` on a socket: TLS, proxy, deadlines and keep-alive, under asyncio (uvloop where it runs).

Rules: one `Link` a socket; it moves bytes and watches the time, all protocol is the connection's. A link tells its
owner two things only: `on_progress` after anything was read, `on_lost` once when it is over.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

from stentor.errors import ConnectFailed, HostForbidden, InvalidConfiguration, ProtocolError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Deadlines of a connection, all in seconds."""

    connect: float = 10.0
    """From the first packet to the peer's SETTINGS: DNS, TCP, proxy and TLS included."""
    answer: float = 30.0
    """From writing a request to its answer. Providers ask for at least 10 s; some answers take 15 to 30."""
    silence: float = 20.0
    """With answers outstanding and nothing heard for so long, a PING asks whether the peer is still there."""
    ping: float = 10.0
    """What the peer has to answer a PING; then the connection is given up."""
    idle_ping: float = 3600.0
    """An idle connection is pinged so seldom: APNs allows one an hour, FCM ends connections over eager ones."""


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

    def __init__(self, owner: LinkOwner, timing: Timing) -> None:
        self.connection = Connection()
        self.error: str | None = None
        """Why the link ended, for people."""
        self._owner = owner
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._closer: asyncio.TimerHandle | None = None
        self._paused = False
        self.heard = self._loop.time()
        """When the peer was last heard, by the loop's clock."""
        self._ping_at: float | None = None
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
        return 0 if self._paused or not self.connection.settings_received else self.connection.free_streams

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
        return not self._paused and few and self.connection.state is State.OPEN

    def submit(self, flight: Exchange, indices: Sequence[int]) -> int:
        """Take what fits of these requests now and write it; returns how many."""
        taken = self.connection.submit(flight, indices)
        if taken:
            deadline = self._loop.time() + self._timing.answer
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
        if self._ping_at is not None:
            if self.connection.pings_answered >= self._pings_sent:
                self._ping_at = None
            elif now - self._ping_at > self._timing.ping:
                self.abort(f"the peer answers nothing, not even a PING in {self._timing.ping:g} s")
                return
        quiet = self._timing.silence if self.connection.open_streams else self._timing.idle_ping
        if self._ping_at is None and now - self.heard > quiet and self.connection.settings_received:
            self.connection.ping()
            self._pings_sent += 1
            self._ping_at = now
        self.flush()
        self._close_when_done()

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
        self.connection.lost(self.error)
        if not self.settled.done():
            self.settled.set_exception(ConnectFailed(self.error))
        self.closed.set_result(None)
        self._owner.on_lost(self)


async def connect(endpoint: Endpoint, owner: LinkOwner, timing: Timing) -> Link:
    """Open a link and wait for the peer's SETTINGS, which hold its stream limit.

    Raises:
        ConnectFailed: with what went wrong and, where we can tell, the remedy.
    """
    link = Link(owner, timing)
    try:
        async with asyncio.timeout(timing.connect):
            await _establish(link, endpoint)
            await link.settled
    except TimeoutError:
        raise ConnectFailed(f"{endpoint}: no HTTP/2 connection within {timing.connect:g} s") from None
    except ssl.SSLCertVerificationError as error:
        message = f"{endpoint}: its certificate is not trusted ({error.verify_message}); is the CA file the right one?"
        raise ConnectFailed(message) from None
    except HostForbidden:
        raise
    except (OSError, UnicodeError, ConnectFailed) as error:  # UnicodeError: no host can have such a name
        raise ConnectFailed(f"{endpoint}: {error}") from None
    else:
        return link
    finally:
        if sys.exception() is not None:
            link.give_up()


async def permitted_addresses(endpoint: Endpoint) -> list[str]:
    """The IP addresses of an endpoint's host that `Endpoint.permits`, in the resolver's order.

    Raises:
        HostForbidden: there are some, and none is permitted.
        OSError, UnicodeError: the host cannot be resolved.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    permitted = [address for address in addresses if endpoint.permits is None or endpoint.permits(address)]
    if not permitted:
        raise HostForbidden(f"{endpoint}: leads to an address that must not be connected to")
    return permitted


async def _establish(link: Link, endpoint: Endpoint) -> None:
    *others, last = [endpoint.host] if endpoint.permits is None else await permitted_addresses(endpoint)
    for host in others:
        with suppress(OSError):
            await _connect_to(link, endpoint, host)
            return
    await _connect_to(link, endpoint, last)


async def _connect_to(link: Link, endpoint: Endpoint, host: str) -> None:
    """Connect to the endpoint at `host`: its own, or one of its addresses."""
    if endpoint.proxy is not None:
        await _connect_by_proxy(link, endpoint, host, urlsplit(endpoint.proxy))
        return
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: link, host, endpoint.port, ssl=endpoint.tls, server_hostname=endpoint.host)


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
            self.answer.set_exception(ConnectFailed("the proxy closed the connection"))


async def _connect_by_proxy(link: Link, endpoint: Endpoint, host: str, url: SplitResult) -> None:
    loop = asyncio.get_running_loop()
    transport, tunnel = await loop.create_connection(_Tunnel, str(url.hostname), url.port or 8080)
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
            raise ConnectFailed(f"the proxy {url.hostname}:{url.port} refused the tunnel: {status_line[:100]!r}")
        secured = await loop.start_tls(transport, link, endpoint.tls, server_hostname=endpoint.host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectFailed("the connection was lost during the TLS handshake")
    link.connection_made(secured)
