"""What the store says of batches that somebody is about to send."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, select

from stentor.queue.contract import Lease
from stentor.recording.contract import Standing, Waiting
from stentor.store.database import Database
from stentor.store.tables import batches

_WAITING = msgspec.msgpack.Decoder(tuple[Waiting, ...])
_COLUMNS = (batches.c.id, batches.c.edition, batches.c.outcomes, batches.c.waiting, batches.c.pending)
_STANDINGS = select(*_COLUMNS).where(batches.c.id.in_(bindparam("ids", expanding=True)))


async def stored(database: Database, leases: Sequence[Lease]) -> dict[str, Standing]:
    """What the store says of some batches, by id; those it doesn't know are absent.

    Raises: StoreUnavailable.
    """
    rows = await database.rows(_STANDINGS, {"ids": [lease.id for lease in leases]})
    return {
        row.id: Standing(
            outcomes=row.outcomes,
            waiting=_WAITING.decode(row.waiting) if row.waiting else (),
            pending=row.pending,
            edition=row.edition or "",
        )
        for row in rows
    }
