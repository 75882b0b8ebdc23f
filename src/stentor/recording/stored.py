"""What the store says of batches that somebody is about to send."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from stentor.account import Account, decode_waiting
from stentor.queue.contract import Lease
from stentor.store.database import Database
from stentor.store.tables import batches

_COLUMNS = (batches.c.id, batches.c.edition, batches.c.size, batches.c.outcomes, batches.c.waiting)
_ROWS = select(*_COLUMNS).where(batches.c.id.in_(bindparam("ids", expanding=True)))


async def stored(database: Database, leases: Sequence[Lease]) -> dict[str, tuple[str, Account]]:
    """Of some batches their editions and what the store says of them, by id; those it doesn't know are absent. The
    failures and receipts stay where they are.

    Raises: StoreUnavailable.
    """
    rows = await database.rows(_ROWS, {"ids": [lease.id for lease in leases]})
    return {
        row.id: (
            row.edition or "",
            Account(outcomes=row.outcomes or bytes(row.size), waiting=decode_waiting(row.waiting)),
        )
        for row in rows
    }
