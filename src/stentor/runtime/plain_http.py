"""As much of HTTP/1.1 as probes and scrapers need: a server that answers GET, one request a connection, and its client.

A web framework would cost every process 0.15 s of CPU at its start, and 11 MB, for three pages. Rules: what a client
may send is bounded in size and time; nobody can hold more than a few connections; nothing is logged.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from stentor.errors import InvalidConfiguration
from stentor.settings import ADDRESS

LONGEST_REQUEST = 8192
"""Bytes of a request with all its headers."""
PATIENCE = 5.0
"""Seconds within which a request must have come, and its answer must have been read."""
CONNECTIONS = 32
"""Connections at a time; who comes on top of them is turned away."""
LARGEST_ANSWER = 8 * 2**20
"""Bytes that `get` reads at most."""


@dataclass(frozen=True, slots=True)
class PlainPage:
    """An answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


Pages = Callable[[str], Awaitable[PlainPage | None]]
"""What is at a path, without its query; None: nothing."""


class Unanswered(Exception):
    """No answer came from there in time."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, or of `[IPv6]:PORT`. Raises: InvalidConfiguration."""
    found = ADDRESS.fullmatch(text)
    if found is None or (port := int(found["port"])) > 65535:
        raise InvalidConfiguration(
            f"`{text}` is not an address to listen on; give HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464, with port"
            " 0 to let the system choose one"
        )
    return found["six"] or found["host"], port


@asynccontextmanager
async def listening(listen: str, answer: Pages) -> AsyncIterator[str]:
    """Answer requests at `listen` (`HOST:PORT`) for as long as the context lasts.

    Yields: where it listens, with the port that the system chose in place of 0.

    Raises: InvalidConfiguration: it cannot listen there; says why and what to do.
    """
    host, port = parse_address(listen)
    clients: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        try:
            if len(clients) <= CONNECTIONS:
                with suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(PATIENCE):
                        writer.write(await _respond(reader, answer))
                        await writer.drain()
        finally:
            clients.discard(task)
            writer.close()

    try:
        server = await asyncio.start_server(serve, host, port, limit=LONGEST_REQUEST, backlog=CONNECTIONS)
    except OSError as error:
        raise InvalidConfiguration(why_not(host, port, error)) from None
    try:
        bound: tuple[str, int] = server.sockets[0].getsockname()[:2]
        yield f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def get(address: str, path: str, timeout: float = PATIENCE) -> PlainPage:
    """What a `listening` process has at `path`.

    Raises: Unanswered: nobody is there, or took longer than `timeout` seconds.
    """
    host, port = parse_address(address)
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port, limit=LONGEST_REQUEST)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                fields = dict(re.findall(r"^([\w-]+): *(.*?)\r$", head.lower(), re.MULTILINE))
                body = await reader.readexactly(min(int(fields["content-length"]), LARGEST_ANSWER))
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, KeyError, ValueError) as error:
        raise Unanswered(f"{address} does not answer: {str(error) or type(error).__name__}") from None
    return PlainPage(int(head.split(" ", 2)[1]), body, fields.get("content-type", ""))


async def _respond(reader: asyncio.StreamReader, answer: Pages) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return _encode(_plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
    except asyncio.IncompleteReadError as error:
        return _encode(_plain(HTTPStatus.BAD_REQUEST)) if error.partial else b""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return _encode(_plain(HTTPStatus.BAD_REQUEST))
    if words[0] != b"GET":
        return _encode(_plain(HTTPStatus.METHOD_NOT_ALLOWED), "Allow: GET\r\n")
    path = words[1].partition(b"?")[0].decode("latin-1")
    return _encode(await answer(path) or _plain(HTTPStatus.NOT_FOUND))


def _plain(status: HTTPStatus) -> PlainPage:
    return PlainPage(status, f"{status.phrase}\n".encode(), "text/plain; charset=utf-8")


def _encode(response: PlainPage, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
        f"Cache-Control: no-store\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + response.body


def why_not(host: str, port: int, error: OSError) -> str:
    where = f"cannot listen on port {port} of {host}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}: another program listens there; stop that one, or choose another port (0 lets the system choose)"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where}: this user may not; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{where}: this machine has no such address; 127.0.0.1 is for this machine alone, 0.0.0.0 for all"
    return f"{where}: {error.strerror or error}"
