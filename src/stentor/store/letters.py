"""Dead letters as rows: tasks that nobody could work on, whichever queue they were in, and what became of batches where
no recorder could write that down.

Rules: every function takes the connection of the transaction it is part of; a letter's payload is left where it is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import SQLITE
from stentor.store.tables import dead_letters

OF_OUTCOMES = "#outcomes"
"""What the id of a batch's outcomes ends in, after the batch's own."""
AT_ONCE = 10_000
"""Ids that one query asks for at most; databases allow some 30,000 parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A task that nobody could work on."""

    id: str
    lane: str
    campaign_id: str
    reason: str
    deliveries: int
    """How often it was taken; of outcomes, how often some of that batch were put aside."""
    at: float
    """Epoch seconds."""


_LATEST = select(*(dead_letters.c[each.name] for each in fields(DeadLetter))).order_by(
    dead_letters.c.at.desc(), dead_letters.c.id
)


async def latest_letters(
    connection: AsyncConnection, campaign_id: str | None = None, *, limit: int | None = None
) -> list[DeadLetter]:
    """The latest first: those of a campaign, or of all."""
    query = _LATEST.limit(limit)
    if campaign_id is not None:
        query = query.where(dead_letters.c.campaign_id == campaign_id)
    return [DeadLetter(**row._mapping) for row in await connection.execute(query)]


async def letters_by_lane(connection: AsyncConnection) -> dict[str, int]:
    """How many there are of each lane that has any."""
    rows = await connection.execute(
        select(dead_letters.c.lane, func.count().label("many")).group_by(dead_letters.c.lane)
    )
    return {row.lane: row.many for row in rows}


async def bury_outcomes(connection: AsyncConnection, letter: DeadLetter, payload: bytes) -> None:
    """Put down that outcomes of a batch were put aside, and count how often that was. The letter's id is the batch's,
    and its `deliveries` are those that are new."""
    dialect = sqlite if connection.dialect.name == SQLITE else postgresql
    insert = dialect.insert(dead_letters)
    latest = {name: insert.excluded[name] for name in ("payload", "reason", "at")}
    total = dead_letters.c.deliveries + insert.excluded.deliveries
    counted = insert.on_conflict_do_update(index_elements=["id"], set_={**latest, "deliveries": total})
    row = {**asdict(letter), "id": letter.id + OF_OUTCOMES, "payload": payload}
    await connection.execute(counted, row)


async def buried_outcomes(connection: AsyncConnection, batch_ids: Collection[str]) -> dict[str, DeadLetter]:
    """The letters of those among some batches, however many, whose outcomes were put aside, by the batch's id."""
    found = {}
    ids = [each + OF_OUTCOMES for each in batch_ids]
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        for row in await connection.execute(_LATEST.where(dead_letters.c.id.in_(some))):
            found[row.id.removesuffix(OF_OUTCOMES)] = DeadLetter(**row._mapping)
    return found
