"""The newest campaigns with their counts, as they are seen by looking again and again: a list that stays up to date.

Rules: what a look costs follows from the length of the list and from what of it is still under way: the counts of a
campaign that is over are asked for once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stentor.recording.report import Totals
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.changes import CampaignEvent, View
from stentor.runtime.outcomes import Outcomes
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign

LISTED = 50
"""Campaigns of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A campaign in a list."""

    campaign: Campaign
    totals: Totals


class CampaignsListed(CampaignEvent, frozen=True, kw_only=True):
    """A list of campaigns, whole: the first event, and whenever anything of it has changed."""

    kind = "list"
    campaigns: Sequence[Listed]
    more: bool
    """Whether there are older ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """Of a list. It is never over."""

    campaigns: Sequence[Listed]
    more: bool

    @property
    def over(self) -> bool:
        return False

    def whole(self, event_id: int) -> CampaignEvent:
        return CampaignsListed(id=event_id, campaigns=self.campaigns, more=self.more)

    def since(self, before: View, event_id: int) -> Iterator[CampaignEvent]:
        if before != self:
            yield self.whole(event_id)

    def ending(self, event_id: int) -> Iterator[CampaignEvent]:
        yield from ()


class CampaignListing:
    """Looks at the newest campaigns again and again."""

    def __init__(self, campaigns: CampaignControl, outcomes: Outcomes, state: CampaignState | None) -> None:
        """Args:
        state: only those in this state.
        """
        self._campaigns = campaigns
        self._outcomes = outcomes
        self._state = state

    async def look(self) -> ListView:
        """How the list is now. Raises: StoreUnavailable."""
        found = await self._campaigns.newest(state=self._state, limit=LISTED + 1)
        page = found[:LISTED]
        totals = await self._outcomes.list_totals(page)
        listed = [Listed(campaign=each, totals=totals[each.id]) for each in page]
        return ListView(campaigns=listed, more=len(found) > LISTED)
