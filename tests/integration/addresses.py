"""Names that lead to several addresses of this machine, of which a test makes some useless."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

Lead = Callable[..., None]


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as tried:
        return tried.connect_ex(("::1", 1)) == errno.ECONNREFUSED


HERE, HERE_TOO = "127.0.0.1", "::1" if has_ipv6() else "127.0.0.2"


@pytest.fixture
def leads(monkeypatch: pytest.MonkeyPatch) -> Lead:
    """Has names lead to addresses, in that order: `leads(localhost=["::1", "127.0.0.1"])`."""

    def lead(**names: list[str]) -> None:
        async def resolve(_: object, host: str, port: int, **__: Any) -> list[Any]:
            return [
                (
                    socket.AF_INET6 if ":" in address else socket.AF_INET,
                    socket.SOCK_STREAM,
                    socket.IPPROTO_TCP,
                    "",
                    (address, port, 0, 0) if ":" in address else (address, port),
                )
                for address in names.get(host, [host])
            ]

        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", resolve, raising=False)

    return lead
