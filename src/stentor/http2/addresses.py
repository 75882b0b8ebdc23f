"""From a host's name to an open socket: all its addresses, tried as RFC 8305 (happy eyeballs) wants it.

A host often has an IPv6 and an IPv4 address, and on many networks one of the two leads nowhere, without a word. So the
next address is tried a quarter of a second after the one before, and the first that takes the connection has it. uvloop
can't do that by itself; `aiohappyeyeballs` does it the same way on each event loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType

HEAD_START = 0.25
"""Seconds an address has before the next one is tried as well (RFC 8305 section 8)."""

Address = AddrInfoType
"""As `getaddrinfo` gives it."""


async def resolve(host: str, port: int) -> list[Address]:
    """All addresses of a host, in the resolver's order.

    Raises: OSError, UnicodeError: the host cannot be resolved.
    """
    return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def open_socket(addresses: Sequence[Address]) -> tuple[socket.socket, Address]:
    """A socket that is connected to one of these addresses, of which there is at least one; and the address.

    Raises: OSError: none of them takes the connection; names each.
    """
    made: dict[socket.socket, Address] = {}  # a peer that has hung up again no longer tells where it was

    def make(address: Address) -> socket.socket:
        found = make_socket(address)
        made[found] = address
        return found

    opened = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=HEAD_START, socket_factory=make)
    return opened, made[opened]


class OwnSocket(socket.socket):
    """A socket that closes nothing but itself.

    uvloop closes a socket whose peer hung up before there was a transport behind the Python object's back. The object
    would close its number again when it is collected, and with that whatever has the number by then: a connection of
    somebody else's, or a file. (uvloop 0.23; asyncio has the object forget it.)
    """

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._own = os.fstat(self.fileno())

    def close(self) -> None:
        """As always, unless somebody else has the number by now."""
        if self.fileno() >= 0 and not _is_open_as(self.fileno(), self._own):
            self.detach()
        super().close()

    def __del__(self) -> None:
        if (number := self.detach()) >= 0 and _is_open_as(number, self._own):
            os.close(number)


def make_socket(address: Address) -> OwnSocket:
    """For whoever connects by itself, as aiohttp does."""
    return OwnSocket(*address[:3])


def _is_open_as(number: int, known: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(number), known)
    except OSError:
        return False


def others(addresses: Sequence[Address], tried: Address) -> list[Address]:
    """The addresses without one that was tried; those of the other family first."""
    left = [address for address in addresses if address != tried]
    return sorted(left, key=lambda address: address[0] == tried[0])
