"""What all watchers of one campaign's page share in this process: its pace, its chart, and each event as HTML.

Rules: an event is rendered once, however many watch; what is kept of a campaign is bounded, and so is the number of
campaigns; a message holds nothing that depends on its reader, and no attribute of htmx (a stream knows no nonce).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from stentor.api.streams import EncodedEvents
from stentor.dashboard.rate_chart import RateHistory, rate_chart
from stentor.dashboard.standing import standing
from stentor.dashboard.templates import Templates
from stentor.recording.failing import KindCount
from stentor.recording.rates import LaneRates
from stentor.recording.report import Progress, PutAside
from stentor.runtime.changes import (
    CampaignEnded,
    CampaignEvent,
    ProgressMade,
    Snapshot,
    StateChanged,
    StoreAway,
)
from stentor.runtime.onlooker import is_over
from stentor.runtime.outcomes import Outcomes
from stentor.store.campaigns import Campaign

KEPT = 128
"""Campaigns of which something is kept."""
REMEMBERED = 8
"""Rendered events of one campaign that are kept for the next watcher."""
WHY_LASTS = 10.0
"""Seconds for which the reasons that were counted are shown while a campaign goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why recipients were not reached so far. What is said of the end holds if `progress`, read first, was over."""

    progress: Progress
    counts: Sequence[KindCount]
    put_aside: PutAside


class LiveCampaign:
    """One campaign, as its page shows it."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._pace = LaneRates()
        self._history = RateHistory()
        self._last: Progress | None = None
        self._why: Why | None = None
        self._counting = asyncio.Lock()
        self.encoded = EncodedEvents(self._encode, REMEMBERED)

    def render(self, progress: Progress, *, away: StoreAway | None = None) -> str:
        """The part of the page that changes. What is older than what was seen already leaves no trace in the chart."""
        if self._last is None or progress.at > self._last.at:
            self._last = progress
            self._pace.add(progress)
            total = progress.total
            self._history.add(progress.at, total.accepted + total.failed)
        return self._templates.render(
            "campaign_live.html",
            {
                "campaign": progress.campaign,
                "standing": standing(progress, self._pace),
                "chart": rate_chart(self._history.rates),
                "away": away,
                "at": progress.at,
            },
        )

    async def why(self, outcomes: Outcomes, campaign: Campaign, now: float) -> Why:
        """Why recipients were not reached: for good, or as of a moment ago. All who ask share one count.

        Args:
            campaign: as it is now. What was counted in another state is counted again.
            now: epoch seconds.
        """
        async with self._counting:
            kept = self._why
            if kept is None or kept.progress.state is not campaign.state or not _lasts(kept, now):
                self._why = kept = Why(
                    progress=await outcomes.progress(campaign.id),
                    counts=await outcomes.failure_counts(campaign.id),
                    put_aside=await outcomes.put_aside(campaign.id),
                )
            return kept

    def _encode(self, told: CampaignEvent) -> bytes:
        match told:
            case Snapshot() | ProgressMade():
                return message(told.id, self.render(told.progress))
            case StoreAway():
                return b"" if self._last is None else message(told.id, self.render(self._last, away=told))
            case StateChanged():
                return named("state", told.id, told.state.value)
            case CampaignEnded():
                return named("end", told.id, told.state.value)
        return b""


def _lasts(why: Why, now: float) -> bool:
    return is_over(why.progress) or 0 <= now - why.progress.at < WHY_LASTS


class LiveCampaigns:
    """Those that were looked at last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, LiveCampaign] = OrderedDict()

    def of(self, campaign_id: str, templates: Templates) -> LiveCampaign:
        found = self._known.pop(campaign_id, None) or LiveCampaign(templates)
        self._known[campaign_id] = found
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found


def message(event_id: int, html: str) -> bytes:
    """An event that htmx puts into its place."""
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"id: {event_id}\n{lines}\n".encode()


def named(name: str, event_id: int, data: str) -> bytes:
    """An event that only tells the page that something happened."""
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n".encode()
