"""The queue that the settings ask for, and what goes with it: who keeps the books, and how news gets around.

[queue] without a url   tasks in the store itself; senders record in its transactions
[queue] url = "nats…"   tasks in JetStream; senders tell recorder processes, which write to the store
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from stentor.config import Config, lanes
from stentor.meter import Meter
from stentor.pipeline import Ports
from stentor.queue.boards import JetStreamBoard
from stentor.queue.contract import Outbox, Queue
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.nats import Nats
from stentor.queue.outboxes import JetStreamOutbox
from stentor.queue.sql import SqlQueue
from stentor.queue.streams import Streams
from stentor.recording.recorder import Recorder
from stentor.recording.relay import Relay
from stentor.runtime.bell import Bell, LocalBell, NatsBell
from stentor.runtime.desk import Desk
from stentor.runtime.sources import Sources
from stentor.senders.board import Board, SqlBoard
from stentor.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One configuration's queue."""

    queue: Queue
    ledger: Recorder | Relay
    """The senders'."""
    outbox: Outbox | None
    """Where recorder processes find their work; None where there are none."""
    board: Board
    bell: Bell
    nats: Nats | None

    async def ready(self) -> None:
        """See that it can be used.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        if isinstance(self.queue, JetStreamQueue):
            await self.queue.depths(())

    @property
    def problem(self) -> str | None:
        """Why the queue cannot be reached just now, where that isn't the store; None while it can."""
        return None if self.nats is None else self.nats.problem

    async def aclose(self) -> None:
        if self.nats is not None:
            await self.nats.aclose()


def open_backend(config: Config, database: Database, clock: Callable[[], float]) -> Backend:
    """The queue of these settings. Nothing is connected yet."""
    if config.queue.url is None:
        queue = SqlQueue(database, clock)
        recorder = Recorder(database, queue, clock)
        local = SqlBoard(database)
        return Backend(queue=queue, ledger=recorder, outbox=None, board=local, bell=LocalBell(), nats=None)
    nats = Nats(config.queue)
    streams = Streams(nats, config.queue.name, config.queue.replicas)
    jetstream = JetStreamQueue(nats, streams, database, clock)
    outbox = JetStreamOutbox(nats, streams)
    relay = Relay(database, jetstream, outbox, clock)
    bell = NatsBell(nats, config.queue.name)
    board = JetStreamBoard(nats, streams)
    return Backend(queue=jetstream, ledger=relay, outbox=outbox, board=board, bell=bell, nats=nats)


def ports_for(
    config: Config,
    database: Database,
    backend: Backend,
    sources: Sources,
    *,
    meter: Meter,
    clock: Callable[[], float] = time.time,
) -> Ports:
    """What a role works with in one process."""
    return Ports(
        database=database,
        queue=backend.queue,
        ledger=backend.ledger,
        outbox=backend.outbox,
        board=backend.board,
        sources=sources,
        desk=Desk(database, clock, backend.bell),
        settings=config.sending,
        lanes=tuple(lanes(config)),
        clock=clock,
        meter=meter,
    )
