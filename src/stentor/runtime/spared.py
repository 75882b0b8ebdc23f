"""How many of an audience a campaign would leave alone, by what was seen of some of it."""

from __future__ import annotations

from collections import Counter

import msgspec

from stentor.audience.contract import NO_LANE, Page
from stentor.planning.care.look import Care
from stentor.runtime.draft import Draft
from stentor.runtime.resources import Resources
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign


class SparedSample:
    """Looks at pages of a draft's audience as the planner would."""

    def __init__(self, resources: Resources, draft: Draft) -> None:
        campaign = Campaign(
            id="",
            title="",
            state=CampaignState.DRAFT,
            audience=msgspec.json.encode(draft.selection),
            collapse_id="",
            created_at=0.0,
            care=draft.care,
            same_as=draft.selection.failed_of,
        )
        care = Care(resources.database, resources.config.care.read, resources.clock)
        self.care = care.of(campaign, draft.content)
        self._looked_at = 0
        self._found: Counter[str] = Counter()

    async def look_at(self, page: Page) -> None:
        """Raises: InvalidAudience, StoreUnavailable."""
        looked = await self.care.look(page)
        lanes = [page.lanes] * len(page) if isinstance(page.lanes, str) else page.lanes
        for key, lane in zip(page.keys, lanes, strict=True):
            if lane == NO_LANE or key in page.refused:
                continue
            if (why := looked.left_out.get(key)) is not None:
                self._found[why.reason] += 1
        self._looked_at += sum(lane != NO_LANE for lane in lanes)

    def of(self, recipients: int) -> tuple[dict[str, int], bool]:
        """By reason, how many of so many would be left alone; and whether all of them were looked at."""
        if self._looked_at >= recipients or not self._looked_at:  # what isn't looked at leaves nobody alone
            return dict(sorted(self._found.items())), True
        share = recipients / self._looked_at
        return {reason: round(number * share) for reason, number in sorted(self._found.items())}, False
