"""Hosts with several addresses, one of which leads nowhere: the others are tried in time, whoever judges them."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import pytest

from stentor.errors import ConnectFailed
from stentor.http2 import frames, transport
from stentor.http2.addresses import Address, make_socket, open_socket, others
from stentor.http2.burst import Fate
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Deadlines, Endpoint, Link, connect, tls_context
from stentor.simulators.tls import ServerTls
from stentor.testing.blackhole import BlackHole
from tests.integration.addresses import HERE, HERE_TOO, Lead, leads
from tests.integration.http2.test_pool import Serve, burst, forever, server, tls, tunnel

__all__ = ["leads", "tls"]

TIMING = Deadlines(connect=4.0, answer=5.0)
OPTIONS = PoolOptions(max_connections=1, timing=TIMING)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A provider that takes one request."""
    writer.write(frames.settings([]))
    await reader.readexactly(len(frames.PREFACE) + 50)  # our SETTINGS, and the beginning of a request
    writer.write(frames.frame(frames.HEADERS, 5, 1, b"\x88"))
    await forever(reader, writer)


async def fate(endpoint: Endpoint, options: PoolOptions = OPTIONS) -> tuple[Fate, str]:
    """What becomes of a request."""
    async with Pool(endpoint, options) as pool:
        results = await pool.send(burst(1))
        assert pool._failures == 0, "it was reached, but not by the first connect"
    return Fate(results.fates[0]), results.reasons.get(0, "")


def endpoint(port: int, tls: ServerTls, **other: Any) -> Endpoint:
    return Endpoint(host="localhost", port=port, tls=tls_context(ca_file=tls.ca_file), **other)


@pytest.mark.parametrize("permits", [None, lambda _: True], ids=["trusted", "judged"])
async def test_an_address_that_swallows_packets_keeps_nobody_from_the_next(
    tls: ServerTls, leads: Lead, permits: Callable[[str], bool] | None
) -> None:
    async with server(answer, tls.context) as port:
        with BlackHole(HERE_TOO, port):
            leads(localhost=[HERE_TOO, HERE])
            assert await fate(endpoint(port, tls, permits=permits)) == (Fate.RESPONSE, "")


async def test_of_two_that_take_connections_the_first_is_used(tls: ServerTls, leads: Lead) -> None:
    seen: list[str] = []

    def noting(which: str) -> Serve:
        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(which)
            await answer(reader, writer)

        return note

    async with server(noting("first"), tls.context) as port, server(noting("second"), tls.context, HERE_TOO, port):
        leads(localhost=[HERE, HERE_TOO])
        assert await fate(endpoint(port, tls)) == (Fate.RESPONSE, "")
    assert seen == ["first"]


async def test_an_address_that_must_not_be_connected_to_is_not_raced(tls: ServerTls, leads: Lead) -> None:
    seen: list[None] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(None)

    async with server(answer, tls.context) as port, server(note, None, HERE_TOO, port):
        leads(localhost=[HERE_TOO, HERE])
        found = await fate(endpoint(port, tls, permits=lambda address: address == HERE))
    assert (found, seen) == ((Fate.RESPONSE, ""), [])


async def test_an_address_that_takes_connections_and_swallows_the_rest(tls: ServerTls, leads: Lead) -> None:
    """As where a path's MTU is smaller than anybody says: a handshake passes, and a certificate doesn't."""
    async with server(answer, tls.context) as port, server(forever, None, HERE_TOO, port):
        leads(localhost=[HERE_TOO, HERE])
        assert await fate(endpoint(port, tls)) == (Fate.RESPONSE, "")


async def test_an_address_that_hangs_up_keeps_nobody_from_the_next(tls: ServerTls, leads: Lead) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with server(answer, tls.context) as port, server(hang_up, None, HERE_TOO, port):
        leads(localhost=[HERE_TOO, HERE])
        assert await fate(endpoint(port, tls)) == (Fate.RESPONSE, "")


async def test_where_no_address_leads_anywhere_it_is_said_of_the_one_that_was_reached(
    tls: ServerTls, leads: Lead
) -> None:
    async with server(forever, tls.context) as port:
        leads(localhost=[HERE_TOO, HERE])
        with pytest.raises(ConnectFailed, match=r"localhost:\d+: connected, and then no HTTP/2 connection within"):
            await connect(endpoint(port, tls), Nobody(), Deadlines(connect=1.0))
    with pytest.raises(ConnectFailed, match=rf"{HERE_TOO}.*{HERE}"):
        await connect(endpoint(port, tls), Nobody(), Deadlines(connect=1.0))


