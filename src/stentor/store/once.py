"""Keys under which a campaign is started at most once, whoever asks, as often as they ask.

Rules: a key is claimed in the transaction that starts its campaign, so one that could not be started leaves its key
free; a key stays claimed when its campaign is pruned, since what it stands for was sent all the same. Whoever takes a
start back keeps the key with the draft, for its next start, until the draft is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import insert_or_ignore
from stentor.store.tables import flags

_PREFIX = "once/"


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who has a key."""

    campaign_id: str
    at: float
    """Epoch seconds of the campaign's start, or of when it was scheduled."""


async def claimed(connection: AsyncConnection, key: str) -> KeyHolder | None:
    """Who has this key; None: nobody."""
    wanted = select(flags.c.value, flags.c.at).where(flags.c.name == f"{_PREFIX}{key}")
    row = (await connection.execute(wanted)).first()
    return None if row is None else KeyHolder(row.value, row.at)


async def claim(connection: AsyncConnection, key: str, campaign_id: str, now: float) -> KeyHolder:
    """Have this key, unless another has it already.

    Returns: who has it now. Of two that ask at once one waits for the other's transaction.
    """
    ours = {"name": f"{_PREFIX}{key}", "value": campaign_id, "at": now}
    await connection.execute(insert_or_ignore(connection, flags).values(**ours))
    found = await claimed(connection, key)
    assert found is not None, "it is there, whoever put it"
    return found


async def release(connection: AsyncConnection, key: str, campaign_id: str) -> None:
    """Have a key free again that this campaign has, as it is not sent after all."""
    await connection.execute(delete(flags).where(flags.c.name == f"{_PREFIX}{key}", flags.c.value == campaign_id))


async def release_all(connection: AsyncConnection, campaign_id: str) -> None:
    """Have every key free again that this campaign has, as it is never sent."""
    await connection.execute(delete(flags).where(flags.c.name.startswith(_PREFIX), flags.c.value == campaign_id))
