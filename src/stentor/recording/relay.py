"""A sender's ledger where it doesn't write to the store: it tells the recorders, by a durable stream.

A settlement is durable once the stream has it; only then its lease ends. What the store doesn't say yet is had from
the stream and from the note that the last holder left, so that whoever takes a batch again goes on from all that is
known. Rules: while the queue cannot be reached everything waits here, and nothing is given up; a checkpoint that
cannot be left is left the next time.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import BatchTooNew, BatchUnreadable, StoreUnavailable
from stentor.queue.contract import Lease, NotingQueue, Outbox
from stentor.recording.contract import Receipt, Settlement, Standing, Then, Waiting
from stentor.recording.merging import merged
from stentor.recording.standings import stored
from stentor.recording.tally import RecordTally
from stentor.recording.tidings import decode_tidings, encode_tidings
from stentor.store.database import Database
from stentor.store.tables import batches, campaigns

logger = logging.getLogger(__name__)

COMMIT_WAITS = (0.01, 0.02, 0.04, 0.08)
"""Seconds between looks for the rows of batches that were put a moment ago, and whose planner commits them now."""
UNPLANNED_PAUSE = 0.5
"""Seconds after which a batch is looked at again whose row isn't there."""
LONGEST_PAUSE = 2.0
"""Seconds between attempts while the queue cannot be reached."""


class _Left(msgspec.Struct, frozen=True, array_like=True):
    """A note: what its holder knew of a batch."""

    outcomes: bytes
    waiting: tuple[Waiting, ...]
    receipts: tuple[Receipt, ...] = ()


_LEFT = msgspec.msgpack.Decoder(_Left)