async def test_a_certificate_that_is_not_trusted_is_no_reason_to_try_the_next(tls: ServerTls, leads: Lead) -> None:
    seen: list[None] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(None)

    async with server(answer, tls.context) as port, server(note, None, HERE_TOO, port):
        leads(localhost=[HERE, HERE_TOO])
        with pytest.raises(ConnectFailed, match="not trusted"):
            await connect(Endpoint(host="localhost", port=port, tls=tls_context()), Nobody(), TIMING)
    assert seen == []


@pytest.mark.parametrize("by_proxy", [False, True])
async def test_a_peer_that_hangs_up_at_once_has_no_socket_close_anothers_number(
    tls: ServerTls, monkeypatch: pytest.MonkeyPatch, by_proxy: bool
) -> None:
    opened: list[socket.socket] = []
    with socket.create_server((HERE, 0)) as listening:
        port = listening.getsockname()[1]

        async def open_and_reset(addresses: Sequence[Address]) -> tuple[socket.socket, Address]:
            found = await open_socket(addresses)
            taken, _ = listening.accept()
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            taken.close()
            opened.append(found[0])
            return found

        monkeypatch.setattr(transport, "open_socket", open_and_reset)
        proxy = f"http://{HERE}:{port}" if by_proxy else None
        where = Endpoint(host=HERE, port=port, tls=tls_context(ca_file=tls.ca_file), proxy=proxy)
        with pytest.raises(ConnectFailed):
            await connect(where, Nobody(), TIMING)
        await asyncio.sleep(0)  # asyncio closes it a step later
    file = os.open(os.devnull, os.O_RDONLY)  # has the number that was free
    while opened:
        opened.pop().close()
    gc.collect()
    os.close(file)  # raises where a socket did so


# -- proxies --------------------------------------------------------------------------------------------------------


async def test_a_client_of_another_library_closes_nobody_elses_files_either(tls: ServerTls) -> None:
    """The one that lanes over plain HTTP use: it makes its sockets by what it is given."""
    with socket.create_server((HERE, 0)) as listening:
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        trusting = tls_context(ca_file=tls.ca_file)
        connector = aiohttp.TCPConnector(ssl=trusting, socket_factory=make_socket, limit=0)
        files: list[int] = []

        async def hang_up() -> None:
            while True:
                taken, _ = await loop.sock_accept(listening)
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                taken.close()

        hanging_up = asyncio.create_task(hang_up())
        async with aiohttp.ClientSession(connector=connector) as session:
            for _ in range(80):
                with pytest.raises(aiohttp.ClientError):
                    await session.get(f"https://{HERE}:{listening.getsockname()[1]}/")
                files.append(os.open(os.devnull, os.O_RDONLY))  # has the number that was free
        hanging_up.cancel()
        gc.collect()
        for file in files:
            os.close(file)  # raises where somebody else did so


async def test_a_proxy_whose_first_address_swallows_packets(tls: ServerTls, leads: Lead) -> None:
    seen: list[bytes] = []
    async with (
        server(answer, tls.context) as port,
        server(lambda reader, writer: tunnel(reader, writer, seen), None) as proxy,
    ):
        with BlackHole(HERE_TOO, proxy):
            leads(**{"proxy.example": [HERE_TOO, HERE]})
            through = endpoint(port, tls, proxy=f"http://proxy.example:{proxy}")
            assert await fate(through) == (Fate.RESPONSE, "")
    assert seen[0].startswith(b"CONNECT localhost:%d " % port)


async def wait_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await forever(reader, writer)


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")


@pytest.mark.parametrize("unreachable", [wait_for_ever, refuse])
async def test_a_proxy_that_cannot_reach_the_first_judged_address_is_asked_for_the_next(
    tls: ServerTls,
    leads: Lead,
    unreachable: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    asked: list[bytes] = []

    async def proxying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not asked:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            await unreachable(reader, writer)
        else:
            await tunnel(reader, writer, asked)

    async with server(answer, tls.context) as port, server(proxying, None) as proxy:
        leads(localhost=["2001:db8::1", "2001:db8::2", HERE])
        through = endpoint(port, tls, proxy=f"http://127.0.0.1:{proxy}", permits=lambda _: True)
        assert await fate(through) == (Fate.RESPONSE, "")
    assert [each.split()[1] for each in asked] == [b"[2001:db8::1]:%d" % port, b"127.0.0.1:%d" % port]


# -- the order ------------------------------------------------------------------------------------------------------


def test_after_one_that_led_nowhere_the_other_family_is_next() -> None:
    def info(address: str) -> Any:
        return socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)

    first, second, third = map(info, ("192.0.2.1", "192.0.2.2", "2001:db8::1"))
    assert others([first, second, third], first) == [third, second]


class Nobody:
    """The owner of a link that never comes to be."""

    def on_progress(self, link: Link) -> None:
        raise AssertionError

    def on_lost(self, link: Link) -> None:
        """A link that failed is told of as well."""
