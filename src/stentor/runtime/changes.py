"""What is told to whoever watches campaigns: events, and which of them lead from one look at the store to another.

Pure. Rules: an event says what holds now, never what to add to what was told before, so each may be lost; what changed
is found by comparing two looks, however many there were between them, so nobody needs a list of what was missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import msgspec

from stentor.pipeline import WAITING
from stentor.recording.report import LaneProblem, Progress, Report
from stentor.runtime.onlooker import is_over
from stentor.states import CampaignState
from stentor.store.campaigns import CampaignStanding


class CampaignEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that whoever watches is told."""

    kind: ClassVar[str]
    """A short name for programs, the same in every version."""
    id: int
    """The moment of the look that found it: milliseconds since 1970 by the store's clock, the same for all processes.
    It grows with each look; all events of one look have the same. What has a lower id than something seen is older."""

    @property
    def at(self) -> float:
        """That moment in epoch seconds."""
        return self.id / 1000


class Snapshot(CampaignEvent, frozen=True, kw_only=True):
    """All there is to know of the campaign now: the first event, and the first after the store was away."""

    kind = "snapshot"
    progress: Progress


class ProgressMade(CampaignEvent, frozen=True, kw_only=True):
    """Anything of the campaign has changed: a count, the state, a problem. As whole as a snapshot."""

    kind = "progress"
    progress: Progress


class StateChanged(CampaignEvent, frozen=True, kw_only=True):
    """A campaign has started, was paused or resumed, or has ended."""

    kind = "state"
    campaign_id: str
    title: str
    before: CampaignState | None
    """None where it wasn't seen before: it was a draft, or is new."""
    state: CampaignState
    problem: str | None
    """Why it failed, or why it was paused other than by somebody."""


class LaneTrouble(CampaignEvent, frozen=True, kw_only=True):
    """A lane doesn't send, or for another reason than before; `queue.contract.PLAN` is the reading of audiences."""

    kind = "problem"
    lane: str
    problem: LaneProblem


class LaneRecovered(CampaignEvent, frozen=True, kw_only=True):
    """What kept a lane from sending is over."""

    kind = "problem_over"
    lane: str


class ReportReady(CampaignEvent, frozen=True, kw_only=True):
    """The campaign's report is final."""

    kind = "report"
    report: Report


class CampaignEnded(CampaignEvent, frozen=True, kw_only=True):
    """The last event of a campaign: it is over, and nothing of it changes any more."""

    kind = "end"
    campaign_id: str
    state: CampaignState


class CampaignsNow(CampaignEvent, frozen=True, kw_only=True):
    """The first event for who watches all campaigns, and the first after the store was away."""

    kind = "campaigns"
    campaigns: Mapping[str, CampaignStanding]
    """Those that are started and not over, and those that ended within the last minute; by id."""
    problems: Mapping[str, LaneProblem]
    """Every lane that doesn't send."""


class StoreAway(CampaignEvent, frozen=True, kw_only=True):
    """The store gives no answer, so nobody knows what changes. Looking goes on; the next event is whole again."""

    kind = "store_away"
    problem: str
    remedy: str = WAITING


class View(Protocol):
    """What one look found."""

    @property
    def over(self) -> bool:
        """Whether nothing of it changes any more."""

    def whole(self, event_id: int) -> CampaignEvent:
        """All of it as one event."""

    def since(self, before: View, event_id: int) -> Iterator[CampaignEvent]:
        """What has changed since an earlier look at the same thing."""

    def ending(self, event_id: int) -> Iterator[CampaignEvent]:
        """What is told last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignView:
    """Of one campaign."""

    progress: Progress
    report: Report | None = None
    """Once it is over."""

    @property
    def over(self) -> bool:
        return is_over(self.progress)

    def whole(self, event_id: int) -> CampaignEvent:
        return Snapshot(id=event_id, progress=self.progress)

    def since(self, before: View, event_id: int) -> Iterator[CampaignEvent]:
        assert isinstance(before, CampaignView)
        old, new = before.progress, self.progress
        if (old.campaign, old.lanes, old.problems, old.still) == (new.campaign, new.lanes, new.problems, new.still):
            return
        if old.state is not new.state:
            campaign = new.campaign
            yield StateChanged(
                id=event_id,
                campaign_id=campaign.id,
                title=campaign.title,
                before=old.state,
                state=campaign.state,
                problem=campaign.problem,
            )
        yield from _lanes(old.problems, new.problems, event_id)
        yield ProgressMade(id=event_id, progress=new)

    def ending(self, event_id: int) -> Iterator[CampaignEvent]:
        if self.report is not None:
            yield ReportReady(id=event_id, report=self.report)
            yield CampaignEnded(id=event_id, campaign_id=self.progress.campaign_id, state=self.progress.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllView:
    """Of all campaigns and lanes. It is never over."""

    campaigns: Mapping[str, CampaignStanding]
    problems: Mapping[str, LaneProblem]

    @property
    def over(self) -> bool:
        return False

    def whole(self, event_id: int) -> CampaignEvent:
        return CampaignsNow(id=event_id, campaigns=self.campaigns, problems=self.problems)

    def since(self, before: View, event_id: int) -> Iterator[CampaignEvent]:
        assert isinstance(before, AllView)
        for name, now in self.campaigns.items():
            old = before.campaigns.get(name)
            if old is None or (old.state, old.problem) != (now.state, now.problem):
                yield StateChanged(
                    id=event_id,
                    campaign_id=name,
                    title=now.title,
                    before=None if old is None else old.state,
                    state=now.state,
                    problem=now.problem,
                )
        yield from _lanes(before.problems, self.problems, event_id)

    def ending(self, event_id: int) -> Iterator[CampaignEvent]:
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A look at the store, and what is known after it."""

    id: int
    view: View | None
    """What was found last; None where the store was away from the start."""
    away: str | None = None
    """Why this look found nothing."""

    @property
    def over(self) -> bool:
        return self.away is None and self.view is not None and self.view.over


def changes(before: Look | None, now: Look) -> Iterator[CampaignEvent]:
    """What leads from an earlier look to this one. Before the first, and after an absence, all is told."""
    if now.away is not None:
        if before is None or before.away != now.away:
            yield StoreAway(id=now.id, problem=now.away)
        return
    assert now.view is not None
    anew = before is None or before.view is None or before.away is not None
    if anew:
        yield now.view.whole(now.id)
    if before is not None and before.view is not None:
        told = now.view.since(before.view, now.id)
        yield from (each for each in told if not (anew and isinstance(each, ProgressMade)))
    if now.over:
        yield from now.view.ending(now.id)


def _lanes(before: Mapping[str, LaneProblem], now: Mapping[str, LaneProblem], event_id: int) -> Iterator[CampaignEvent]:
    """A problem that goes on, and only since when or until when it does has changed, is no news."""
    for lane, problem in now.items():
        old = before.get(lane)
        if old is None or (old.problem, old.remedy) != (problem.problem, problem.remedy):
            yield LaneTrouble(id=event_id, lane=lane, problem=problem)
    for lane in before:
        if lane not in now:
            yield LaneRecovered(id=event_id, lane=lane)
