"""What the queue should have of campaigns that are being planned, and may have lost: their next steps.

The store knows each chain's next step, so a queue that was emptied, replaced, or put to just before its planner died
gets them again. Rules: putting what is there already changes nothing, and neither does a step that was done meanwhile;
so any number of caretakers may work at once.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
from sqlalchemy import and_, select

from stentor.errors import StoreUnavailable
from stentor.planning.planner import Step, start_task, step_task
from stentor.queue.contract import Queue
from stentor.states import CampaignState
from stentor.store.database import Database
from stentor.store.tables import campaigns, chains

INTERVAL = 5.0
"""Seconds between two looks."""
_PLANNED = (CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.CANCELLING)
_OPEN = (
    select(campaigns.c.id, campaigns.c.revision, chains.c.chain, chains.c.next)
    .select_from(campaigns.outerjoin(chains, and_(chains.c.campaign_id == campaigns.c.id, ~chains.c.done)))
    .where(campaigns.c.state.in_([state.value for state in _PLANNED]), ~campaigns.c.planned)
)


class Caretaker:
    """Puts next steps that a queue may have lost."""

    name = "schedule"
    notice: str | None = None

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue
        self.beat: float | None = None
        """When `run` last went round, by the monotonic clock."""
        self.problem: str | None = None
        """Why it could not look the last time; None where it could."""

    async def run(self) -> None:
        """Look every INTERVAL seconds, for ever."""
        while True:
            self.beat = time.monotonic()
            try:
                await self.look()
                self.problem = None
            except StoreUnavailable as error:
                self.problem = str(error)
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Raises: StoreUnavailable."""
        put = []
        for row in await self._database.rows(_OPEN):
            if row.chain is None:
                put.append(start_task(row.id, row.revision))
            elif row.next is not None:
                put.append(step_task(row.id, msgspec.msgpack.decode(row.next, type=Step)))
        if put:
            await self._queue.settle(put=put)