class Relay:
    """`recording.contract.Ledger` over an outbox."""

    name = "record"
    notice: str | None = None
    beat: float | None = None

    def __init__(
        self, database: Database, queue: NotingQueue, outbox: Outbox, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._queue = queue
        self._outbox = outbox
        self._clock = clock
        self._stopped = asyncio.Event()
        self._known: dict[str, Standing] = {}
        self.problem: str | None = None
        """Why outcomes cannot be passed on just now; None while they can."""
        self.tally = RecordTally()

    async def run(self) -> None:
        """Until `stop`: nothing needs to go on beside `record`, which waits for what it passes on."""
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    async def standings(self, leases: Sequence[Lease]) -> dict[str, Standing]:
        """See `recording.contract.Ledger.standings`."""
        told = await self._told(leases)  # before the store: a recorder moves it from there to here
        found = await stored(self._database, leases)
        for pause in COMMIT_WAITS:
            if all(lease.id in found for lease in leases):
                break
            await asyncio.sleep(pause)
            found |= await stored(self._database, [lease for lease in leases if lease.id not in found])
        known = {}
        for lease in leases:
            standing = found.get(lease.id)
            if standing is None or standing.edition != lease.edition:
                continue  # `unplanned` says what that means
            if (lefts := told.get(lease.id, ())) is None:
                continue  # it waits until a recorder that understands what was told has written it
            for left in lefts:
                standing = merged(standing, left.outcomes, left.waiting, left.receipts)
            known[lease.id] = standing
        self._known |= known
        return known

    async def unplanned(self, lease: Lease) -> Settlement:
        """A batch that was put, and not planned: its planner is about to commit it, or died and planned it otherwise,
        or the campaign is gone."""

        async def question(connection: AsyncConnection) -> Then:
            row = await connection.execute(select(batches.c.edition).where(batches.c.id == lease.id))
            planned = await connection.execute(select(campaigns.c.planned).where(campaigns.c.id == lease.campaign_id))
            if (batch := row.first()) is not None:
                return Then.RELEASE if (batch.edition or "") == lease.edition else Then.ACK
            return Then.ACK if planned.scalar() in (None, True) else Then.RELEASE

        then = await self._database.ask(question)
        return Settlement(lease=lease, batch=None, outcomes=b"", then=then, delay=UNPLANNED_PAUSE)

    async def record(self, settlement: Settlement) -> None:
        """See `recording.contract.Ledger.record`."""
        lease = settlement.lease
        if settlement.then is Then.KEEP:
            await self._checkpoint(settlement)
            return
        began = time.monotonic()
        self.tally.waiting += 1
        told = self._with_what_was_left(settlement)
        messages = encode_tidings(told, self._clock()) if told.outcomes or told.waiting else []
        pause = 0.05
        try:
            while not await self._pass_on(settlement, messages):
                pause = min(LONGEST_PAUSE, pause * 2)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        finally:
            self.tally.waiting -= 1
            self._known.pop(lease.id, None)
        self.tally.latency.note(time.monotonic() - began)

    async def intend(self, settlement: Settlement) -> None:
        """See `recording.contract.Ledger.intend`: by the note."""
        if not await self._queue.remember(settlement.lease, self._note(settlement)):
            raise StoreUnavailable("the lease has ended")

    async def commit(self, settlements: Sequence[Settlement]) -> None:
        """See `recording.contract.Ledger.commit`."""
        await asyncio.gather(*map(self.record, settlements))

    async def _pass_on(self, settlement: Settlement, messages: list[bytes]) -> bool:
        lease = settlement.lease
        try:
            if messages:
                await self._outbox.send(lease, messages)
                messages.clear()
            match settlement.then:
                case Then.ACK:
                    await self._queue.settle(ack=[lease])
                case Then.BURY:
                    await self._queue.settle(bury=[(lease, settlement.why)])
                case _:
                    await self._queue.release(lease, settlement.delay, self._note(settlement))
        except StoreUnavailable as error:
            if self.problem is None:
                logger.warning("outcomes wait to be passed on, and nothing is lost: %s", error)
            self.problem = str(error)
            return False
        self.problem = None
        return True

    def _with_what_was_left(self, settlement: Settlement) -> Settlement:
        """A settlement that is to be told, and with it what the holder before has left in a note and could tell nobody
        any more: the note goes with the batch."""
        known = self._known.get(settlement.lease.id)
        nothing_new = settlement.then is Then.RELEASE and not settlement.outcomes
        if known is None or not settlement.lease.note or nothing_new:
            return settlement
        whole = merged(known, settlement.outcomes, (), settlement.receipts)
        return replace(settlement, outcomes=whole.outcomes or b"", receipts=whole.receipts)

    async def _checkpoint(self, settlement: Settlement) -> None:
        with suppress(StoreUnavailable):
            await self._queue.remember(settlement.lease, self._note(settlement))

    def _note(self, settlement: Settlement) -> bytes:
        """All that is known of the batch, for whoever takes it next."""
        standing = self._known.get(settlement.lease.id)
        if standing is None:
            return settlement.lease.note or b""
        standing = merged(standing, settlement.outcomes, settlement.waiting, settlement.receipts)
        self._known[settlement.lease.id] = standing
        return msgspec.msgpack.encode(_Left(standing.outcomes or b"", standing.waiting, standing.receipts))

    async def _told(self, leases: Sequence[Lease]) -> dict[str, list[_Left] | None]:
        """What is known beside the store of batches that somebody held before; None where a newer Stentor has told what
        cannot be read here."""
        again = [lease for lease in leases if lease.note is not None]
        messages = await asyncio.gather(*(self._outbox.about(lease) for lease in again))
        return {lease.id: _lefts(lease.note, some) for lease, some in zip(again, messages, strict=True)}


def _lefts(note: bytes | None, messages: Sequence[bytes]) -> list[_Left] | None:
    """A note or a message that is unreadable says nothing: at worst some are sent to again. Of a newer Stentor's
    message we know that there is one, and that it will be in the store."""
    lefts = []
    if note:
        with suppress(msgspec.DecodeError):
            lefts.append(_LEFT.decode(note))
    for message in messages:
        try:
            tidings = decode_tidings(message)
        except BatchTooNew:
            return None
        except BatchUnreadable:
            continue
        lefts.append(_Left(tidings.outcomes, tidings.waiting, tidings.receipts))
    return lefts
