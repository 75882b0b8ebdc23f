"""An address that swallows packets: whoever connects to it hears nothing, as with an IPv6 route that leads nowhere."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

_FILL = 4  # connections that are asked for until the system takes no more: it takes one or two beyond the backlog


class BlackHole:
    """Swallows each connection to one port of `host`, an address of this machine, while it is entered.

    It listens, with a queue that is full, so the system drops the first packet of each further connection.
    """

    def __init__(self, host: str, port: int = 0) -> None:
        """Raises: OSError: the address isn't this machine's, or its port is taken."""
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.socket(self._family)
        try:
            self._listening.bind((host, port))
        except OSError:
            self._listening.close()
            raise
        self._filling: list[socket.socket] = []

    def __repr__(self) -> str:
        return f"<BlackHole {self.address}>"

    @property
    def address(self) -> tuple[str, int]:
        """Where it is: host and port."""
        host, port = self._listening.getsockname()[:2]
        return host, port

    def __enter__(self) -> Self:
        self._listening.listen(0)
        for _ in range(_FILL):
            filling = socket.socket(self._family)
            filling.setblocking(False)
            filling.connect_ex(self.address)
            self._filling.append(filling)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (*self._filling, self._listening):
            each.close()
