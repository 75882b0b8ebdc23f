"""What every role must know of the campaigns: their states, looked up a few times a second, and their content.

A pause or a cancel reaches a role by this, and the end of a campaign is noticed here. Rules: states are never written
but by the table of moves; a role that cannot reach the store goes on with what it knew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreUnavailable
from stentor.planning.content import decode_content
from stentor.providers.lane import CampaignContent
from stentor.runtime.bell import Bell, LocalBell
from stentor.sending.gate import Problem
from stentor.states import STOPPED, CampaignState
from stentor.store import campaigns
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import batches, lanes
from stentor.store.tables import campaigns as table

_OPEN = (CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.CANCELLING)
_PENDING = sa.exists().where(batches.c.campaign_id == table.c.id, batches.c.pending > 0)
_LOOK = sa.select(table.c.id, table.c.state, table.c.planned, _PENDING.label("pending")).where(
    table.c.state.in_([*_OPEN, CampaignState.FAILED]),  # by the index: of those that ended there may be millions
    sa.or_(table.c.state != CampaignState.FAILED, _PENDING),
)


class StoreDesk:
    """Campaigns as one process sees them. `run` must be going."""

    name = "desk"
    problem: str | None = None
    notice: str | None = None

    def __init__(self, database: Database, clock: Callable[[], float] = time.time, bell: Bell | None = None) -> None:
        self._database = database
        self._clock = clock
        self._bell = bell or LocalBell()
        self._states: dict[str, CampaignState] = {}
        self._contents: dict[str, CampaignContent] = {}
        self.beat: float | None = None
        self.looked_at: float | None = None
        """When the states were last learned, by the monotonic clock."""

    async def run(self) -> None:
        """Look for what has changed, for ever."""
        while True:
            self.beat = time.monotonic()
            await self.look()
            await self._bell.wait()

    async def look(self) -> None:
        """Learn the states, and end the campaigns that are done."""
        try:
            rows = await self._database.rows(_LOOK)
            self._states = {row.id: CampaignState(row.state) for row in rows}
            self.looked_at = time.monotonic()
            ending = (CampaignState.RUNNING, CampaignState.CANCELLING)
            if done := [row.id for row in rows if row.planned and not row.pending and row.state in ending]:
                await self._finish(done)
        except StoreUnavailable:
            return

    async def state(self, campaign_id: str) -> CampaignState:
        """A campaign's state, a fraction of a second old at most. Raises: UnknownCampaign, StoreUnavailable."""
        known = self._states.get(campaign_id)
        if known is None:
            campaign = await self._database.ask_one(lambda connection: campaigns.get(connection, campaign_id))
            known = campaign.state
        return known

    def halted(self, campaign_id: str) -> bool:
        """Whether nothing of it may be sent just now, as far as is known without asking."""
        state = self._states.get(campaign_id)
        return state is CampaignState.PAUSED or state in STOPPED

    @property
    def stopped(self) -> bool:
        """Whether any campaign with work in the queue was cancelled or has failed."""
        return any(state in STOPPED for state in self._states.values())

    @property
    def busy(self) -> bool:
        """Whether any campaign is being planned and sent."""
        return CampaignState.RUNNING in self._states.values()

    async def content(self, campaign_id: str) -> CampaignContent:
        """What a campaign sends. Raises: UnknownCampaign, StoreUnavailable."""
        found = self._contents.get(campaign_id)
        if found is None:
            campaign, content = await self._database.ask_one(
                lambda connection: campaigns.whole(connection, campaign_id)
            )
            assert campaign.starts_at is not None
            found = CampaignContent(
                id=campaign.id,
                content=decode_content(content),
                started_at=campaign.starts_at,
                max_rate=campaign.max_rate,
                is_urgent=campaign.is_message,
                collapse_id=campaign.collapse_id,
            )
            self._contents = {each: self._contents[each] for each in self._contents if each in self._states}
            self._contents[campaign_id] = found
            self._states.setdefault(campaign_id, campaign.state)  # so that it isn't asked for as well
        return found

    async def report(self, lane: str, problem: Problem | None) -> None:
        """Tell everybody why a lane doesn't do its work, or that it does again."""
        now = self._clock()
        # That some hosts are silent is told again and again, with those that are silent just then.
        since = sa.func.coalesce(lanes.c.since, now) if problem and problem.waiting is not None else problem and now
        values = {
            "problem": problem and problem.what,
            "remedy": problem and problem.remedy,
            "since": since,
            "until": None if problem is None or problem.pause is None else now + problem.pause,
            "waiting": problem and problem.waiting,
        }

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(insert_or_ignore(connection, lanes).values(lane=lane))
            await connection.execute(sa.update(lanes).where(lanes.c.lane == lane).values(values))

        try:
            await self._database.write(change)
        except StoreUnavailable:
            return

    async def _finish(self, campaign_ids: Sequence[str]) -> None:
        async def change(connection: AsyncConnection) -> None:
            await campaigns.finish(connection, campaign_ids, self._clock())

        await self._database.write(change)
