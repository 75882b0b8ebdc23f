"""Deletes campaigns that ended long ago, with all that is known of their recipients, and old rows of the log.

Rules: a campaign is deleted whole, or named as being deleted until it is; only one that has ended and whose recipients
all have an outcome; none that another one still reads (a retry, an undo). It goes in small transactions, so that nobody
who sends waits for long. Keys of `send --once` stay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.errors import StoreUnavailable
from stentor.states import FINAL
from stentor.store.caring import decode_care
from stentor.store.database import Database
from stentor.store.tables import actions, batches, campaigns, chains, dead_letters, failures, tasks

DAY = 86_400.0
LEAST = DAY
"""Seconds for which a campaign is kept at least: what is told late of it must find it."""
AT_ONCE, ACTIONS_AT_ONCE = 100, 5000
"""Batches, and rows of the log of actions, that are deleted in one transaction."""
INTERVAL = 3600.0
"""Seconds between two looks of a scheduler."""
BEING_PRUNED = "it is being pruned: what became of its recipients is no longer all there"
_ENDED = tuple(state.value for state in FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """What would be deleted."""

    campaigns: Sequence[str] = ()
    """Their ids, the oldest first."""
    recipients: int = 0
    failures: int = 0
    oldest: float | None = None
    """Epoch seconds at which the first of them ended; None if there are none."""


async def prunable(connection: AsyncConnection, before: float) -> Prunable:
    """Campaigns that ended before a moment (epoch seconds) and can be deleted."""
    pending = exists().where(batches.c.campaign_id == campaigns.c.id, batches.c.pending > 0)
    ended = select(campaigns.c.id, campaigns.c.finished_at).where(
        campaigns.c.state.in_(_ENDED), campaigns.c.finished_at < before, ~pending
    )
    rows = (await connection.execute(ended.order_by(campaigns.c.finished_at, campaigns.c.id))).all()
    needed = await _needed(connection)
    found = [row for row in rows if row.id not in needed]
    ids = [row.id for row in found]
    recipients = select(func.coalesce(func.sum(batches.c.size), 0)).where(batches.c.campaign_id.in_(ids))
    failed = select(func.count()).where(failures.c.campaign_id.in_(ids))
    return Prunable(
        campaigns=ids,
        recipients=int((await connection.execute(recipients)).scalar_one()),
        failures=int((await connection.execute(failed)).scalar_one()),
        oldest=found[0].finished_at if found else None,
    )


async def prune(database: Database, before: float, on_step: Callable[[], None] = lambda: None) -> Prunable:
    """Delete those of `prunable`. Calling it again goes on where it could not end.

    Args:
        on_step: called after each transaction.

    Returns: what was deleted. Raises: StoreUnavailable.
    """
    found = await database.ask(lambda connection: prunable(connection, before))
    for campaign_id in found.campaigns:
        await _prune_one(database, campaign_id, on_step)
    return found


async def prune_actions(database: Database, before: float, on_step: Callable[[], None] = lambda: None) -> int:
    """Delete the rows of the log of who did what that are older than a moment (epoch seconds).

    Returns: how many. Raises: StoreUnavailable.
    """

    async def some(connection: AsyncConnection) -> int:
        oldest = select(actions.c.id, actions.c.at).order_by(actions.c.id).limit(ACTIONS_AT_ONCE).subquery()
        chosen = select(oldest.c.id).where(oldest.c.at < before)
        return int((await connection.execute(delete(actions).where(actions.c.id.in_(chosen)))).rowcount)

    deleted = 0
    while gone := await database.write(some):
        deleted += gone
        on_step()
    return deleted


async def _prune_one(database: Database, campaign_id: str, on_step: Callable[[], None]) -> None:
    async def mark(connection: AsyncConnection) -> None:
        await connection.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(problem=BEING_PRUNED))

    async def some(connection: AsyncConnection) -> int:
        chosen = select(batches.c.id).where(batches.c.campaign_id == campaign_id).limit(AT_ONCE)
        gone = await connection.execute(delete(batches).where(batches.c.id.in_(chosen)))  # failures and receipts, too
        return int(gone.rowcount)

    async def rest(connection: AsyncConnection) -> None:
        for table in (tasks, dead_letters, chains):
            await connection.execute(delete(table).where(table.c.campaign_id == campaign_id))
        await connection.execute(delete(campaigns).where(campaigns.c.id == campaign_id))

    await database.write(mark)
    while await database.write(some):
        on_step()
    await database.write(rest)


async def _needed(connection: AsyncConnection) -> set[str]:
    """The ids of campaigns that others, which have not ended, read."""
    query = select(campaigns.c.audience, campaigns.c.care).where(campaigns.c.state.not_in(_ENDED))
    rows = (await connection.execute(query)).all()
    selections = [msgspec.json.decode(bytes(row.audience), type=Selection) for row in rows]
    named = {
        each
        for selection in selections
        for each in (selection.failed_of, selection.reached_by, selection.addresses_of)
        if each
    }
    return named.union(*(decode_care(row.care).not_reached_by for row in rows))


class Pruner:
    """Prunes by the clock, in a scheduler."""

    name = "prune"
    notice: str | None = None

    def __init__(self, database: Database, clock: Callable[[], float], keep: float) -> None:
        """Args:
        clock: epoch seconds.
        keep: seconds for which campaigns are kept after their end, and rows of the log of actions.
        """
        self._database = database
        self._clock = clock
        self._keep = max(LEAST, keep)
        self.beat: float | None = None
        self.problem: str | None = None

    async def run(self) -> None:
        """Look every INTERVAL seconds, for ever."""
        while True:
            self._go_round()
            try:
                before = self._clock() - self._keep
                await prune(self._database, before, self._go_round)
                await prune_actions(self._database, before, self._go_round)
                self.problem = None
            except StoreUnavailable as error:
                self.problem = str(error)
            self.beat = None
            await asyncio.sleep(INTERVAL)

    def _go_round(self) -> None:
        self.beat = time.monotonic()
