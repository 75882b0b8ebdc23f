"""What happens to campaigns, as it happens, for any number of watchers: `Stentor.events`.

Rules: all who watch one campaign in this process share one look at the store (`hub.Hub`); who leaves is forgotten at
once, however they leave; events come from the store alone, so any process with the same settings tells the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from stentor.clock import steady
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.changes import AllView, CampaignEvent, CampaignView, Look, View
from stentor.runtime.hub import BUSY, Hub
from stentor.runtime.listing import Listing, ListView
from stentor.runtime.onlooker import Onlooker, is_over
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.overview import Overview
from stentor.runtime.resources import Resources
from stentor.states import CampaignState
from stentor.store.clock import INTERVAL, StoreClock

LIST_BUSY = 2.0
"""Seconds between two looks at a list while it changes: nobody follows fifty campaigns faster."""


class Events:
    """Of the campaigns of one store. Close it before the store."""

    def __init__(self, resources: Resources, outcomes: Outcomes, campaigns: CampaignControl) -> None:
        self._resources = resources
        self._campaigns = campaigns
        self._outcomes = outcomes
        self._time = StoreClock(resources.database, resources.clock)
        self._measured_at: float | None = None
        self._hubs: dict[object, Hub] = {}
        self._looking: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Events, {len(self._hubs)} hubs>"

    def watch(self, campaign_id: str | None) -> AsyncGenerator[CampaignEvent, None]:
        """See `Stentor.events`."""
        if campaign_id is None:
            return self._watch(None, self._look_at_all)
        return self._watch(campaign_id, lambda: self._look_at(campaign_id))

    def watch_list(self, state: CampaignState | None) -> AsyncGenerator[CampaignEvent, None]:
        """See `Stentor.list_events`."""
        return self._watch(("list", state), lambda: self._look_at_list(state), LIST_BUSY)

    async def _watch(
        self, key: object, look: Callable[[], Callable[[], Awaitable[View]]], busy: float = BUSY
    ) -> AsyncGenerator[CampaignEvent, None]:
        hub = self._enter(key, look, busy)
        seen: Look | None = None
        try:
            while (now := await hub.next(seen)) is not None:
                for event in hub.events(seen, now):
                    yield event
                if now.over:
                    return
                seen = now
        finally:  # nothing may be awaited here: the first `await` of a clean-up may be where it is cancelled
            hub.leave()
            if not hub.watchers and self._hubs.get(key) is hub:
                del self._hubs[key]

    async def aclose(self) -> None:
        """End all looking. Who still watches is told no more."""
        looking = list(self._looking)
        for each in looking:
            each.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    def _enter(self, key: object, look: Callable[[], Callable[[], Awaitable[View]]], busy: float) -> Hub:
        hub = self._hubs.get(key)
        if hub is None or hub.broken:
            hub = self._hubs[key] = Hub(look(), self._resources.database.hindrance, self._time, busy)
        if (looking := hub.enter()) is not None:
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)
        return hub

    def _look_at(self, campaign_id: str) -> Callable[[], Awaitable[CampaignView]]:
        onlooker = Onlooker(self._resources, self._outcomes, campaign_id)

        async def look() -> CampaignView:
            await self._keep_time()
            progress = await onlooker.look()
            report = await self._outcomes.report(campaign_id) if is_over(progress) else None
            return CampaignView(progress=progress, report=report)

        return look

    def _look_at_all(self) -> Callable[[], Awaitable[AllView]]:
        overview = Overview(self._resources.database, self._time)

        async def look() -> AllView:
            await self._keep_time()
            return await overview.look()

        return look

    def _look_at_list(self, state: CampaignState | None) -> Callable[[], Awaitable[ListView]]:
        listing = Listing(self._campaigns, self._outcomes, state)

        async def look() -> ListView:
            await self._keep_time()
            return await listing.look()

        return look

    async def _keep_time(self) -> None:
        """Know what time it is by the store's clock. Raises: StoreUnavailable."""
        now = steady()
        if self._measured_at is None or now - self._measured_at >= INTERVAL:
            await self._time.measure()
            self._measured_at = now
