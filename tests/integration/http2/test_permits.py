"""Hosts that strangers chose: only addresses that are permitted are connected to, and those that were looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stentor.errors import HostForbidden
from stentor.http2.burst import Burst, Fate, Template
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Endpoint, permitted_addresses
from stentor.simulators.webpush import WebPushSimulator

BURST = Burst(
    Template(
        (
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", b"/"),
        ),
        (),
    ),
    (),
    [b"x"],
)
QUICK = PoolOptions(max_connections=1, patience=0.3, connects_per_second=20.0)


async def fate(web: WebPushSimulator, permits: Callable[[str], bool], **other: str) -> tuple[Fate, str]:
    """What becomes of a request to localhost."""
    endpoint = Endpoint(host="localhost", port=web.port, tls=web.client_context(), permits=permits, **other)
    async with Pool(endpoint, QUICK) as pool:
        results = await pool.send(BURST)
    return Fate(results.fates[0]), results.reasons.get(0, "")


async def test_the_address_that_was_looked_at_is_connected_to_and_the_name_is_verified() -> None:
    looked_at: list[str] = []

    def permits(address: str) -> bool:
        looked_at.append(address)
        return address == "127.0.0.1"

    async with WebPushSimulator() as web:
        assert await fate(web, permits) == (Fate.RESPONSE, "")
    assert "127.0.0.1" in looked_at


async def test_nothing_is_sent_where_no_address_is_permitted() -> None:
    async with WebPushSimulator() as web:
        became, reason = await fate(web, lambda _: False)
        assert became is Fate.NOT_PROCESSED
        assert "must not be connected to" in reason
        assert web.world.tally.connections == 0


async def test_what_is_permitted() -> None:
    async with WebPushSimulator() as web:
        endpoint = Endpoint(host="127.0.0.1", port=web.port, tls=web.client_context())
        assert await permitted_addresses(endpoint) == ["127.0.0.1"]
        forbidding = Endpoint(host="127.0.0.1", port=web.port, tls=web.client_context(), permits=lambda _: False)
        with pytest.raises(HostForbidden):
            await permitted_addresses(forbidding)


async def test_a_proxy_is_asked_for_the_address_not_for_the_name() -> None:
    asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if not asked.done():
            asked.set_result(request)
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    async with proxy, WebPushSimulator() as web:
        became, reason = await fate(web, lambda each: each == "127.0.0.1", proxy=f"http://127.0.0.1:{port}")
        assert (became, "refused the tunnel" in reason) == (Fate.NOT_PROCESSED, True)
        assert (await asked).startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % web.port)
