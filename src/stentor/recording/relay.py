"""A sender's ledger where it doesn't write to the store: it tells the recorders, by a durable stream.

A settlement is durable once the stream has it; only then its lease ends. What the store doesn't say yet is had from
the stream and from the notes that holders left, so that whoever takes a batch again goes on from all that is known, and
tells all of it: a note goes with the batch, and a stream may be lost. Rules: while the queue cannot be reached
everything waits here, and nothing is given up; a checkpoint that cannot be left is left the next time; what a sender
decided of those whom it didn't send is told only once a note says so, since nobody can leave one whose lease is
another's by now.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Account, decode_account, encode_account, merge, unknown
from stentor.batch import LARGEST_BATCH
from stentor.errors import BatchTooNew, BatchUnreadable, LeaseLost, StoreUnavailable
from stentor.queue.contract import Lease, NotingQueue, Outbox
from stentor.recording.contract import Known, Settlement, Then
from stentor.recording.stored import stored
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
        self.problem: str | None = None
        """Why outcomes cannot be passed on just now; None while they can."""
        self.tally = RecordTally()

    async def run(self) -> None:
        """Until `stop`: nothing needs to go on beside `record`, which waits for what it passes on."""
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    async def known(self, leases: Sequence[Lease]) -> dict[str, Known]:
        """See `recording.contract.Ledger.known`."""
        told = await self._told(leases)  # before the store: a recorder moves it from there to here
        found = await stored(self._database, leases)
        for pause in COMMIT_WAITS:
            if all(lease.id in found for lease in leases):
                break
            await asyncio.sleep(pause)
            found |= await stored(self._database, [lease for lease in leases if lease.id not in found])
        known = {}
        for lease in leases:
            edition, account = found.get(lease.id, (None, None))
            if account is None or edition != lease.edition:
                continue  # `unplanned` says what that means
            if (left := told.get(lease.id, ())) is None:
                continue  # it waits until a recorder that understands what was told has written it
            beside = reduce(merge, left, unknown(len(account)))
            known[lease.id] = Known(account=merge(account, beside), beside=beside)
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
        return Settlement(lease=lease, batch=None, then=then, delay=UNPLANNED_PAUSE)

    async def record(self, settlement: Settlement) -> None:
        """See `recording.contract.Ledger.record`."""
        if settlement.then is Then.KEEP:
            with suppress(StoreUnavailable, LeaseLost):
                await self._remember(settlement)
                await self._show(settlement)
            return
        began = time.monotonic()
        self.tally.waiting += 1
        pause = 0.05
        try:
            untold = _Untold(settlement)
            while not await self._pass_on(untold):
                pause = min(LONGEST_PAUSE, pause * 2)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        finally:
            self.tally.waiting -= 1
        self.tally.latency.note(time.monotonic() - began)

    async def intend(self, settlement: Settlement) -> None:
        """See `recording.contract.Ledger.intend`: by the note."""
        await self._remember(settlement)

    async def commit(self, settlements: Sequence[Settlement]) -> None:
        """See `recording.contract.Ledger.commit`."""
        await asyncio.gather(*map(self.record, settlements))

    async def _remember(self, settlement: Settlement) -> None:
        """Leave a note of all that is known. Raises: LeaseLost, StoreUnavailable."""
        if settlement.account is not None:
            await self._queue.remember(settlement.lease, _note(settlement.account))

    async def _show(self, settlement: Settlement) -> None:
        """Have the store know as well what providers said so far: whoever watches the campaign looks there.

        Raises: StoreUnavailable.
        """
        if settlement.account is not None and (account := settlement.account.learnt()):
            at = self._clock() if settlement.at is None else settlement.at
            await self._outbox.send(settlement.lease, encode_tidings(account, settlement.batch, at))

    async def _pass_on(self, untold: _Untold) -> bool:
        """Whether all of it is durable, and its lease has ended."""
        try:
            await self._tell(untold)
            if untold.then is not Then.KEEP:
                await self._end(untold.settlement)
        except StoreUnavailable as error:
            if self.problem is None:
                logger.warning("outcomes wait to be passed on, and nothing is lost: %s", error)
            self.problem = str(error)
            return False
        self.problem = None
        return True

    async def _tell(self, untold: _Untold) -> None:
        settlement, account = untold.settlement, untold.account
        if not account:
            return
        if untold.needs_note:
            try:
                await self._remember(settlement)
            except LeaseLost:
                account, untold.then = account.learnt(), Then.KEEP
            untold.needs_note = False
        if account:
            at = self._clock() if settlement.at is None else settlement.at
            await self._outbox.send(settlement.lease, encode_tidings(account, settlement.batch, at))
        untold.account = None

    async def _end(self, settlement: Settlement) -> None:
        lease = settlement.lease
        match settlement.then:
            case Then.ACK:
                await self._queue.settle(ack=[lease])
            case Then.BURY:
                await self._queue.settle(bury=[(lease, settlement.why)])
            case Then.PUT_BACK:
                await self._queue.settle(put_back=[(lease, settlement.delay)])
            case _ if settlement.account is None:
                await self._queue.settle(release=[(lease, settlement.delay)])
            case _:
                await self._queue.release(lease, settlement.delay, _note(settlement.account))

    async def _told(self, leases: Sequence[Lease]) -> dict[str, list[Account] | None]:
        """What is known beside the store of batches that somebody held before; None where a newer Stentor has told what
        cannot be read here."""
        again = [lease for lease in leases if lease.notes or lease.inherited]
        messages = await asyncio.gather(*(self._outbox.about(lease) for lease in again))
        return {lease.id: _accounts(lease.notes, some) for lease, some in zip(again, messages, strict=True)}


class _Untold:
    """What is still to be done of a settlement."""

    def __init__(self, settlement: Settlement) -> None:
        self.settlement = settlement
        self.account = settlement.account
        self.then = settlement.then
        self.needs_note = settlement.account is not None and settlement.account.decided


def _note(account: Account) -> bytes:
    return encode_account(account, LARGEST_BATCH)


def _accounts(notes: Sequence[bytes], messages: Sequence[bytes]) -> list[Account] | None:
    """A note or a message that is unreadable says nothing: at worst some are sent to again. Of a newer Stentor's
    message we know that there is one, and that it will be in the store."""
    found = []
    for note in notes:
        if note:
            with suppress(BatchUnreadable):
                found.append(decode_account(note))
    for message in messages:
        try:
            tidings = decode_tidings(message)
        except BatchTooNew:
            return None
        except BatchUnreadable:
            continue
        found.append(tidings)
    return found
