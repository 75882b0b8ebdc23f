"""The recorder as a role: takes outcomes from the stream, many at a time, and writes them to the store in one go.

Rules: a message is acked only when it is durable in the store; one that cannot be read, or that kills whoever records
it, is put aside, which is on record before, since its batch will be found lost; one of a newer Stentor is left to a
newer recorder; while the store is away nothing is held: what was taken is put back, since an outage is nobody's death,
and nothing is taken before the store answers again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.config import SendingConfig
from stentor.errors import BatchTooNew, BatchUnreadable, StoreUnavailable
from stentor.meter import Meter
from stentor.queue.contract import Lease, Outbox
from stentor.recording.contract import Settlement
from stentor.recording.refused import write_around
from stentor.recording.tally import Recorded, RecordTally
from stentor.recording.tidings import settlement_of
from stentor.recording.writing import write
from stentor.store.database import Database
from stentor.store.letters import DeadLetter, bury_outcomes

logger = logging.getLogger(__name__)

AT_ONCE = 200
"""Messages that are written in one transaction at most."""
GATHER = 0.05
"""Seconds between two looks into the stream: a transaction for many costs about as much as one for a few."""
SUSPECT = 2
"""Deliveries from which a message is written alone, last, and while no other such is held: if it kills its recorder,
that counts for it alone."""
LONGEST_PAUSE = 2.0
"""Seconds between attempts while the store cannot be written to."""


class RecordWorker:
    """Records what senders tell until it is told to stop."""

    name = "record"
    notice: str | None = None

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        settings: SendingConfig,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._meter = meter or Meter()
        self._stopping = asyncio.Event()
        self._store_away = True  # until it answers once: one that begins during an outage takes nothing either
        self.tally = RecordTally()
        self.problem: str | None = None
        """Why nothing can be recorded just now; None while it can."""
        self.beat: float | None = None
        """When `run` last went round, by the monotonic clock."""

    def stop(self) -> None:
        """Take nothing more; `run` returns when what was taken is recorded."""
        self._stopping.set()

    async def run(self) -> None:
        """Record until `stop`."""
        pause = 0.0
        while not self._stopping.is_set():
            self.beat = time.monotonic()
            if self._store_away and not await self._answers():
                pause = min(LONGEST_PAUSE, pause * 2 or 0.1)
                await self._pause(pause * random.uniform(0.5, 1.0))
                continue
            pause = 0.0
            leases = await self._take()
            if leases:
                await self._record(leases)
            if len(leases) < AT_ONCE:
                await self._pause(GATHER)

    async def _answers(self) -> bool:
        """Whether the store can be written to again."""
        try:
            await self._database.write(_nothing)
        except StoreUnavailable as error:
            self._complain(error)
            return False
        self._store_away = False
        return True

    async def _take(self) -> list[Lease]:
        try:
            leases = await self._meter.during("take", self._outbox.take(AT_ONCE, self._settings.lease))
        except StoreUnavailable as error:
            self._complain(error)
            await self._pause(LONGEST_PAUSE / 4)
            return []
        self.problem = None
        return leases

    async def _record(self, leases: Sequence[Lease]) -> None:
        """See these through to the store."""
        settlements = await self._read(leases)
        if others := [each for each in settlements if each.lease.deliveries <= SUSPECT]:
            await self._see_through(others)
        if suspects := [each for each in settlements if each.lease.deliveries > SUSPECT]:
            random.shuffle(suspects)
            suspect, *rest = suspects
            if self._store_away:
                rest = suspects
            await self._quietly(self._outbox.put_back([each.lease for each in rest]))
            if not self._store_away:
                await self._see_through([suspect])

    async def _see_through(self, settlements: Sequence[Settlement]) -> None:
        leases = [each.lease for each in settlements]
        holding = asyncio.create_task(self._hold(leases))
        try:
            written = await self._meter.during("write", self._write(settlements))
        finally:
            holding.cancel()
        self._store_away = not written
        await self._quietly(self._outbox.ack(leases) if written else self._outbox.put_back(leases))

    async def _hold(self, leases: Sequence[Lease]) -> None:
        """Keep them while the store takes its time: to be given out again would count as our death."""
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            await self._quietly(self._outbox.extend(leases))

    async def _read(self, leases: Sequence[Lease]) -> list[Settlement]:
        found = []
        for lease in leases:
            try:
                settlement = settlement_of(lease)
                if lease.deliveries > self._settings.deliveries:
                    raise BatchUnreadable(f"{lease.deliveries - 1} recorders died while they held it")
                found.append(settlement)
            except BatchTooNew as error:
                await self._leave(lease, error)
            except BatchUnreadable as error:
                await self._bury(lease, str(error))
        return found

    async def _bury(self, lease: Lease, reason: str) -> None:
        """Put it aside, once it is on record: whoever finds its batch lost must know how often that has been so."""
        logger.error("outcomes of batch %s are put aside: %s", lease.id, reason, extra=lease.facts)
        letter = DeadLetter(
            id=lease.id,
            lane=lease.lane,
            campaign_id=lease.campaign_id,
            reason=reason,
            deliveries=1,
            at=self._clock(),
        )

        async def change(connection: AsyncConnection) -> None:
            await bury_outcomes(connection, letter, lease.payload)

        try:
            await self._database.write(change)
        except StoreUnavailable as error:
            self._complain(error)
            self._store_away = True
            await self._quietly(self._outbox.put_back([lease]))
            return
        await self._quietly(self._outbox.bury(lease, reason))

    async def _leave(self, lease: Lease, error: BatchTooNew) -> None:
        """To a newer recorder: it comes back when its lease ends. Before that looks like deaths, it is sent anew."""
        said = "outcomes of batch %s are left to a newer Stentor's recorder: %s"
        logger.warning(said, lease.id, error, extra=lease.facts)
        if lease.deliveries >= self._settings.deliveries:
            await self._quietly(self._send_anew(lease))

    async def _send_anew(self, lease: Lease) -> None:
        await self._outbox.send(lease, [lease.payload])
        await self._outbox.ack([lease])

    async def _write(self, settlements: Sequence[Settlement]) -> bool:
        """Whether they are durable now, or put aside."""
        try:
            refused = await write_around(settlements, self._commit)
        except StoreUnavailable as error:
            self._complain(error)
            return False
        self.problem = None
        for settlement, why in refused:
            await self._quietly(self._outbox.bury(settlement.lease, str(why)))
        return True

    async def _commit(self, settlements: Sequence[Settlement]) -> None:
        """Raises: StoreUnavailable. StoreRefused: nothing was written."""
        now = self._clock()

        async def change(connection: AsyncConnection) -> Recorded:
            return await write(connection, settlements, now)

        recorded = await self._database.write(change)
        self.tally.commits += 1
        self.tally.outcomes.update(recorded)
        for each in settlements:
            self.tally.latency.note(max(0.0, now - (each.at or now)))

    async def _quietly(self, doing: Awaitable[None]) -> None:
        """What fails here comes back, and recording twice changes nothing."""
        try:
            await doing
        except StoreUnavailable as error:
            self._complain(error)

    def _complain(self, error: StoreUnavailable) -> None:
        if self.problem is None:
            logger.warning("outcomes wait to be recorded, and nothing is lost: %s", error)
        self.problem = str(error)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


async def _nothing(_connection: AsyncConnection) -> None:
    """A change that changes nothing: that it can be made tells that the store is there."""
