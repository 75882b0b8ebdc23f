"""The backend on NATS JetStream; apart from `ports.py`, so that who doesn't use NATS needn't load its client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

from stentor.config import QueueConfig
from stentor.errors import StentorError
from stentor.queue.boards import JetStreamBoard
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.nats import Nats
from stentor.queue.outboxes import JetStreamOutbox
from stentor.queue.streams import Streams
from stentor.recording.relay import Relay
from stentor.runtime.backend import Backend
from stentor.store.database import Database


def open_jetstream(config: QueueConfig, database: Database, clock: Callable[[], float]) -> Backend:
    """The queue on these servers. Nothing is connected yet."""
    nats = Nats(config)
    streams = Streams(nats, config.name, config.replicas)
    queue = JetStreamQueue(nats, streams, database, clock)
    outbox = JetStreamOutbox(nats, streams)
    return Backend(
        queue=queue,
        ledger=Relay(database, queue, outbox, clock),
        outbox=outbox,
        board=JetStreamBoard(nats, streams),
        bell=NatsBell(nats, config.name),
        link=nats,
    )


class NatsBell:
    """A subject that every process of one `[queue]` subscribes to."""

    INTERVAL = 0.5
    """Seconds between two looks where it isn't rung."""

    PATIENCE = 1.0
    """Seconds for which ringing takes at most."""

    def __init__(self, nats: Nats, name: str) -> None:
        self._nats = nats
        self._subject = f"{name}.bell"
        nats.spare(self._subject)
        self._client: Client | None = None
        self._rung = asyncio.Event()

    async def ring(self) -> None:
        """See `Bell.ring`."""
        try:
            async with asyncio.timeout(self.PATIENCE), self._nats.trouble():
                client = await self._nats.client()
                await client.publish(self._subject, b"")
                await client.flush()
        except (StentorError, TimeoutError):
            return

    async def wait(self) -> None:
        """See `Bell.wait`."""
        try:
            async with asyncio.timeout(self.INTERVAL):
                await self._listen()
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()

    async def _listen(self) -> None:
        try:
            async with self._nats.trouble():
                client = await self._nats.client()
                if client is not self._client:
                    await client.subscribe(self._subject, cb=self._hear)
                    self._client = client
        except StentorError:
            return

    async def _hear(self, _message: Msg) -> None:
        self._rung.set()
