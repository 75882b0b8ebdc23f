#!/usr/bin/env bash
# aiohttp: a DELETE whose answer is lost is sent a second time by the client itself, on a new connection as well as on one
# that was used before. The program is not told. It gets the answer to the second one, which finds nothing any more: 404.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 60 --retries 1 aiohttp==3.14.5
"$folder/venv/bin/python" - <<'EOF'
import asyncio
import platform
import sys
from collections import Counter
from importlib.metadata import version

import aiohttp

HEAD = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n"


async def trial(method: str, *, used_before: bool) -> tuple[str, int]:
    """What a program is told of a request whose first answer is lost, and how often the server was asked for it."""
    asked: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            verb = head.split(b" ", 1)[0].decode()
            asked[verb] += 1
            if verb == method and asked[verb] == 1:
                break  # it is done, and the connection is gone before the answer
            writer.write(HEAD % (b"404 Not Found" if verb == method else b"204 No Content"))
        writer.close()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/thing"
    async with aiohttp.ClientSession() as session:
        if used_before:
            await session.head(url)
        try:
            async with session.request(method, url) as answer:
                told = str(answer.status)
        except aiohttp.ClientError as error:
            told = type(error).__name__
    server.close()
    return told, asked[method]


async def main() -> bool:
    print(f"aiohttp {version('aiohttp')}, Python {platform.python_version()}, {platform.system()}")
    print("expected: one request each, and an error that says that nobody knows what became of it")
    seen = {}
    for method, used_before in (("DELETE", False), ("DELETE", True), ("POST", True)):
        told, times = seen[method, used_before] = await trial(method, used_before=used_before)
        how = "used before" if used_before else "new"
        print(f"seen: {method} on a connection that is {how}: told {told}, and asked {times} times")
    return seen == {
        ("DELETE", False): ("404", 2),
        ("DELETE", True): ("404", 2),
        ("POST", True): ("ServerDisconnectedError", 1),
    }


sys.exit(0 if asyncio.run(main()) else 1)
EOF
