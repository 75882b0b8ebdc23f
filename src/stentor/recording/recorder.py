"""The recorder: makes outcomes durable, and only then lets the queue end a batch's lease.

What comes in while one transaction is under way goes together into the next, so the number of transactions follows
the database's speed and not the number of batches. Rules: a recipient's first terminal outcome is its last, however
often and by whomever a batch is sent again; whatever is told here twice counts once. While the database cannot be
written to, everything waits here, and so do those who told it; nothing is given up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreUnavailable
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Settlement, Standing, Then
from stentor.recording.standings import stored
from stentor.recording.tally import Recorded, RecordTally
from stentor.recording.writing import write
from stentor.store.database import Database

logger = logging.getLogger(__name__)

GATHER = 0.03
"""Seconds for which the first settlement after a while waits for others: a transaction costs as much as several."""
LONGEST_PAUSE = 2.0
"""Seconds between attempts while the database cannot be written to."""


class Recorder:
    """Records what senders tell it. `run` must be going for `record` to return."""

    name = "record"
    notice: str | None = None

    def __init__(self, database: Database, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self._told: list[tuple[Settlement, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self.problem: str | None = None
        """Why nothing can be recorded just now; None while it can."""
        self.tally = RecordTally()
        self.beat: float | None = None
        """When `run` last went round, by the monotonic clock; None while there is nothing to record."""

    async def standings(self, leases: Sequence[Lease]) -> dict[str, Standing]:
        """What is recorded of some batches, by id; those the store doesn't know (yet) are absent.

        Raises: StoreUnavailable.
        """
        return await stored(self._database, leases)

    async def unplanned(self, lease: Lease) -> Settlement:
        """What is queued is planned, in one transaction: this is nothing that anybody here has made."""
        return Settlement(lease=lease, batch=None, outcomes=b"", then=Then.BURY, why="the store doesn't know it")

    async def record(self, settlement: Settlement) -> None:
        """Returns when the settlement is durable and its lease has ended as it says."""
        done = asyncio.get_running_loop().create_future()
        self._told.append((settlement, done))
        self._wake.set()
        told_at = time.monotonic()
        self.tally.waiting += 1
        try:
            await done
        finally:
            self.tally.waiting -= 1
        self.tally.latency.note(time.monotonic() - told_at)

    async def intend(self, settlement: Settlement) -> None:
        """See `recording.contract.Ledger.intend`. It waits until the store can be written to."""
        await self.record(settlement)

    async def run(self) -> None:
        """Record until `stop`; then whatever was told before it is still recorded."""
        pause = 0.0
        while self._told or not self._stopping:
            self.beat = time.monotonic()
            if not self._told:
                self.beat = None
                self._wake.clear()
                await self._wake.wait()
                if not self._stopping:
                    await asyncio.sleep(GATHER)
                continue
            told, self._told = self._told, []
            try:
                await self.commit([settlement for settlement, _ in told])
            except StoreUnavailable as error:
                if self.problem is None:  # once; where the store is away, the store cannot tell anybody
                    logger.warning("outcomes wait to be recorded, and nothing is lost: %s", error)
                self.problem = str(error)
                self._told = told + self._told
                pause = min(LONGEST_PAUSE, pause * 2 or 0.1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                continue
            self.problem = None
            pause = 0.0
            for _, done in told:
                if not done.done():
                    done.set_result(None)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def commit(self, settlements: Sequence[Settlement]) -> None:
        """Record these at once, in a transaction of their own; `run` needn't be going. Raises: StoreUnavailable."""
        news = [settlement for settlement in settlements if settlement.outcomes or settlement.waiting]
        recorded = Recorded()

        async def change(connection: AsyncConnection) -> None:
            nonlocal recorded
            recorded = await write(connection, news, self._clock())

        await self._queue.settle(
            change if news else None,
            ack=[each.lease for each in settlements if each.then is Then.ACK],
            release=[(each.lease, each.delay) for each in settlements if each.then is Then.RELEASE],
            bury=[(each.lease, each.why) for each in settlements if each.then is Then.BURY],
        )
        self.tally.commits += bool(news)
        self.tally.outcomes.update(recorded)
