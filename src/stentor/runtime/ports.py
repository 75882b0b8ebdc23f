"""What a role works with, as the settings ask for it: the queue first of all.

[queue] without a url   tasks in the store itself; senders record in its transactions
[queue] url = "nats…"   tasks in JetStream; senders tell recorder processes, which write to the store
"""

from __future__ import annotations

import time
from collections.abc import Callable

from stentor.config import Config, lanes
from stentor.meter import Meter
from stentor.pace.board import SqlBoard
from stentor.pipeline import Ports
from stentor.queue.sql import SqlQueue
from stentor.recording.pruning import DAY
from stentor.recording.recorder import Recorder
from stentor.runtime.backend import Backend
from stentor.runtime.bell import LocalBell
from stentor.runtime.desk import StoreDesk
from stentor.runtime.sources import ConfiguredSources
from stentor.store.database import SQLITE, Database


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
        caps=config.care.read,
        keep=None if config.store.keep_days is None else config.store.keep_days * DAY,
        clock=clock,
        meter=meter,
    )
