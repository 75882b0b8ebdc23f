"""Dead letters as rows: tasks that nobody could work on, whichever queue they were in.

Rules: every function takes the connection of the transaction it is part of; a letter's payload is left where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.tables import dead_letters


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A task that nobody could work on."""

    id: str
    lane: str
    campaign_id: str
    reason: str
    deliveries: int
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
