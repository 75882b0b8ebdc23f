"""What all watchers of one campaign's page share in this process: its pace, its chart, and each event as HTML.

Rules: an event is rendered once, however many watch; what is kept of a campaign is bounded, and so is the number of
campaigns; a message holds nothing that depends on its reader, and no attribute of htmx (a stream knows no nonce).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from stentor.api.streams import Encoded
from stentor.dashboard.rate_chart import RateHistory, rate_chart
from stentor.dashboard.standing import standing
from stentor.dashboard.templates import Templates
from stentor.recording.rates import LaneRates
from stentor.recording.report import Progress, Report
from stentor.runtime.changes import (
    CampaignEnded,
    CampaignEvent,
    ProgressMade,
    ReportReady,
    Snapshot,
    StateChanged,
    StoreAway,
)
from stentor.runtime.outcomes import Outcomes
from stentor.states import FINAL

KEPT = 128
"""Campaigns of which something is kept."""
REMEMBERED = 8
"""Rendered events of one campaign that are kept for the next watcher."""
REPORT_LASTS = 10.0
"""Seconds for which the reasons that were counted are shown while a campaign goes on: to count them takes longer the
more have failed."""


class LiveCampaign:
    """One campaign, as its page shows it."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._pace = LaneRates()
        self._history = RateHistory()
        self._last: Progress | None = None
        self._report: Report | None = None
        self._counting = asyncio.Lock()
        self.encoded = Encoded(self._encode, REMEMBERED)

    def render(self, progress: Progress, *, away: StoreAway | None = None) -> str:
        """The part of the page that changes. What is older than what was seen already leaves no trace in the chart."""
        if self._last is None or progress.at > self._last.at:
            self._last = progress
            self._pace.add(progress)
            total = progress.total
            self._history.add(progress.at, total.accepted + total.failed)
        report = self._report if self._report is not None and progress.state in FINAL else None
        return self._templates.render(
            "campaign_live.html",
            {
                "campaign": progress.campaign,
                "standing": standing(progress, self._pace),
                "chart": rate_chart(self._history.rates),
                "report": report,
                "away": away,
                "at": progress.at,
            },
        )

    async def report(self, outcomes: Outcomes, campaign_id: str, now: float) -> Report:
        """The report with its reasons: the final one, or one of a moment ago. All who ask share one count.

        Args:
            now: epoch seconds.
        """
        async with self._counting:
            kept = self._report
            if kept is None or not (_is_final(kept) or 0 <= now - kept.at < REPORT_LASTS):
                self._report = kept = await outcomes.report(campaign_id)
            return kept

    def _encode(self, told: CampaignEvent) -> bytes:
        match told:
            case Snapshot() | ProgressMade():
                return message(told.id, self.render(told.progress))
            case StoreAway():
                return b"" if self._last is None else message(told.id, self.render(self._last, away=told))
            case ReportReady():
                self._report = told.report
                return b"" if self._last is None else message(told.id, self.render(self._last))
            case StateChanged():
                return named("state", told.id, told.state.value)
            case CampaignEnded():
                return named("end", told.id, told.state.value)
        return b""


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


def _is_final(report: Report) -> bool:
    return report.campaign.state in FINAL and not report.total.pending
