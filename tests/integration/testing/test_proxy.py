"""The network that fails on request: what arrives, what doesn't, and how each side hears of it."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest

from stentor.testing.nats import RunningNats
from stentor.testing.proxy import Proxy, Way

MEGABYTE = 1 << 20


class Echo:
    """A server that sends back all it gets, and counts it."""

    def __init__(self) -> None:
        self.got = 0
        self.more = asyncio.Event()  # when something has come
        self.answers: list[asyncio.StreamWriter] = []
        self._served: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answers.append(writer)
        self._served.add(asyncio.create_task(self._serve(reader, writer)))

    async def ended(self) -> None:
        """Returns when all connections have ended."""
        await asyncio.gather(*self._served)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(MEGABYTE):
                self.got += len(data)
                self.more.set()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with await asyncio.start_server(echo.accept, "127.0.0.1", 0) as server:
        async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
            yield proxy
        await echo.ended()


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_all_bytes_come_back_in_order_and_the_end_after_them(proxy: Proxy, echo: Echo) -> None:
    sent = os.urandom(20 * MEGABYTE)
    async with connected(proxy) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        assert (proxy.connections, echo.got) == (1, len(sent))
        assert repr(proxy).endswith(", 1 connections>")
        writer.close()
        await echo.ended()


async def test_a_cut_resets_connections_and_refuses_new_ones_until_it_is_mended(proxy: Proxy, echo: Echo) -> None:
    port = proxy.port
    async with connected(proxy) as (reader, writer):
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        await proxy.cut()
        assert proxy.connections == 0
        with pytest.raises(ConnectionResetError):
            await reader.read()
    await echo.ended()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.cut()  # once more does nothing
    await proxy.mend()
    await proxy.mend()
    assert proxy.port == port
    async with connected(proxy) as (reader, writer):
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"


async def test_frozen_connections_stay_and_go_on_where_they_were(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as (reader, writer), connected(proxy) as (control, ping):
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        proxy.freeze()
        async with connected(proxy) as (late_reader, late_writer):
            writer.write(b"two")
            late_writer.write(b"three")
            ping.write(b"four")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(late_reader.read(1), 0.1)
            assert proxy.connections == 3
            assert (echo.got, len(echo.answers)) == (3, 2)  # the server hasn't heard of the third connection
            proxy.thaw()
            assert await reader.readexactly(3) == b"two"
            assert await late_reader.readexactly(5) == b"three"
            assert await control.readexactly(4) == b"four"


async def test_no_more_than_the_buffers_is_taken_while_frozen(proxy: Proxy, echo: Echo) -> None:
    sent = bytes(32 * MEGABYTE)
    async with connected(proxy) as (reader, writer):
        writer.write(b"-")
        assert await reader.readexactly(1) == b"-"
        proxy.freeze()
        writer.write(sent)
        writer.transport.set_write_buffer_limits(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 1)
        assert echo.got == 1
        proxy.thaw()
        await reader.readexactly(len(sent))
    assert echo.got == 1 + len(sent)


async def test_halved_there_the_server_hears_nothing(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as (reader, writer):
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        proxy.halve(Way.THERE)
        writer.write(b"two")
        (answer,) = echo.answers
        answer.write(b"by itself")
        assert await reader.readexactly(9) == b"by itself"
        assert echo.got == 3
        proxy.thaw()
        assert await reader.readexactly(3) == b"two"


async def test_halved_back_the_client_hears_nothing(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as (reader, writer):
        proxy.halve(Way.BACK)
        writer.write(b"one")
        await echo.more.wait()
        (answer,) = echo.answers
        answer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        answer.transport.abort()  # the server resets it, and not even that is heard
        await echo.ended()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        assert proxy.connections == 1
        proxy.thaw()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_a_delay_holds_back_each_direction(proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    async with connected(proxy) as (reader, writer):
        proxy.delay(0.1)
        began = loop.time()
        for _ in range(20):  # all are on their way at the same time
            writer.write(b"-")
            await asyncio.sleep(0)
        await reader.readexactly(20)
        assert loop.time() - began >= 0.2
        proxy.delay(0)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"


@pytest.mark.parametrize("way", list(Way))
async def test_the_connection_that_carries_one_byte_too_many_is_lost(proxy: Proxy, echo: Echo, way: Way) -> None:
    async with connected(proxy) as (reader, writer), connected(proxy) as (other, to_other):
        proxy.drop(5, way)
        to_other.write(b"123")
        assert await other.readexactly(3) == b"123"
        writer.write(b"4567")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(4)
        assert echo.got == (5 if way is Way.THERE else 7)
        to_other.write(b"89")
        assert await other.readexactly(2) == b"89"


async def test_a_server_that_is_down_resets_the_client(echo: Echo) -> None:
    server = await asyncio.start_server(echo.accept, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        server.close()
        async with connected(proxy) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await reader.read()


async def test_a_client_of_nats_comes_back_through_it(nats_server: RunningNats, queue_name: str) -> None:
    lost, back = asyncio.Event(), asyncio.Event()

    async def tell_lost() -> None:
        lost.set()

    async def tell_back() -> None:
        back.set()

    async def ignore(error: Exception) -> None:
        """It is known: the connection is cut."""

    async with Proxy("127.0.0.1", nats_server.nodes[0].port) as proxy:
        client = await nats.connect(
            f"nats://127.0.0.1:{proxy.port}",
            disconnected_cb=tell_lost,
            reconnected_cb=tell_back,
            error_cb=ignore,
            reconnect_time_wait=0.01,
            max_reconnect_attempts=-1,
        )
        try:
            jetstream = client.jetstream()
            await jetstream.add_stream(name=f"{queue_name}_any", subjects=[queue_name])
            await jetstream.publish(queue_name, b"1")
            await proxy.cut()
            await lost.wait()
            await proxy.mend()
            await back.wait()
            await jetstream.publish(queue_name, b"2")
            assert (await jetstream.stream_info(f"{queue_name}_any")).state.messages == 2
        finally:
            await client.close()


async def test_what_it_forgot_swallows_for_ever_and_new_connections_are_carried(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as (reader, writer):
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        proxy.forget()
        writer.write(b"swallowed")
        proxy.thaw()
        async with connected(proxy) as (other_reader, other_writer):
            other_writer.write(b"after")
            assert await other_reader.readexactly(5) == b"after"
        assert echo.got == len(b"beforeafter")
        await proxy.cut()
