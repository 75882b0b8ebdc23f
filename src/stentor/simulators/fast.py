"""The fast simulators: accept every request at wire speed, so that a benchmark measures the sender and not them.

Rules: real TLS, real HTTP/2 framing, flow control and stream limits, but nothing is validated and no ledger is kept.
Of the request's headers only APNs' `apns-id` is read, since clients find their request by its echo. FCM's message
names are all the same; its access tokens are asked for at the beginning of a connection, or over HTTP/1.1. Credentials
are made as the strict simulators make them, so that a sender is set up alike for both, and any are good. Whoever wants
to know whether what they send is right uses the strict simulators.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from ssl import SSLObject
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self, cast

from aiohttp import web

from stentor.http2 import encode, frames
from stentor.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEAD,
    HEADER_SIZE,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    SETTINGS,
)
from stentor.http2.hpack import Decoder, Fields
from stentor.simulators.apns.credentials import mint_key
from stentor.simulators.fcm import FcmSetup
from stentor.simulators.fcm.oauth import mint_account
from stentor.simulators.fcm.provider import TOKEN_PATH
from stentor.simulators.http1 import cut
from stentor.simulators.tls import make_server_tls

Provider = Literal["apns", "fcm"]

RECEIVE_WINDOW = 2**20
"""Connection window, handed back in halves; wide enough that flow control never waits for a round trip."""
STEP = 0.002
"""Seconds between two deliveries of delayed answers."""
SPREAD = 0.25
"""Sigma of the log-normal delays: 99 % within 1.8 times the median. Heavy tails are the strict simulators' business;
here they would only measure how many requests the bench holds open."""
LARGEST_HEADERS = 65_536
DELAYS = 4096
"""Drawn delays, used in turn: drawing one for each request would cost more than answering it."""

APNS_TOKEN = len("/3/device/") + 64
"""Characters of a path that ends with a token."""
ACCESS_TOKEN = "ya29.simulator-" + "fast" * 10
"""FCM's, for everybody; as long as the strict simulator's."""
_GRANT = json.dumps({"access_token": ACCESS_TOKEN, "expires_in": 3599, "token_type": "Bearer"}).encode()

# HPACK by hand (RFC 7541): 0x88 is `:status 200`, 0x4_/0x0_ are literals with and without entering the table.
_STATUS_200 = b"\x88"
_APNS_ANSWER = _STATUS_200 + b"\x00\x07apns-id\x24"  # the id follows
_APNS_ID_SIZE = 36
_PLAIN_REQUEST = re.compile(rb"[\x81-\xfe]+[\x04\x14]\x4a.{74}[\x81-\xfe]*[\x00\x10]\x07apns-id\x24(.{36})", re.DOTALL)
"""A header block of references to the table, an unindexed path for a token of 64 digits, more references, an unindexed
`apns-id`: what a steady sender's look like. It leaves the table as it was, so it needn't be decoded."""
_NO_ID = b"00000000-0000-4000-8000-000000000000"
_FCM_FIELDS = (
    (b"\x5f", b"application/json; charset=UTF-8"),  # content-type
    (b"\x40\x04vary", b"Origin"),
    (b"\x76", b"ESF"),  # server
    (b"\x58", b"private"),  # cache-control
    (b"\x40\x0fx-frame-options", b"SAMEORIGIN"),
)
_GRANT_HEADERS = _STATUS_200 + b"\x0f\x10\x10application/json"  # content-type, not entered into the table
_FCM_FIRST = _STATUS_200 + b"".join(name + bytes((len(value),)) + value for name, value in _FCM_FIELDS)
_FCM_NEXT = _STATUS_200 + bytes(range(0xBE, 0xBE + len(_FCM_FIELDS)))
_FCM_BODY = b'{\n  "name": "projects/simulated/messages/0:1692853925636648%31bd1c9631bd1c96"\n}\n'


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a provider's 200 looks on the wire."""

    block: bytes
    first_block: bytes
    """The header block of a connection's first answer, which fills the client's table."""
    body: bytes
    max_streams: int

    def answers(self, stream_ids: list[int], echoes: list[bytes], *, first: bool) -> bytes:
        """The answers to some requests, joined in one go; `echoes` close APNs' blocks."""
        block = self.first_block if first else self.block
        names = encode.stream_ids(stream_ids)
        if self.body:
            head = _head(len(block), HEADERS, 0)
            parts: list[bytes | list[bytes]] = [head, names]
            parts += [block + _head(len(self.body), DATA, END_STREAM), names, self.body]
        else:
            parts = [_head(len(block) + _APNS_ID_SIZE, HEADERS, END_STREAM), names, block, echoes]
        return encode.interleave(parts, len(stream_ids))


