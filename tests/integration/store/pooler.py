"""A pooler before a PostgreSQL server that behaves as PgBouncer does in transaction mode, for tests.

Each transaction gets whichever of a few server connections has rested the longest, so that what a client left on one
(a statement with a name, a setting) is not there in its next transaction, and is there in somebody else's.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from urllib.parse import parse_qs, urlsplit

from stentor.testing.ports import LOOPBACK

SERVERS = 2
_ENCRYPT = 80877103
_PROTOCOL = 196608
_TAKEN = {"user", "database", "client_encoding", "application_name"}
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def pooler(url: str) -> AsyncIterator[str]:
    """The URL of the same database through a pooler. `url` is that of a database on a Unix socket."""
    parts = urlsplit(url)
    database, folder = parts.path[1:], parse_qs(parts.query)["host"][0]
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    opened = [await _connect(folder, database) for _ in range(SERVERS)]
    for each, _ in opened:
        idle.put_nowait(each)
    clients: set[asyncio.Task[None]] = set()
    numbers = count(1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            if await _let_in(reader, writer, opened[0][1], next(numbers)):
                await _relay(reader, writer, idle)
        writer.close()
        clients.discard(task)

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://postgres@{LOOPBACK}:{port}/{database}"
    finally:
        server.close()
        for task in clients:
            task.cancel()
        for (_, writer), _ in opened:
            writer.close()


async def _connect(folder: str, database: str) -> tuple[_Connection, bytes]:
    """A connection to the server, and what it says of its settings."""
    reader, writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
    body = struct.pack("!i", _PROTOCOL) + b"user\0postgres\0database\0" + database.encode() + b"\0\0"
    writer.write(struct.pack("!i", len(body) + 4) + body)
    settings = b""
    while (message := await _message(reader))[:1] != b"Z":
        assert message[:1] != b"E", message
        if message[:1] == b"S":
            settings += message
    return (reader, writer), settings


async def _let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: bytes, number: int) -> bool:
    while True:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        if struct.unpack("!i", body[:4])[0] != _ENCRYPT:
            break
        writer.write(b"N")
    names = {name.decode() for name in body[4:].split(b"\0")[:-2:2]}
    if strange := names - _TAKEN:
        said = f"SFATAL\0C08P01\0Munsupported startup parameter: {min(strange)}\0\0".encode()
        writer.write(b"E" + struct.pack("!i", len(said) + 4) + said)
        return False
    key = b"K" + struct.pack("!iii", 12, number, 4711)  # no process of the server's has this number
    writer.write(b"R" + struct.pack("!ii", 8, 0) + settings + key + b"Z" + struct.pack("!i", 5) + b"I")
    return True


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: asyncio.Queue[_Connection]) -> None:
    incoming = asyncio.create_task(_message(reader))
    while (message := await incoming)[:1] != b"X":
        taken = await idle.get()
        answered = asyncio.create_task(_answer(taken[0], writer))
        try:
            while not answered.done():
                taken[1].write(message)
                incoming = asyncio.create_task(_message(reader))
                await asyncio.wait({incoming, answered}, return_when=asyncio.FIRST_COMPLETED)
                if incoming.done() and not answered.done():
                    message = incoming.result()
        finally:
            answered.cancel()
            idle.put_nowait(taken)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give the client what the server says, until no transaction is open there."""
    while (message := await _message(reader))[:1] != b"Z" or message[5:] != b"I":
        writer.write(message)
    writer.write(message)


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
