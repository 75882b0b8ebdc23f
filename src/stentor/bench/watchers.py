"""The watchers of `stentor bench api`: one process that follows a campaign's events over many connections.

Run as `python -m stentor.bench.watchers`, its `WatchSpec` as one line of JSON on stdin; prints a line as soon as all
have the whole state, and one JSON object when all have seen the campaign's end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
import uvloop

from stentor.client import Client
from stentor.client.following import END

PATIENCE = 5.0
"""Seconds for which a watcher tries to connect again."""


class WatchSpec(msgspec.Struct, frozen=True):
    """What is watched."""

    url: str
    """The API's."""
    key: str
    campaign: str
    watchers: int


class Watched(msgspec.Struct, frozen=True):
    """What all of them together saw."""

    events: int
    ended: int
    """Watchers that were told of the campaign's end."""
    cpu: float
    """CPU seconds of this process since all were connected."""


@asynccontextmanager
async def watching(spec: WatchSpec, seen: list[Watched]) -> AsyncIterator[None]:
    """Watchers, connected before the context begins; what they saw is added to `seen` once they have seen the end.

    Raises: RuntimeError: they failed; says what they complained of.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stentor.bench.watchers"), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(spec) + b"\n")
        connected = await process.stdout.readline()
        if not connected:
            raise RuntimeError(_complaint((await process.communicate())[1]))
        yield
        result, complaint = await process.communicate()
        if process.returncode:
            raise RuntimeError(_complaint(complaint))
        seen.append(msgspec.json.decode(result, type=Watched))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def _complaint(text: bytes) -> str:
    return f"the watchers failed:\n{text.decode(errors='replace')[-2000:]}"


async def watch(spec: WatchSpec) -> Watched:
    """Follow the campaign to its end."""
    events = ended = connected = 0
    cpu = 0.0

    async def follow(client: Client) -> None:
        nonlocal events, ended, connected, cpu
        first = True
        async with aclosing(client.events(spec.campaign)) as stream:
            async for event in stream:
                events += 1
                ended += event.kind == END
                connected += first
                if first and connected == spec.watchers:
                    cpu = time.process_time()
                    sys.stdout.write("connected\n")
                    sys.stdout.flush()
                first = False

    async with Client(spec.url, spec.key, patience=PATIENCE) as client, asyncio.TaskGroup() as group:
        for _ in range(spec.watchers):
            group.create_task(follow(client))
    return Watched(events, ended, time.process_time() - cpu)


if __name__ == "__main__":
    watched = uvloop.run(watch(msgspec.json.decode(sys.stdin.buffer.readline(), type=WatchSpec)))
    sys.stdout.write(msgspec.json.encode(watched).decode() + "\n")