def _head(length: int, kind: int, flags: int) -> bytes:
    """A frame's head up to its stream id."""
    return frames.HEAD.pack(length << 8 | kind, flags | (END_HEADERS if kind == HEADERS else 0), 0)[:5]


_SHAPES: dict[Provider, _Shape] = {
    "apns": _Shape(_APNS_ANSWER, _APNS_ANSWER, b"", max_streams=1000),
    "fcm": _Shape(_FCM_NEXT, _FCM_FIRST, _FCM_BODY, max_streams=100),
}


class _FastConnection(asyncio.Protocol):
    def __init__(self, server: FastSimulator) -> None:
        self._server = server
        self._shape = server.shape
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._in_preface = True
        self._consumed = 0
        self._answered = False
        self._decode = Decoder(LARGEST_HEADERS).decode
        self._ids: dict[int, bytes] = {}  # the apns-id of each request under way
        self._reads_headers = True  # for FCM until the first message
        self._watch = server.watch
        self._grants: set[int] = set()  # the streams that ask for an access token

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls: SSLObject = transport.get_extra_info("ssl_object")
        if not self._server.speaks_h2(tls.selected_alpn_protocol()):
            self._server.without_h2(self._transport)
            return
        self._server.connections.add(self)
        self._transport.write(
            frames.settings([(frames.MAX_CONCURRENT_STREAMS, self._shape.max_streams)])
            + frames.window_update(0, RECEIVE_WINDOW - frames.DEFAULT_WINDOW)
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        if not self._in_preface:
            self._read(data)
        elif not PREFACE.startswith(data[: len(PREFACE)]):
            self.close()
        elif len(data) < len(PREFACE):
            self._tail = data
        else:
            self._in_preface = False
            self._read(data[len(PREFACE) :])

    def _read(self, data: bytes) -> None:
        position, end = 0, len(data)
        done: list[int] = []
        unpack = HEAD.unpack_from
        while end - position >= HEADER_SIZE:
            length_and_type, flags, stream_id = unpack(data, position)
            stop = position + HEADER_SIZE + (length_and_type >> 8)
            if stop > end:
                break
            kind = length_and_type & 0xFF
            if kind == DATA:
                self._consumed += length_and_type >> 8
                if flags & END_STREAM:
                    done.append(stream_id)
                else:
                    self._widen(stream_id, length_and_type >> 8)
            elif kind == HEADERS:
                if self._watch is not None and (found := data.find(self._watch, position, stop)) >= 0:
                    self._server.see(data[found : found + APNS_TOKEN])
                if self._reads_headers:
                    self._read_headers(stream_id, flags, data[position + HEADER_SIZE : stop])
                if flags & END_STREAM:
                    done.append(stream_id)
            else:
                self._control(kind, flags, data[position + HEADER_SIZE : stop])
            position = stop
        self._tail = data[position:]
        if done:
            self._on_requests(done)

    def _on_requests(self, stream_ids: list[int]) -> None:
        if self._grants and not (stream_ids := self._grant(stream_ids)):
            return
        self._server.count(len(stream_ids))
        if self._server.wheel is None:
            self.answer(stream_ids)
        else:
            self._server.wheel.add(self, stream_ids)

    def _widen(self, stream_id: int, size: int) -> None:
        """A body of more than one frame: let its rest come, however much it is."""
        if self._transport is None or not size:
            return
        self._transport.write(frames.window_update(stream_id, size))
        if self._consumed >= RECEIVE_WINDOW // 4:
            self._transport.write(frames.window_update(0, self._consumed))
            self._consumed = 0

    def _fields(self, flags: int, block: bytes) -> Fields:
        if flags & PADDED:
            block = block[1 : len(block) - block[0]]
        if flags & HAS_PRIORITY:
            block = block[5:]
        return self._decode(block)

    def _read_headers(self, stream_id: int, flags: int, block: bytes) -> None:
        if not self._shape.body:
            self._ids[stream_id] = self._read_id(flags, block)
            return
        path = next((value for name, value, _ in self._fields(flags, block) if name == b":path"), b"")
        if path == TOKEN_PATH.encode():
            self._grants.add(stream_id)
        else:
            self._reads_headers = False

    def _grant(self, stream_ids: list[int]) -> list[int]:
        """Answer those that ask for an access token; returns the others."""
        for stream_id in self._grants.intersection(stream_ids):
            self._grants.discard(stream_id)
            if self._transport is not None:
                head = frames.headers(stream_id, _GRANT_HEADERS, end_stream=False, max_frame_size=len(_GRANT_HEADERS))
                self._transport.write(head + frames.frame(DATA, END_STREAM, stream_id, _GRANT))
            stream_ids.remove(stream_id)
        return stream_ids

    def _read_id(self, flags: int, block: bytes) -> bytes:
        plain = _PLAIN_REQUEST.fullmatch(block)
        if plain is not None:
            return plain[1]
        fields = self._fields(flags, block)
        name, value, _ = fields[-1]  # where our own client puts it
        if name != b"apns-id":
            value = next((value for name, value, _ in fields if name == b"apns-id"), _NO_ID)
        return value if len(value) == _APNS_ID_SIZE else _NO_ID

    def answer(self, stream_ids: list[int]) -> None:
        if self._transport is None:
            return
        echoes = list(map(self._ids.pop, stream_ids)) if self._ids else []
        out = b""
        if not self._answered:
            self._answered = True
            out = self._shape.answers(stream_ids[:1], echoes[:1], first=True)
            stream_ids, echoes = stream_ids[1:], echoes[1:]
        if stream_ids:
            out += self._shape.answers(stream_ids, echoes, first=False)
        if self._consumed >= RECEIVE_WINDOW // 4:
            out += frames.window_update(0, self._consumed)
            self._consumed = 0
        self._transport.write(out)

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if self._transport is None:
            return
        if kind == SETTINGS and not flags & ACK:
            self._transport.write(frames.SETTINGS_ACK)
        elif kind == PING and not flags & ACK:
            self._transport.write(frames.ping(payload, ack=True))
        elif kind == GOAWAY:
            self._transport.close()


class _Wheel:
    """Answers that wait: log-normal delays, delivered in steps, all of a connection and step at once."""

    def __init__(self, median: float, seed: int) -> None:
        draw = random.Random(seed)
        delays = (median * math.exp(draw.gauss(0.0, SPREAD)) for _ in range(DELAYS))
        self._steps = cycle([max(1, round(delay / STEP)) for delay in delays])
        self._due: dict[int, dict[_FastConnection, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._now = 0

    def add(self, connection: _FastConnection, stream_ids: list[int]) -> None:
        due, now = self._due, self._now
        for stream_id, steps in zip(stream_ids, self._steps, strict=False):
            due[now + steps][connection].append(stream_id)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            await asyncio.sleep(STEP)
            while self._now * STEP < loop.time() - start:
                self._now += 1
                for connection, stream_ids in self._due.pop(self._now, {}).items():
                    connection.answer(stream_ids)


class FastSimulator:
    """A provider that accepts everything, on a loopback port. Use as an async context manager.

    Args:
        provider: whose stream limit and answers to show.
        port: 0 for one of the system's choice; `port` tells which.
        directory: where the CA goes; a temporary one if not given.
        latency: median seconds from a request to its answer (log-normal, see `SPREAD`); 0 for none.
        watch: what the tokens begin with of which it is kept when their requests came; None: of nobody. For APNs,
            and senders that don't compress paths, as ours.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        port: int = 0,
        directory: Path | None = None,
        latency: float = 0.0,
        seed: int = 0,
        watch: str | None = None,
    ) -> None:
        self.watch = None if watch is None else f"/3/device/{watch}".encode()
        self.seen: dict[str, float] = {}
        """When the first request of each token that is watched was there, in epoch seconds."""
        self.shape = _SHAPES[provider]
        self.wheel = _Wheel(latency, seed) if latency > 0 else None
        self.connections: set[_FastConnection] = set()
        self.requests = 0
        self.first_at: float | None = None
        """When the first request was there, in epoch seconds."""
        self.port = port
        self._provider = provider
        self._cpu_when_ready = 0.0
        self._temporary = TemporaryDirectory(prefix="stentor-") if directory is None else None
        self._directory = directory or Path(cast(Any, self._temporary).name)
        alpn = ("h2",) if provider == "apns" else ("h2", "http/1.1")
        self._tls = make_server_tls(self._directory, provider=provider, alpn=alpn)
        self._credentials: dict[str, str] = {}
        self._http1: web.Server | None = None
        self._server: asyncio.Server | None = None
        self._wheel_task: asyncio.Task[None] | None = None

    def facts(self) -> dict[str, Any]:
        """Where it is and what a sender needs, as `stentor simulate --json` prints it."""
        return {
            "provider": self._provider,
            "mode": "fast",
            "url": f"https://127.0.0.1:{self.port}",
            "port": self.port,
            "ca_file": str(self._tls.ca_file),
            **self._credentials,
        }

    def summary(self) -> dict[str, Any]:
        """What it did, and what that cost this process since it was ready, in µs of CPU a request."""
        spent = time.process_time() - self._cpu_when_ready
        cpu_us = spent / self.requests * 1e6 if self.requests else 0.0
        found = {"accepted": self.requests, "cpu_us": round(cpu_us, 2), "first_at": self.first_at}
        return found if self.watch is None else {**found, "seen": self.seen}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _FastConnection(self), "127.0.0.1", self.port, ssl=self._tls.context
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._credentials = self._mint_key() if self._provider == "apns" else self._mint_account()
        if self.wheel is not None:
            self._wheel_task = loop.create_task(self.wheel.run())
        self._cpu_when_ready = time.process_time()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._wheel_task is not None:
            self._wheel_task.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close()
        if self._http1 is not None:
            await cut(self._http1)
        if self._server is not None:
            await self._server.wait_closed()
        if self._temporary is not None:
            self._temporary.cleanup()

    def count(self, requests: int) -> None:
        if not self.requests:
            self.first_at = time.time()
        self.requests += requests

    def see(self, path: bytes) -> None:
        """A request that is watched has come."""
        self.seen.setdefault(path.rpartition(b"/")[2].decode(), time.time())

    def speaks_h2(self, protocol: str | None) -> bool:
        """Whether a client that chose this protocol by ALPN, or none, speaks HTTP/2: to APNs everybody does."""
        return protocol == "h2" or self._http1 is None

    def without_h2(self, transport: asyncio.Transport) -> None:
        """Serve a client that speaks HTTP/1.1."""
        assert self._http1 is not None
        door = self._http1()
        transport.set_protocol(door)
        door.connection_made(transport)

    def _mint_key(self) -> dict[str, str]:
        key = mint_key(self._directory)
        return {"key_file": str(key.path), "key_id": key.key_id, "team_id": key.team_id}

    def _mint_account(self) -> dict[str, str]:
        account = mint_account(self._directory / "service-account.json", project=FcmSetup().project)
        token_url = f"https://127.0.0.1:{self.port}{TOKEN_PATH}"
        account.write_token_uri(token_url)
        self._http1 = web.Server(self._answer_http1, access_log=None)
        return {"project": account.project, "service_account_file": str(account.path), "token_url": token_url}

    async def _answer_http1(self, request: web.BaseRequest) -> web.Response:
        """An access token for who asks for one; a message's name for all else, as over HTTP/2."""
        await request.read()
        if request.path == TOKEN_PATH:
            return web.Response(body=_GRANT, content_type="application/json")
        self.count(1)
        return web.Response(body=_FCM_BODY, content_type="application/json")
