"""The backend on NATS JetStream; apart from `ports.py`, so that who doesn't use NATS needn't load its client."""

from __future__ import annotations

from collections.abc import Callable

from stentor.config import QueueConfig
from stentor.queue.bells import NatsBell
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
