"""What the queue should have of campaigns that are being planned, and may have lost: their next steps.

The store knows each chain's next step, so a queue that was emptied, replaced, or put to just before its planner died
gets them again; that of a wave it gets when the wave is about to begin. Rules: putting what is there already changes
nothing, and neither does a step that was done meanwhile; so any number of caretakers may work at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Row, and_, or_, select

from stentor.errors import StoreUnavailable
from stentor.planning.division import Wave
from stentor.planning.planner import Step, start_task, step_task
from stentor.queue.contract import Queue
from stentor.states import CampaignState
from stentor.store.database import Database
from stentor.store.tables import WAVES, campaigns, chains

INTERVAL = 5.0
"""Seconds between two looks."""
AHEAD = 3 * INTERVAL
"""Seconds before its wave begins in which a step is put: it waits in the queue then, and begins in time."""
_ENDING = (CampaignState.CANCELLING, CampaignState.FAILED)
_PLANNED = (CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED, *_ENDING)
_OPEN = (
    select(*(campaigns.c[name] for name in ("id", "state", "revision", "released_at")), chains.c.chain, chains.c.next)
    .select_from(campaigns.outerjoin(chains, and_(chains.c.campaign_id == campaigns.c.id, ~chains.c.done)))
    .where(
        campaigns.c.state.in_([state.value for state in _PLANNED]),
        ~campaigns.c.planned,
        or_(campaigns.c.state != CampaignState.FAILED.value, chains.c.chain.startswith(WAVES)),  # the rest is unread
    )
)


class Caretaker:
    """Puts next steps that a queue may have lost."""

    name = "schedule"
    notice: str | None = None

    def __init__(self, database: Database, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        """Args:
        clock: epoch seconds.
        """
        self._database = database
        self._queue = queue
        self._clock = clock
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

    async def look(self, campaign_id: str | None = None) -> None:
        """Put what is missing.

        Args:
            campaign_id: None: of all campaigns.

        Raises: StoreUnavailable.
        """
        put = []
        soon = self._clock() + AHEAD
        for row in await self._database.rows(
            _OPEN if campaign_id is None else _OPEN.where(campaigns.c.id == campaign_id)
        ):
            if row.chain is None:
                put.append(start_task(row.id, row.revision))
            elif row.next is not None:
                step = msgspec.msgpack.decode(row.next, type=Step)
                if step.wave is None or row.state in _ENDING or _may_begin(step.wave, row, soon):
                    put.append(step_task(row.id, step))
        if put:
            await self._queue.settle(put=put)


def _may_begin(wave: Wave, row: Row[Any], soon: float) -> bool:
    """Whether a wave is about to begin, with nothing to wait for: steps that wait in the queue are looked at again and
    again, and a pause or a release may take days."""
    paused = row.state == CampaignState.PAUSED.value
    return wave.at <= soon and not paused and not (wave.gated and row.released_at is None)
