"""The queue that the settings ask for, and what goes with it: who keeps the books, and how news gets around.

[queue] without a url   tasks in the store itself; senders record in its transactions
[queue] url = "nats…"   tasks in JetStream; senders tell recorder processes, which write to the store
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from stentor.config import Config, lanes
from stentor.meter import Meter
from stentor.pace.board import Board, SqlBoard
from stentor.pipeline import Ports
from stentor.queue.contract import Outbox, Queue
from stentor.queue.sql import SqlQueue
from stentor.recording.recorder import Recorder
from stentor.recording.relay import Relay
from stentor.runtime.bell import Bell, LocalBell
from stentor.runtime.desk import StoreDesk
from stentor.runtime.sources import ConfiguredSources
from stentor.store.database import SQLITE, Database


class QueueLink(Protocol):
    """A connection to a queue's servers."""

    @property
    def problem(self) -> str | None:
        """Why they cannot be reached just now; None while they can."""

    async def aclose(self) -> None: ...


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
    link: QueueLink | None
    """To a queue that isn't in the store."""

    async def ready(self) -> None:
        """See that it can be used.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        if self.link is not None:
            await self.queue.depths(())

    @property
    def problem(self) -> str | None:
        """Why the queue cannot be reached just now, where that isn't the store; None while it can."""
        return None if self.link is None else self.link.problem

    async def aclose(self) -> None:
        if self.link is not None:
            await self.link.aclose()


def open_backend(config: Config, database: Database, clock: Callable[[], float]) -> Backend:
    """The queue of these settings. Nothing is connected yet."""
    if config.queue.url is None:
        queue = SqlQueue(database, clock if database.dialect == SQLITE else None)
        recorder = Recorder(database, queue, clock)
        local = SqlBoard(database)
        return Backend(queue=queue, ledger=recorder, outbox=None, board=local, bell=LocalBell(), link=None)
    from stentor.runtime.jetstream import open_jetstream  # noqa: PLC0415 - NATS takes a sixth of a second to load

    return open_jetstream(config.queue, database, clock)


def ports_for(
    config: Config,
    database: Database,
    backend: Backend,
    sources: ConfiguredSources,
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
        desk=StoreDesk(database, clock, backend.bell),
        settings=config.sending,
        lanes=tuple(lanes(config)),
        clock=clock,
        meter=meter,
    )
