"""Every recipient of a campaign and what became of it, in the order of the batches: for exports.

Rules: read a few batches at a time, each look a snapshot of its own; who comes while it is read may be missing, and
nobody comes twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from sqlalchemy import select

from stentor.outcome import Outcome
from stentor.recording.audit import KEYS
from stentor.recording.report import Reader
from stentor.store import campaigns
from stentor.store.tables import batches

PAGE = 16
"""Batches that are read at a time."""
WAITING = "waiting"
NAMES = tuple(WAITING if each is Outcome.PENDING else each.name.lower() for each in Outcome)
"""By outcome."""


class RecipientShape(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient of a campaign."""

    installation: str
    lane: str
    outcome: str
    """`accepted`, `rejected`, `expired`, `cancelled`, `ambiguous`, or `waiting` if it has none yet."""
    batch_id: str
    position: int
    """Index in the batch."""


async def recipients(
    reader: Reader,
    campaign_id: str,
    *,
    lane: str | None = None,
    outcome: str | None = None,
    after: tuple[str, int] | None = None,
) -> AsyncIterator[list[RecipientShape]]:
    """All recipients that were read so far, a batch at a time.

    Args:
        lane: only those of one lane.
        outcome: only those that ended so: one of NAMES.
        after: batch and position of the last one that is there already.

    Raises:
        UnknownCampaign: there is no such campaign.
    """
    async with reader.read() as connection:
        await campaigns.get(connection, campaign_id)
    wanted = None if outcome is None else NAMES.index(outcome)
    batch_id, position = after or (f"{campaign_id}/", -1)
    columns = (batches.c.id, batches.c.lane, batches.c.recipients, batches.c.outcomes)
    query = select(*columns).where(batches.c.id < f"{campaign_id}0").order_by(batches.c.id).limit(PAGE)
    if lane is not None:
        query = query.where(batches.c.lane == lane)
    bound = batches.c.id >= batch_id
    while True:
        async with reader.read() as connection:
            rows = (await connection.execute(query.where(bound))).all()
        for row in rows:
            keys = KEYS.decode(row.recipients)
            found = row.outcomes or bytes(len(keys))
            first = position + 1 if row.id == batch_id else 0
            yield [
                RecipientShape(
                    installation=keys[index].decode(),
                    lane=row.lane,
                    outcome=NAMES[found[index]],
                    batch_id=row.id,
                    position=index,
                )
                for index in range(first, len(keys))
                if wanted is None or found[index] == wanted
            ]
        if len(rows) < PAGE:
            return
        bound = batches.c.id > rows[-1].id
