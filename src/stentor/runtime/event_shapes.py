"""What is told to whoever watches campaigns, as JSON: the data of server-sent events."""

from __future__ import annotations

from collections.abc import Mapping

from stentor.recording import shapes
from stentor.recording.shapes import LaneProblemShape, Shape
from stentor.runtime.changes import (
    CampaignEnded,
    CampaignEvent,
    CampaignsNow,
    LaneRecovered,
    LaneTrouble,
    ProgressMade,
    ReportReady,
    Snapshot,
    StateChanged,
    StoreAway,
)


class StateChangedShape(Shape, frozen=True, kw_only=True):
    campaign: str
    title: str
    before: str | None
    state: str
    problem: str | None


class LaneEventShape(Shape, frozen=True, kw_only=True):
    lane: str
    problem: LaneProblemShape | None
    """Null: it is over."""


class EndedCampaignShape(Shape, frozen=True, kw_only=True):
    campaign: str
    state: str


class StandingShape(Shape, frozen=True, kw_only=True):
    title: str
    state: str
    problem: str | None


class CampaignsNowShape(Shape, frozen=True, kw_only=True):
    campaigns: Mapping[str, StandingShape]
    """Those that are started and not over, and those that ended within the last minute; by id."""
    problems: Mapping[str, LaneProblemShape]
    """Every lane that doesn't send."""


class StoreAwayShape(Shape, frozen=True, kw_only=True):
    problem: str
    remedy: str


def event(told: CampaignEvent) -> Shape:
    """What an event says."""
    match told:
        case Snapshot() | ProgressMade():
            return shapes.without_people(shapes.progress(told.progress))  # all who watch are told the same
        case StateChanged():
            return StateChangedShape(
                campaign=told.campaign_id,
                title=told.title,
                before=None if told.before is None else told.before.value,
                state=told.state.value,
                problem=told.problem,
            )
        case LaneTrouble():
            return LaneEventShape(lane=told.lane, problem=shapes.problem(told.problem))
        case LaneRecovered():
            return LaneEventShape(lane=told.lane, problem=None)
        case ReportReady():
            return shapes.without_people(shapes.report(told.report))
        case CampaignEnded():
            return EndedCampaignShape(campaign=told.campaign_id, state=told.state.value)
        case CampaignsNow():
            return CampaignsNowShape(
                campaigns={
                    name: StandingShape(title=each.title, state=each.state.value, problem=each.problem)
                    for name, each in told.campaigns.items()
                },
                problems=shapes.problems(told.problems),
            )
        case StoreAway():
            return StoreAwayShape(problem=told.problem, remedy=told.remedy)
    raise TypeError(f"no event: {told!r}")
