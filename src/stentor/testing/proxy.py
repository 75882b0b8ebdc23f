"""A network that fails on request: a TCP proxy before a server, for tests of what is done about bad networks.

Bytes are taken from one side and given to the other in order, through a buffer of bounded size a direction. When that
is full, nothing more is taken, and the sender feels it, as with any slow network.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self

from stentor.testing.ports import LOOPBACK, HeldPort

_CHUNK = 1 << 16  # bytes taken at once, at most
_CHUNKS = 16  # that are on their way at once, a direction
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing a connection resets it


class Way(StrEnum):
    """A direction, as the client sees it."""

    THERE = "there"
    BACK = "back"


_Flows = dict[Way, asyncio.Event]
"""Of a connection: set while bytes are forwarded in that direction."""


def _new_flows() -> _Flows:
    flows = {way: asyncio.Event() for way in Way}
    for flow in flows.values():
        flow.set()
    return flows


class _LostError(ConnectionError):
    """The connection has carried what it may."""


class Proxy:
    """Listens on `port` of 127.0.0.1 while it is entered, and connects whoever comes to a server.

    What is asked of it holds for the connections that are open and for those to come, until it is taken back.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._held = HeldPort()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flows = _new_flows()
        self._delay = 0.0
        self._rest: dict[Way, int] = {}  # bytes until a connection is lost

    def __repr__(self) -> str:
        host, port = self._target
        return f"<Proxy {self.port} to {host}:{port}, {self.connections} connections>"

    @property
    def port(self) -> int:
        """Where it listens; the same after `mend`."""
        return self._held.number

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()
        self._held.close()

    async def cut(self) -> None:
        """Reset all connections, and refuse new ones until `mend`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def mend(self) -> None:
        """Accept connections again."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    def freeze(self) -> None:
        """Forward nothing until `thaw`, and keep connections open. What is sent meanwhile arrives then.

        New connections are accepted, but the server hears of them only then.
        """
        for way in Way:
            self.halve(way)

    def halve(self, silent: Way) -> None:
        """Forward nothing in one direction until `thaw`, as `freeze` does in both."""
        self._flows[silent].clear()

    def thaw(self) -> None:
        """Forward in both directions again."""
        for flow in self._flows.values():
            flow.set()

    def forget(self) -> None:
        """Swallow all that is sent from now on over the connections that are open, and say nothing, as a NAT does that
        has forgotten them. New connections are carried."""
        self.freeze()
        self._flows = _new_flows()

    def delay(self, seconds: float) -> None:
        """Have all bytes taken from now on arrive so much later, in each direction; 0 ends it."""
        self._delay = seconds

    def drop(self, after: int, way: Way = Way.THERE) -> None:
        """Reset the connection that carries the byte number `after` from now on in this direction, when it has.

        Connections are counted together, and only one is lost. 0 loses the next one on which something is sent, before
        any of it arrives.
        """
        self._rest[way] = after

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted just before the cut
            writer.transport.abort()
            return
        connection = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers, flows = [writer], self._flows
        try:
            await self._carry(reader, writers, flows)
            for flow in flows.values():  # through a silent network no news comes of an end, either
                await flow.wait()
        finally:
            for each in writers:
                await _reset(each)

    async def _carry(self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter], flows: _Flows) -> None:
        """Connect to the server, add its writer to the client's, and forward until one is gone or both have ended."""
        try:
            await flows[Way.THERE].wait()
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            writers.append(target_writer)
            async with asyncio.TaskGroup() as group:
                self._forward(group, Way.THERE, flows, reader, target_writer)
                self._forward(group, Way.BACK, flows, target_reader, writers[0])
            for each in writers:
                each.close()
        except* OSError:
            pass  # a side is gone, couldn't be reached, or was dropped: whoever is left will be told

    def _forward(
        self,
        group: asyncio.TaskGroup,
        way: Way,
        flows: _Flows,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        # When it is due, and what; nothing is the end of what this side sends.
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS)
        group.create_task(self._take(reader, under_way))
        group.create_task(self._give(way, flows[way], under_way, writer))

    async def _take(self, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            data = await reader.read(_CHUNK)
            await under_way.put((loop.time() + self._delay, data))

    async def _give(
        self,
        way: Way,
        flow: asyncio.Event,
        under_way: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
    ) -> None:
        loop = asyncio.get_running_loop()
        writer.transport.set_write_buffer_limits(0)  # `drain` returns when the system has it all
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - loop.time())
            await flow.wait()
            if not data:
                break
            rest = self._rest.pop(way, None)
            if rest is not None and rest <= len(data):
                writer.write(data[:rest])
                await writer.drain()
                raise _LostError
            if rest is not None:
                self._rest[way] = rest - len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _reset(writer: asyncio.StreamWriter) -> None:
    """Close it, unless it is closed, so that the other side reads an error and not an end."""
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
