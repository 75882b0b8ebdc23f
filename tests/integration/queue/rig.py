"""A queue on JetStream and all that belongs to it, as a process has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from nats.js import JetStreamContext

from stentor.config import QueueConfig
from stentor.errors import QueueUnavailable
from stentor.queue.bells import NatsBell
from stentor.queue.contract import Lease
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.nats import Nats
from stentor.queue.outboxes import JetStreamOutbox
from stentor.queue.streams import Streams
from stentor.recording.relay import Relay
from stentor.store.database import Database

LANE = "apns/ios"
HOLD = 3.0
"""Seconds for which these tests hold what they take."""
PATIENCE = 20.0
"""Seconds in which what was lost must be back."""
T = TypeVar("T")


class Rig:
    def __init__(self, url: str, name: str, database: Database, replicas: int = 1) -> None:
        self.nats = Nats(QueueConfig(url=url, name=name))
        self.streams = Streams(self.nats, name, replicas)
        self.queue = JetStreamQueue(self.nats, self.streams, database)
        self.outbox = JetStreamOutbox(self.nats, self.streams)
        self.relay = Relay(database, self.queue, self.outbox)
        self.bell = NatsBell(self.nats, name)

    async def take(self, limit: int = 10, lane: str = LANE, lease: float = HOLD) -> list[Lease]:
        return await self.queue.take(lane, limit, lease)

    async def take_one(self) -> Lease:
        (lease,) = await again(self.take)
        return lease

    async def notes(self) -> dict[str, bytes]:
        """What is in the bucket, by kind."""
        jetstream = await self.nats.jetstream()
        stream = f"KV_{self.streams.notes}"
        info = await jetstream.stream_info(stream, subjects_filter=">")
        return {
            subject.split(".")[2]: (await jetstream.get_last_msg(stream, subject)).data or b""
            for subject in info.state.subjects or {}
        }

    async def jetstream(self) -> JetStreamContext:
        return await self.nats.jetstream()


async def again(do: Callable[[], Awaitable[T]]) -> T:
    """What comes of it when it finds something and NATS is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                if found := await do():
                    return found
            except QueueUnavailable:
                pass
            await asyncio.sleep(0.02)


@asynccontextmanager
async def rig_on(url: str, name: str, database: Database) -> AsyncIterator[Rig]:
    rig = Rig(url, name, database)
    try:
        yield rig
    finally:
        await rig.nats.aclose()


async def until(condition: Callable[[], bool]) -> None:
    """Returns when it holds."""

    async def holds() -> bool:
        return condition()

    await again(holds)


async def until_recorded(rig: Rig) -> None:
    """Returns when recorders have written all that was told of the campaign `c1`."""

    async def is_recorded() -> bool:
        return not await rig.outbox.tasks("c1")

    await again(is_recorded)
