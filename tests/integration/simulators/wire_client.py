"""A plain HTTP/2 client over TLS, made of h2 and asyncio, that tells everything the server did to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import jwt

from stentor.http2 import frames as f
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.simulator import Simulator

Headers = list[tuple[str, str]]


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def reason(self) -> str:
        return str(json.loads(self.body)["reason"]) if self.body else ""


class WireClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.replies: dict[int, Reply] = {}
        self.resets: dict[int, int] = {}
        self.goaways: list[tuple[int, int, bytes]] = []
        self.limits: list[int] = []
        self.closed = False
        self._changed = asyncio.Event()
        self.h2.initiate_connection()
        self.flush()
        self._task = asyncio.create_task(self._read())

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    async def _read(self) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    head = await self._reader.readexactly(9)
                    self._on_frame(head, await self._reader.readexactly(int.from_bytes(head[:3])))
                    self._changed.set()
        finally:
            self.closed = True
            self._changed.set()

    def _on_frame(self, head: bytes, payload: bytes) -> None:
        """h2 takes no frame after a GOAWAY, though answers may well follow: it never sees one."""
        if head[3] == f.GOAWAY:
            self.goaways.append((int.from_bytes(payload[:4]), int.from_bytes(payload[4:8]), payload[8:]))
            return
        for event in self.h2.receive_data(head + payload):
            self._on_event(event)
        self.flush()

    def _on_event(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                found = {str(name): str(value) for name, value in event.headers or ()}
                self.replies[event.stream_id] = Reply(int(found.pop(":status")), found)
            case h2.events.DataReceived():
                self.replies[event.stream_id].body += event.data or b""
            case h2.events.StreamEnded():
                self.replies[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.resets[event.stream_id] = int(event.error_code or 0)
            case h2.events.RemoteSettingsChanged():
                changed = event.changed_settings.get(3)
                if changed is not None:
                    self.limits.append(changed.new_value)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until the condition holds, looking again whenever something has come."""
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def post(self, headers: Headers, body: bytes, *, flush: bool = True) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, headers, end_stream=not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)
        if flush:
            self.flush()
        return stream_id

    async def ask(self, headers: Headers, body: bytes) -> Reply:
        stream_id = self.post(headers, body)
        await self.until(lambda: self.closed or stream_id in self.resets or self.is_done(stream_id))
        return self.replies.get(stream_id, Reply())

    def is_done(self, stream_id: int) -> bool:
        return stream_id in self.replies and self.replies[stream_id].ended

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@contextlib.asynccontextmanager
async def connected(simulator: Simulator) -> AsyncIterator[WireClient]:
    """A client that has the server's first SETTINGS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port, ssl=simulator.client_context())
    client = WireClient(reader, writer)
    try:
        await client.until(lambda: client.limits or client.closed)
        yield client
    finally:
        await client.close()


def provider_token(apns: ApnsSimulator, *, age_s: float = 0.0, **claims: Any) -> str:
    issued = int(apns.clock() - age_s)
    payload = {"iss": apns.team_id, "iat": issued, **claims}
    return jwt.encode(payload, apns.key_file.read_bytes(), algorithm="ES256", headers={"kid": apns.key_id})


def device(number: int) -> str:
    return f"{number:064x}"


def apns_headers(token: str, address: str, **others: str) -> Headers:
    return [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", f"/3/device/{address}"),
        (":authority", "localhost"),
        ("authorization", f"bearer {token}"),
        ("apns-topic", "com.example.app"),
        ("apns-push-type", "alert"),
        *((name.replace("_", "-"), value) for name, value in others.items()),
    ]


APNS_BODY = b'{"aps":{"alert":"Sale"}}'


class ApnsClient:
    """Sends one push after another, or many at once, on one connection."""

    def __init__(self, client: WireClient, token: str) -> None:
        self.wire = client
        self.token = token

    async def push(self, number: int, **others: str) -> Reply:
        return await self.wire.ask(apns_headers(self.token, device(number), **others), APNS_BODY)

    def start(self, numbers: range) -> list[int]:
        """Send all at once, without waiting for answers."""
        ids = [self.wire.post(apns_headers(self.token, device(number)), APNS_BODY, flush=False) for number in numbers]
        self.wire.flush()
        return ids


@contextlib.asynccontextmanager
async def apns_client(apns: ApnsSimulator, *, warm: bool = True) -> AsyncIterator[ApnsClient]:
    """`warm`: one push is answered already, so that the stream limit is up."""
    async with connected(apns) as wire:
        client = ApnsClient(wire, provider_token(apns))
        if warm:
            await client.push(0xFEED)
            await wire.until(lambda: wire.limits[-1] > 1)
        yield client


def assertion(fcm: FcmSimulator, **changes: Any) -> str:
    account = json.loads(fcm.service_account_file.read_bytes())
    now = int(fcm.clock())
    claims = {
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": fcm.token_url,
        "iat": now,
        "exp": now + 3_600,
        **changes,
    }
    return jwt.encode(claims, account["private_key"], algorithm="RS256")


async def access_token(client: WireClient, fcm: FcmSimulator) -> str:
    reply = await client.ask(token_headers(), token_body(assertion(fcm)))
    return str(json.loads(reply.body)["access_token"])


def token_headers() -> Headers:
    return [(":method", "POST"), (":scheme", "https"), (":path", "/token"), (":authority", "localhost")]


def token_body(signed: str) -> bytes:
    return f"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={signed}".encode()


def fcm_headers(token: str, project: str = "stentor-rehearsal") -> Headers:
    return [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", f"/v1/projects/{project}/messages:send"),
        (":authority", "localhost"),
        ("authorization", f"Bearer {token}"),
        ("content-type", "application/json"),
    ]


def real_time() -> float:
    return time.monotonic()
