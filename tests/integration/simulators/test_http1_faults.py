"""Over HTTP/1.1 too the faults befall requests to FCM and to browsers' push services."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import jwt
import pytest

from stentor.simulators.faults import Drop, Faults, Malformed, Trigger
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.simulator import Simulator
from stentor.simulators.webpush import SUBJECT, WebPushSimulator
from tests.integration.simulators.wire_client import assertion, token_body

Send = Callable[[], Awaitable[httpx.Response]]


@asynccontextmanager
async def client(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    async with httpx.AsyncClient(verify=trust) as http:
        yield http


@asynccontextmanager
async def fcm() -> AsyncIterator[tuple[Simulator, Send]]:
    async with FcmSimulator() as simulator, client(simulator) as http:
        form = {"content-type": "application/x-www-form-urlencoded"}
        granted = await http.post(simulator.token_url, content=token_body(assertion(simulator)), headers=form)
        bearer = {"authorization": f"Bearer {granted.json()['access_token']}"}
        path = f"{simulator.url}/v1/projects/{simulator.project}/messages:send"

        async def send() -> httpx.Response:
            return await http.post(path, json={"message": {"token": "device", "data": {"a": "b"}}}, headers=bearer)

        yield simulator, send


@asynccontextmanager
async def webpush() -> AsyncIterator[tuple[Simulator, Send]]:
    async with WebPushSimulator() as simulator, client(simulator) as http:
        endpoint = json.loads(next(simulator.subscriptions(1)))["endpoint"]
        claims = {"aud": simulator.url, "exp": int(simulator.clock()) + 3600, "sub": SUBJECT}
        token = jwt.encode(claims, simulator.private_key_file.read_bytes(), "ES256")
        headers = {"authorization": f"vapid t={token}, k={simulator.public_key}", "ttl": "60"}

        async def send() -> httpx.Response:
            return await http.post(endpoint, headers=headers)

        yield simulator, send


@pytest.fixture(params=[fcm, webpush])
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Simulator, Send]]:
    async with request.param() as both:
        yield both


async def test_answers_are_malformed(sender: tuple[Simulator, Send]) -> None:
    simulator, send = sender
    assert (await send()).status_code in (200, 201)
    simulator.faults = Faults(malformed=Malformed(share=1.0, forms=("html502",)))
    assert (await send()).status_code == 502
    assert (simulator.summary()["injected"], len(simulator.ledger)) == ({"malformed": 1}, 1)


@pytest.mark.parametrize(
    ("drop", "name", "accepted"),
    [
        (Drop(after_accept_every=3), "drop_after_accept", 4),
        (Drop(before_body_every=3), "drop_before_body", 3),
    ],
)
async def test_connections_are_cut(sender: tuple[Simulator, Send], drop: Drop, name: str, accepted: int) -> None:
    simulator, send = sender
    simulator.faults = Faults(drop=drop)
    for _ in range(2):
        await send()
    with pytest.raises(httpx.TransportError):
        await send()
    await send()
    assert (simulator.summary()["injected"], len(simulator.ledger)) == ({name: 1}, accepted)


async def test_a_script_counts_messages_and_not_token_requests(sender: tuple[Simulator, Send]) -> None:
    simulator, send = sender
    simulator.script(Trigger(after=2, do="malformed", malformed="empty"))
    assert [(await send()).status_code // 100 for _ in range(3)] == [2, 5, 2]
