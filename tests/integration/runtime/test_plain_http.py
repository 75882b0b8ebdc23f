"""The small HTTP server: what it answers, what it refuses, and that nobody can hold it up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from stentor.errors import InvalidConfiguration
from stentor.runtime import plain_http
from stentor.runtime.plain_http import PlainPage, Unanswered, get, listening, parse_address

LOOPBACK = "127.0.0.1:0"


async def answer(path: str) -> PlainPage | None:
    return PlainPage(503, b'{"ok": false}') if path == "/page" else None


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with listening(LOOPBACK, answer) as found:
        yield found


async def exchange(address: str, request: bytes) -> bytes:
    """All that is answered to these bytes."""
    reader, writer = await asyncio.open_connection(*parse_address(address))
    writer.write(request)
    answered = await reader.read()
    writer.close()
    return answered


async def test_a_common_client_understands_it(address: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path, status, body in (("/page?x=1", 503, '{"ok": false}'), ("/other", 404, "Not Found\n")):
            async with session.get(f"http://{address}{path}") as response:
                assert (response.status, await response.text()) == (status, body)
        async with session.post(f"http://{address}/page", data=b"x") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_our_client_understands_it(address: str) -> None:
    assert await get(address, "/page") == PlainPage(503, b'{"ok": false}')
    assert (await get(address, "/other")).status == 404


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /page HTTP/1.1\r\n\r\n", b"503"),
        (b"HEAD /page HTTP/1.1\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /page SPDY/3\r\n\r\n", b"400"),
        (b"GET /page HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_requests_are_bounded(address: str, request_: bytes, status: bytes) -> None:
    assert (await exchange(address, request_)).startswith(b"HTTP/1.1 " + status)


async def test_who_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_http, "PATIENCE", 0.05)
    async with listening(LOOPBACK, answer) as address:
        assert await exchange(address, b"GET /page HT") == b""


async def test_nobody_can_take_all_connections(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_http, "CONNECTIONS", 1)
    _, idler = await asyncio.open_connection(*parse_address(address))
    with pytest.raises(Unanswered, match="does not answer"):
        await get(address, "/page")
    idler.close()


async def test_a_stop_waits_for_nobody() -> None:
    async with listening(LOOPBACK, answer) as address:
        reader, idler = await asyncio.open_connection(*parse_address(address))
    assert await reader.read() == b""
    idler.close()
    with pytest.raises(Unanswered):
        await get(address, "/page")


async def test_ipv6() -> None:
    async with listening("[::1]:0", answer) as address:
        assert address.startswith("[::1]:")
        assert (await get(address, "/page")).status == 503


async def test_a_port_in_use_is_named_with_the_remedy(address: str) -> None:
    with pytest.raises(InvalidConfiguration, match=rf"port {address.rpartition(':')[2]} of 127\.0\.0\.1: another prog"):
        async with listening(address, answer):
            pass


@pytest.mark.parametrize(
    ("host", "says"), [("192.0.2.1", "this machine has no such address"), ("nowhere.invalid", "no addr|no such addr")]
)
async def test_another_machines_address_is_refused(host: str, says: str) -> None:
    with pytest.raises(InvalidConfiguration, match=says):
        async with listening(f"{host}:0", answer):
            pass


async def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(Unanswered):
        await get(f"127.0.0.1:{mute.getsockname()[1]}", "/page", timeout=0.05)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9464", "127.0.0.1", 9464), ("[::1]:0", "::1", 0), ("localhost:80", "localhost", 80)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize("text", ["9464", ":9464", "::1:9464", "host:", "host:99999", "host:http", "[::1]", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="give HOST:PORT"):
        parse_address(text)
