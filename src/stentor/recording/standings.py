"""What is known of batches that somebody is about to send: from the store, and with what isn't written there yet.

Rules: merging is the same in any order and however often; a recipient's first terminal outcome is its last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import bindparam, select

from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.contract import Receipt, Standing, Waiting
from stentor.recording.receipts import merged_receipts
from stentor.recording.writing import merge_outcomes
from stentor.store.database import Database
from stentor.store.tables import batches

_WAITING = msgspec.msgpack.Decoder(tuple[Waiting, ...])
_PENDING = bytes([Outcome.PENDING])
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


def merged(
    standing: Standing, outcomes: bytes, waiting: Iterable[Waiting], receipts: Iterable[Receipt] = ()
) -> Standing:
    """A standing with what else is known. `outcomes` may be empty, where nothing is new; what is of another number of
    recipients than the batch has is left out."""
    known = bytes(standing.size) if standing.outcomes is None else standing.outcomes
    if len(outcomes) not in (0, len(known)):
        return standing
    if outcomes:
        known = merge_outcomes(known, outcomes)
    latest = {each.position: each for each in standing.waiting}
    for each in waiting:
        other = latest.get(each.position)
        if other is None or each.tries >= other.tries:
            latest[each.position] = each
    still = tuple(each for at, each in sorted(latest.items()) if known[at : at + 1] == _PENDING)
    pending = known.count(Outcome.PENDING)
    return Standing(
        outcomes=known,
        waiting=still,
        receipts=merged_receipts(standing.receipts, receipts),
        pending=pending,
        edition=standing.edition,
    )
