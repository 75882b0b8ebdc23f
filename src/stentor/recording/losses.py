"""Batches that are pending and that nobody will ever take: a queue in a storage of its own may lose what it was given.

The store, the queue and the outbox cannot be read in one snapshot, so they are read one after the other, in the order
in which a batch goes through them backwards: whoever was pending, then was neither queued nor on the way to the
recorders, and still is pending, was lost between. Rules: what only moves on while it is looked for is never called
lost; where the queue or the outbox cannot be reached, nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, Text, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.queue.contract import Outbox, Queue
from stentor.recording.contract import Settlement
from stentor.recording.writing import write
from stentor.store.database import SQLITE, Database
from stentor.store.tables import batches

_PENDING = (
    select(batches.c.id)
    .where(batches.c.campaign_id == bindparam("campaign"), batches.c.pending > 0, batches.c.wave.is_(None))
    .order_by(batches.c.id)
)
_STILL_AMONG_FEW = (
    select(batches.c.id)
    .where(batches.c.id.in_(bindparam("ids", expanding=True)), batches.c.pending > 0)
    .order_by(batches.c.id)
)
_STILL_AMONG_LIST = (
    select(batches.c.id)
    .where(batches.c.id == any_(bindparam("ids", type_=ARRAY(Text, dimensions=1))), batches.c.pending > 0)
    .order_by(batches.c.id)
)
AT_ONCE = 10_000
"""Ids that SQLite is asked for at a time."""


class Losses:
    """Finds what a queue has lost, and settles who of it cannot be sent to again."""

    def __init__(self, database: Database, queue: Queue, outbox: Outbox | None) -> None:
        """Args:
        outbox: None where senders record in the queue's own transactions.
        """
        self._database = database
        self._queue = queue
        self._outbox = outbox

    async def find(self, campaign_id: str) -> list[str]:
        """The ids of a campaign's batches that are lost, in order.

        Raises: StoreUnavailable.
        """
        pending = [row.id for row in await self._database.rows(_PENDING, {"campaign": campaign_id})]
        if not pending:
            return []
        known = set(await self._queue.queued(campaign_id))
        if self._outbox is not None:
            known |= await self._outbox.tasks(campaign_id)
        return await self._still_pending([each for each in pending if each not in known])

    async def settle(self, settlements: Sequence[Settlement], now: float) -> None:
        """Write down how recipients of lost batches end. `now` in epoch seconds. Raises: StoreUnavailable."""

        async def change(connection: AsyncConnection) -> None:
            await write(connection, settlements, now)

        await self._database.write(change)

    async def _still_pending(self, suspects: Sequence[str]) -> list[str]:
        if not suspects:
            return []
        if self._database.dialect != SQLITE:
            return [row.id for row in await self._database.rows(_STILL_AMONG_LIST, {"ids": suspects})]
        found: list[str] = []
        for start in range(0, len(suspects), AT_ONCE):
            some = suspects[start : start + AT_ONCE]
            found += [row.id for row in await self._database.rows(_STILL_AMONG_FEW, {"ids": some})]
        return found
