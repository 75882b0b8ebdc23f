"""Makes the campaigns of runs, as whoever sends by hand does: with all that is checked, and counted, before."""

from __future__ import annotations

from contextlib import suppress

from stentor.errors import InvalidState, UnknownCampaign
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.care import CareControl
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.queue_control import QueueControl
from stentor.runtime.resources import Resources
from stentor.runtime.roles import Roles
from stentor.runtime.segments import Segments
from stentor.runtime.series import run_of
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.along import Along
from stentor.store.campaigns import Campaign
from stentor.store.series import Series, SeriesRun


class CampaignMaker:
    """With what a scheduler has open."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        roles = Roles(resources, Outcomes(resources), elsewhere=True)
        self._campaigns = CampaignControl(
            resources, roles, QueueControl(resources), Segments(resources), CareControl(resources)
        )

    async def send(self, series: Series, run: SeriesRun, along: Along[Campaign]) -> None:
        """See `series_runner.Maker`."""
        try:
            template, content = await self._database.ask(lambda connection: campaigns.whole(connection, run.series_id))
        except UnknownCampaign:  # the series was deleted a moment ago
            return
        draft = run_of(series, template, content, run.due)
        await self._campaigns.send(draft, campaign_id=run.campaign_id, along=along)

    async def discard(self, run: SeriesRun) -> None:
        """See `series_runner.Maker`."""
        found = await self._database.ask(lambda connection: campaigns.states(connection, [run.campaign_id]))
        if found.get(run.campaign_id) is CampaignState.DRAFT:
            with suppress(InvalidState):  # somebody starts it by hand just now
                await self._campaigns.discard(run.campaign_id)
