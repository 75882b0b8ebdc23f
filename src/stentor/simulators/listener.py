"""The simulator's door: accepts TCP, makes TLS, and can be a bad door on request (caps, delays, cut handshakes).

It accepts by hand instead of leaving that to asyncio's server, since that is the only place from which a connection
can be refused, kept waiting, or cut in the midst of its handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Sized

from stentor.simulators.world import World

_BACKLOG = 512
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends RST


class Listener:
    def __init__(
        self, world: World, context: ssl.SSLContext, factory: Callable[[], asyncio.Protocol], peers: Sized
    ) -> None:
        self._world = world
        self._context = context
        self._factory = factory
        self._peers = peers
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._recent: deque[float] = deque()
        self.port = 0

    def __repr__(self) -> str:
        return f"<Listener port {self.port}, {len(self._peers)} connections, {len(self._handshakes)} handshakes>"

    def start(self, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(self._socket), name="simulator listener")

    async def stop(self) -> None:
        tasks = [*self._handshakes, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listening)
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._world.tally.connections += 1
            self._world.injector.connections += 1
            if self._turns_away(loop.time()):
                self._world.tally.turned_away += 1
                _cut(client)
                continue
            task = asyncio.create_task(self._welcome(client, cut=self._world.injector.drops_this_handshake()))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def _turns_away(self, now: float) -> bool:
        """Too many open, or too many within the last second."""
        connect = self._world.faults.connect
        if connect.max_open and len(self._peers) + len(self._handshakes) >= connect.max_open:
            return True
        if not connect.max_per_s:
            return False
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if len(self._recent) >= connect.max_per_s:
            return True
        self._recent.append(now)
        return False

    async def _welcome(self, client: socket.socket, *, cut: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            if cut:
                await loop.sock_recv(client, 64)  # the beginning of its ClientHello
                self._world.tally.injected["drop_during_tls"] += 1
                _cut(client)
                return
            delay = self._world.faults.connect.handshake_delay_s
            if delay:
                await asyncio.sleep(delay)
            await loop.connect_accepted_socket(self._factory, client, ssl=self._context)
        except OSError:
            # The client's affair, TLS errors included (it doesn't trust our CA, it gave up): counted, not raised.
            self._world.tally.handshakes_failed += 1
            client.close()
        except asyncio.CancelledError:
            client.close()
            raise


def _cut(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    client.close()
