"""The fast simulator: what little it promises of its answers, for our own client and for others."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import httpx
import pytest

from stentor.errors import StentorError
from stentor.http2 import encode, frames
from stentor.http2.hpack import Encoder
from stentor.providers.apns.credentials import ApnsTokenSource
from stentor.providers.fcm.credentials import FcmTokenSource
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.fast import _PLAIN_REQUEST, ACCESS_TOKEN, FastSimulator, Provider
from stentor.simulators.fcm import FcmSimulator
from tests.unit.http2.peer import TEMPLATE

APNS_ID = "0a1b2c3d-1111-4222-8333-444455556666"


def client(simulator: FastSimulator) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=simulator.facts()["ca_file"])
    return httpx.AsyncClient(http1=False, http2=True, verify=context, base_url=simulator.facts()["url"])


async def test_apns_ids_are_echoed_to_any_client() -> None:
    async with FastSimulator("apns") as simulator, client(simulator) as peer:
        for number in range(5):  # from the second on, the client refers to its table
            name = APNS_ID[:-1] + str(number)
            answer = await peer.post(f"/3/device/{'ab' * 32}", headers={"apns-id": name}, json={"aps": {}})
            assert answer.status_code == 200
            assert answer.headers["apns-id"] == name
        answer = await peer.post("/3/device/short", json={"aps": {}})
        assert len(answer.headers["apns-id"]) == 36
    assert simulator.summary()["accepted"] == 6


def test_a_steady_senders_block_needs_no_decoding() -> None:
    encoder = Encoder()
    blocks = []
    for _ in range(2):
        layout = encoder.layout(TEMPLATE)
        row = [APNS_ID.encode(), b"/3/device/" + b"ab" * 32]
        blocks.append(encode.block(layout, [row[i] for i in layout.order]))
    first, steady = blocks
    assert _PLAIN_REQUEST.fullmatch(first) is None, "it fills the table, so it must be decoded"
    match = _PLAIN_REQUEST.fullmatch(steady)
    assert match is not None
    assert match[1] == APNS_ID.encode()


@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_answers_come_after_the_latency_asked_for(provider: Provider) -> None:
    loop = asyncio.get_running_loop()
    async with FastSimulator(provider, latency=0.1) as simulator, client(simulator) as peer:
        start = loop.time()
        answers = await asyncio.gather(*(peer.post("/x", json={}) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert loop.time() - start > 0.04
        if provider == "fcm":
            assert answers[0].json()["name"].startswith("projects/")
            assert answers[1].headers["content-type"] == "application/json; charset=UTF-8"


async def test_a_sender_is_set_up_as_for_the_strict_simulators() -> None:
    """Every credential that strict mode gives, so that settings made of one serve the other."""
    async with ApnsSimulator() as strict, FastSimulator("apns") as fast:
        assert {"key_file", "key_id", "team_id"} <= strict.facts().keys() & fast.facts().keys()
        facts = fast.facts()
    async with FcmSimulator() as strict, FastSimulator("fcm") as fast:
        assert {"service_account_file", "project", "token_url"} <= strict.facts().keys() & fast.facts().keys()
    assert facts["key_id"] in facts["key_file"]


async def test_the_apns_key_signs(tmp_path: Path) -> None:
    async with FastSimulator("apns", directory=tmp_path) as simulator:
        facts = simulator.facts()
        source = ApnsTokenSource.from_file(
            Path(facts["key_file"]), key_id=facts["key_id"], team_id=facts["team_id"], clock=time.time
        )
        assert (await source.authorization()).startswith(b"bearer ey")


async def test_fcms_token_endpoint_grants_a_token_and_leaves_with_the_simulator(tmp_path: Path) -> None:
    async with FastSimulator("fcm", directory=tmp_path) as simulator:
        facts = simulator.facts()
        ca_file = Path(facts["ca_file"])
        source = FcmTokenSource.from_file(Path(facts["service_account_file"]), clock=time.time, ca_file=ca_file)
        assert await source.authorization() == f"Bearer {ACCESS_TOKEN}".encode()
        assert source.project_id == facts["project"]
    # The source's connection was kept alive, and didn't keep the simulator.
    source.close()
    again = FcmTokenSource.from_file(tmp_path / "service-account.json", clock=time.time, ca_file=ca_file)
    with pytest.raises(StentorError, match="no access token just now"):
        await again.authorization()
    again.close()


async def test_fcms_token_endpoint_grants_a_token_over_http_2(tmp_path: Path) -> None:
    """Clients in Go and others choose HTTP/2 for it, and keep the connection for their messages."""
    async with FastSimulator("fcm", directory=tmp_path) as simulator, client(simulator) as peer:
        for _ in range(2):
            answer = await peer.post("/token", data={"grant_type": "x"})
            assert (answer.json()["access_token"], answer.json()["token_type"]) == (ACCESS_TOKEN, "Bearer")
        for _ in range(2):
            answer = await peer.post("/v1/projects/p/messages:send", json={})
            assert answer.json()["name"].startswith("projects/")
    assert simulator.summary()["accepted"] == 2


async def test_fcm_takes_messages_over_http_1_too() -> None:
    async with FastSimulator("fcm") as simulator:
        facts = simulator.facts()
        context = ssl.create_default_context(cafile=facts["ca_file"])
        async with httpx.AsyncClient(verify=context, base_url=facts["url"]) as peer:
            assert (await peer.post("/token")).json()["access_token"] == ACCESS_TOKEN
            answer = await peer.post(f"/v1/projects/{facts['project']}/messages:send", json={})
            assert answer.json()["name"].startswith("projects/")
    assert simulator.summary()["accepted"] == 1


@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_a_body_larger_than_the_windows_is_taken(provider: Provider) -> None:
    async with FastSimulator(provider) as simulator, client(simulator) as peer:
        for size in (65_536, 3_000_000):
            assert (await peer.post("/x", content=b"x" * size)).status_code == 200


async def test_apns_speaks_h2_with_or_without_alpn() -> None:
    async with FastSimulator("apns") as simulator:
        context = ssl.create_default_context(cafile=simulator.facts()["ca_file"])
        _, writer = connection = await asyncio.open_connection("127.0.0.1", simulator.port, ssl=context)
        writer.write(frames.PREFACE + frames.settings([]))
        assert (await connection[0].readexactly(frames.HEADER_SIZE))[3] == frames.SETTINGS
        writer.close()


async def test_apns_speaks_h2_only() -> None:
    async with FastSimulator("apns") as simulator:
        context = ssl.create_default_context(cafile=simulator.facts()["ca_file"])
        async with httpx.AsyncClient(verify=context) as peer:
            with pytest.raises(httpx.TransportError):
                await peer.post(simulator.facts()["url"] + "/token")
