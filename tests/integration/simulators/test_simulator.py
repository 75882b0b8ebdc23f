"""A simulator as a whole: its files, doors and control endpoint, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.fcm import FcmSetup, FcmSimulator
from tests.integration.simulators.wire_client import (
    APNS_BODY,
    access_token,
    apns_client,
    apns_headers,
    connected,
    device,
    fcm_headers,
)


async def test_the_first_settings_are_apples() -> None:
    async with ApnsSimulator() as apns, connected(apns) as wire:
        announced = wire.h2.remote_settings
        assert announced.header_table_size == 4_096
        assert announced.max_concurrent_streams == 1
        assert announced.initial_window_size == 65_535
        assert announced.max_frame_size == 16_384
        assert announced.max_header_list_size == 8_000


async def test_apns_speaks_h2_only() -> None:
    async with ApnsSimulator() as apns:
        context = ssl.create_default_context(cafile=str(apns.ca_file))
        context.set_alpn_protocols(["http/1.1"])
        reader, writer = await asyncio.open_connection("127.0.0.1", apns.port, ssl=context)
        writer.write(b"POST /3/device/00 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        said = await reader.read()
        writer.close()
        assert b"doesn't begin with the HTTP/2 preface" in said
        assert apns.violations == ["the connection doesn't begin with the HTTP/2 preface"]


async def test_apns_takes_clients_without_alpn() -> None:
    async with ApnsSimulator() as apns:
        apns.client_context = lambda: ssl.create_default_context(  # type: ignore[method-assign]
            cafile=str(apns.ca_file)
        )
        async with apns_client(apns) as client:
            assert (await client.push(2)).status == 200
        assert apns.violations == []


async def test_certificate_authentication() -> None:
    async with ApnsSimulator() as apns:
        context = apns.client_context()
        context.load_cert_chain(apns.client_certificate("com.example.app"))
        apns.client_context = lambda: context  # type: ignore[method-assign]
        async with connected(apns) as wire:
            assert wire.limits == [1_000]  # at once: a certificate needs no first request
            headers = [
                header for header in apns_headers("", device(1)) if header[0] not in ("authorization", "apns-topic")
            ]
            assert (await wire.ask(headers, APNS_BODY)).status == 200


async def test_a_client_that_distrusts_us_is_counted() -> None:
    async with ApnsSimulator() as apns:
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", apns.port, ssl=ssl.create_default_context())
        async with connected(apns):
            assert apns.summary()["handshakes_failed"] == 1


async def test_keys_are_private_and_temporary_directories_vanish(tmp_path: Path) -> None:
    async with ApnsSimulator(directory=tmp_path) as apns:
        assert stat.S_IMODE(apns.key_file.stat().st_mode) == 0o600
        assert apns.ca_file.parent == tmp_path
    assert apns.key_file.exists()
    async with FcmSimulator() as fcm:
        assert json.loads(fcm.service_account_file.read_text())["token_uri"] == fcm.token_url
    assert not fcm.directory.exists()


async def test_stopping_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    async with ApnsSimulator(control_port=0) as apns, apns_client(apns):
        assert apns.connections == 1
        port = apns.port
    assert apns.connections == 0
    assert asyncio.all_tasks() == before
    with pytest.raises(OSError):  # noqa: PT011 - refused, or reset
        await asyncio.open_connection("127.0.0.1", port)
    assert len(apns.ledger) == 1  # still readable


async def test_the_control_endpoint() -> None:
    async with ApnsSimulator(control_port=0) as apns, apns_client(apns) as client, aiohttp.ClientSession() as http:
        url = apns.control_url or ""
        for number in range(3):
            await client.push(number, apns_collapse_id="c")
        await client.push(2, apns_collapse_id="c")
        async with http.get(f"{url}/summary") as answer:
            summary = await answer.json()
        assert (summary["accepted"], summary["duplicates"], summary["violations"]) == (5, 1, [])
        async with http.get(f"{url}/ledger", params={"after": 0, "limit": 2}) as answer:
            page = await answer.json()
        assert [entry["address"] for entry in page["entries"]] == [device(0), device(1)]
        assert page["next_after"] == 2
        async with http.get(f"{url}/ledger", params={"after": 2}) as answer:
            assert (await answer.json())["next_after"] is None
        async with http.get(f"{url}/ledger", params={"after": "x"}) as answer:
            assert answer.status == 400


async def test_faults_clock_and_reset_over_the_control_endpoint() -> None:
    async with ApnsSimulator(control_port=0) as apns, apns_client(apns) as client, aiohttp.ClientSession() as http:
        url = apns.control_url or ""
        async with http.post(f"{url}/faults", json={"storm": {"at_s": 100, "for_s": 50}}) as answer:
            assert answer.status == 200
        assert (await client.push(1)).status == 200
        async with http.post(f"{url}/clock", json={"advance_s": 120}) as answer:
            assert answer.status == 200
        assert (await client.push(1)).status == 429
        async with http.post(f"{url}/faults", json={"strom": {}}) as answer:
            assert (answer.status, await answer.text()) == (400, "faults: unknown key 'strom'; did you mean 'storm'?")
        async with http.post(f"{url}/faults", data=b"{") as answer:
            assert answer.status == 400
        async with http.post(f"{url}/clock", json={}) as answer:
            assert answer.status == 400
        async with http.post(f"{url}/reset") as answer:
            assert answer.status == 200
        assert len(apns.ledger) == 0
        assert (await client.push(1)).status == 200


async def test_fcm_over_h2_with_its_own_limit() -> None:
    async with FcmSimulator(FcmSetup(max_streams=2)) as fcm, connected(fcm) as wire:
        token = await access_token(wire, fcm)
        body = b'{"message":{"token":"t"}}'
        assert (await wire.ask(fcm_headers(token), body)).status == 200
        wire.h2.remote_settings.update({3: 100})  # h2 itself would never send too many
        wire.h2.remote_settings.acknowledge()
        for _ in range(3):
            wire.h2.send_headers(wire.h2.get_next_available_stream_id(), fcm_headers(token))
        wire.flush()
        await wire.until(lambda: wire.goaways)
        assert wire.goaways[0][1:] == (1, b"exceeded_max_concurrent_streams")
        assert fcm.violations == ["3 streams at once, 2 allowed"]


@pytest.mark.parametrize("provider", ["apns", "fcm"])
@pytest.mark.parametrize("mode", ["strict", "fast"])
async def test_the_command_line(provider: str, mode: str, tmp_path: Path) -> None:
    command = ["-c", "from stentor.cli.simulate import app; app()", provider, "--port", "0", "--mode", mode]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--json", "--dir", str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    facts = json.loads(await process.stdout.readline())
    assert facts["mode"] == mode
    context = ssl.create_default_context(cafile=facts["ca_file"])
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", facts["port"], ssl=context)
    writer.close()
    process.terminate()
    closing = json.loads(await process.stdout.readline())
    assert closing.get("violations", []) == []
    assert await process.wait() == 0
