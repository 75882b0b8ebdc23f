"""A queue with a storage of its own that loses it, and a scheduler that is quick to find out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.js import JetStreamContext

from stentor import pipeline
from stentor.meter import Meter
from stentor.runtime.ports import open_backend, ports_for
from stentor.runtime.sources import ConfiguredSources
from stentor.store.database import Database
from tests.integration.kill.stage import Stage

LOST_AFTER = 0.3
"""Seconds, instead of minutes."""


@asynccontextmanager
async def scheduling(stage: Stage) -> AsyncIterator[None]:
    """A scheduler that needn't wait for minutes, meanwhile."""
    config, stop = stage.config, asyncio.Event()
    database = Database.open(config.store.url)
    sources = ConfiguredSources(config, database)
    backend = open_backend(config, database, time.time)
    ports = ports_for(config, database, backend, sources, meter=Meter())
    running = asyncio.create_task(pipeline.schedule(ports, stop, lost_after=LOST_AFTER))
    try:
        yield
        stop.set()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await backend.aclose()
        await sources.aclose()
        await database.aclose()


@asynccontextmanager
async def jetstream(url: str) -> AsyncIterator[JetStreamContext]:
    """Args:
    url: of a server, or of several with commas between them.
    """
    client = await nats.connect(url.split(","))
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def delete_streams(stage: Stage, *only: str) -> None:
    """All that its queue has, or some of it."""
    queue = stage.config.queue
    assert queue.url is not None
    async with jetstream(queue.url) as context:
        for stream in await context.streams_info():
            found = stream.config.name or ""
            if found in [f"{queue.name}_{each}" for each in only] or (
                not only and found.startswith((f"{queue.name}_", f"KV_{queue.name}_"))
            ):
                await context.delete_stream(found)
