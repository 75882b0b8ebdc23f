"""Ports of this machine for servers in tests that go away and come back at the same address."""

from __future__ import annotations

import socket
import sys

LOOPBACK = "127.0.0.1"


class HeldPort:
    """A free loopback port, chosen by the system and given to nobody else until `close`.

    Linux lets a server listen on a port that another socket has bound without listening, if both allow reuse; asyncio
    and Go do. While no server listens, connections are refused. Other systems don't let it: there the port is only
    chosen, and another program could get it while it isn't listened on.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self.close()

    def __repr__(self) -> str:
        return f"<HeldPort {self.number}>"

    def close(self) -> None:
        """Let the system give it to others."""
        self._socket.close()
