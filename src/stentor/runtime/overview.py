"""All campaigns that are under way and all lanes that don't send, as they are seen by looking again and again.

Rules: what a look costs follows from what is under way, not from how many campaigns there ever were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.recording.report import LaneProblem, lane_problems
from stentor.runtime.changes import AllView
from stentor.states import FINAL
from stentor.store import campaigns
from stentor.store.campaigns import CampaignStanding
from stentor.store.database import Database

RECENT = 60.0
"""Seconds since it was made within which a campaign is found that ended before anybody saw it under way."""
KEPT = RECENT + 5.0
"""Seconds since its end was seen for which a campaign is still told of. Longer than RECENT, or it would seem new."""


class Overview:
    """Looks at all campaigns and lanes of a store."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Args:
        clock: epoch seconds.
        """
        self._database = database
        self._clock = clock
        self._known: dict[str, CampaignStanding] = {}
        self._ended: dict[str, float] = {}
        """When the end of those among them that are over was seen."""

    async def look(self) -> AllView:
        """How all of them are now. Raises: StoreUnavailable."""
        now = self._clock()
        running = self._known.keys() - self._ended.keys()

        async def question(
            connection: AsyncConnection,
        ) -> tuple[dict[str, CampaignStanding], Mapping[str, LaneProblem]]:
            found = await campaigns.standings(connection, now - RECENT, running)
            return found, await lane_problems(connection)

        found, problems = await self._database.ask(question)
        for name, each in found.items():
            if each.state in FINAL:
                self._ended.setdefault(name, now)
        self._ended = {name: at for name, at in self._ended.items() if at >= now - KEPT}
        lately = {name: self._known[name] for name in self._ended if name in self._known}
        under_way = {name: each for name, each in found.items() if each.state not in FINAL or name in self._ended}
        self._known = lately | under_way
        return AllView(campaigns=self._known, problems=problems)
