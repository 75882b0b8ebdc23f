"""The recorder: makes outcomes durable, and only then lets the queue end a batch's lease.

What comes in while one transaction is under way goes together into the next, so the number of transactions follows
the database's speed and not the number of batches. Rules: a recipient's first terminal outcome is its last, however
often and by whomever a batch is sent again; whatever is told here twice counts once. Of a batch whose lease is
another's by now, or nobody's, only what providers said is recorded: the store's own transaction finds that out, not a
clock. While the database cannot be written to, everything waits here, and so do those who told it; nothing is given up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import unknown
from stentor.errors import LeaseLost, StoreUnavailable
from stentor.queue.contract import FencingQueue, Lease
from stentor.recording.contract import Known, Settlement, Then
from stentor.recording.refused import write_around
from stentor.recording.stored import stored
from stentor.recording.tally import Recorded, RecordTally
from stentor.recording.writing import settled, write
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

    def __init__(self, database: Database, queue: FencingQueue, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self._told: list[tuple[Settlement, asyncio.Future[bool]]] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self.problem: str | None = None
        """Why nothing can be recorded just now; None while it can."""
        self.tally = RecordTally()
        self.beat: float | None = None
        """When `run` last went round, by the monotonic clock; None while there is nothing to record."""

    async def known(self, leases: Sequence[Lease]) -> dict[str, Known]:
        """See `recording.contract.Ledger.known`. The store has all of it."""
        found = await stored(self._database, leases)
        return {name: Known(account=account, beside=unknown(len(account))) for name, (_, account) in found.items()}

    async def unplanned(self, lease: Lease) -> Settlement:
        """What is queued is planned, in one transaction: this is nothing that anybody here has made."""
        return Settlement(lease=lease, batch=None, then=Then.BURY, why="the store doesn't know it")

    async def record(self, settlement: Settlement) -> None:
        """See `recording.contract.Ledger.record`."""
        await self._tell(settlement)

    async def intend(self, settlement: Settlement) -> None:
        """See `recording.contract.Ledger.intend`. It waits until the store can be written to."""
        if not await self._tell(settlement):
            raise LeaseLost(settlement.lease.id)

    async def _tell(self, settlement: Settlement) -> bool:
        """Whether the lease was still held when it was written."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._told.append((settlement, done))
        self._wake.set()
        told_at = time.monotonic()
        self.tally.waiting += 1
        try:
            was_held = await done
        finally:
            self.tally.waiting -= 1
        self.tally.latency.note(time.monotonic() - told_at)
        return was_held

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
                held = await self._commit([settlement for settlement, _ in told])
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
            for settlement, done in told:
                if not done.done():
                    done.set_result(settlement.lease.token in held)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def commit(self, settlements: Sequence[Settlement]) -> None:
        """Record these at once, in a transaction of their own; `run` needn't be going. Raises: StoreUnavailable.

        What the store cannot hold is put aside, and keeps nothing else from being recorded.
        """
        await self._commit(settlements)

    async def _commit(self, settlements: Sequence[Settlement]) -> AbstractSet[str]:
        """Returns: the tokens of those leases that were held still. Raises: StoreUnavailable."""
        held: set[str] = set()

        async def commit(some: Sequence[Settlement]) -> None:
            held.update(await self._commit_at_once(some))

        for settlement, error in await write_around(settlements, commit):
            await self._queue.settle(bury=[(settlement.lease, str(error))])
        return held

    async def _commit_at_once(self, settlements: Sequence[Settlement]) -> AbstractSet[str]:
        """As `_commit`. Raises: StoreUnavailable. StoreRefused: nothing was recorded."""
        held: AbstractSet[str] = frozenset()
        recorded = Recorded()

        async def change(connection: AsyncConnection) -> None:
            nonlocal held, recorded
            held = await self._queue.held(connection, [each.lease for each in settlements])
            news = [each if each.lease.token in held else _without_lease(each) for each in settlements]
            recorded = await write(connection, [each for each in news if each.account], self._clock())
            if lost := {each.lease.id for each in settlements if each.lease.token not in held}:
                await self._queue.end(connection, await settled(connection, lost))

        await self._queue.settle(
            change,
            ack=[each.lease for each in settlements if each.then is Then.ACK],
            release=[(each.lease, each.delay) for each in settlements if each.then is Then.RELEASE],
            put_back=[(each.lease, each.delay) for each in settlements if each.then is Then.PUT_BACK],
            bury=[(each.lease, each.why) for each in settlements if each.then is Then.BURY],
        )
        self.tally.commits += any(each.account for each in settlements)
        self.tally.outcomes.update(recorded)
        return held


def _without_lease(settlement: Settlement) -> Settlement:
    """What may be said of a batch by whom doesn't hold it any more."""
    account = settlement.account
    return replace(settlement, account=account and account.learnt())
