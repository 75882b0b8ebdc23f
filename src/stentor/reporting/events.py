"""What people are told of: that a campaign ended, stands still or was paused, that a lane stopped or sends again.

Rules: an event is written down once, with everything that is told of it; so each target, each try and each replay tells
the same. It holds no address, no secret and no message data. `body_of` is what programs get.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from stentor.states import CampaignState


class EventKind(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    """Paused by Stentor itself, because of a problem."""
    STALLED = "stalled"
    LANE_STOPPED = "lane_stopped"
    LANE_RESUMED = "lane_resumed"
    RUN_NOT_SENT = "run_not_sent"
    """A run of a series."""
    TEST = "test"

    @property
    def setting(self) -> str:
        """What a target's `events` calls it: whoever is told that a lane stopped is told that it sends again."""
        return EventKind.LANE_STOPPED.value if self is EventKind.LANE_RESUMED else self.value


TYPES = MappingProxyType(
    {
        EventKind.COMPLETED: "campaign.completed",
        EventKind.FAILED: "campaign.failed",
        EventKind.CANCELLED: "campaign.cancelled",
        EventKind.PAUSED: "campaign.paused",
        EventKind.STALLED: "campaign.stalled",
        EventKind.LANE_STOPPED: "lane.stopped",
        EventKind.LANE_RESUMED: "lane.resumed",
        EventKind.RUN_NOT_SENT: "series.run_not_sent",
        EventKind.TEST: "report.test",
    }
)
"""The `type` in the body of a webhook."""
_ACCOUNT = (
    *("installations", "accepted", "failed", "cancelled", "pending", "unread", "dead", "left_out"),
    *("reasons", "other_reasons", "seconds", "paused", "rate"),
)
"""The fields of a campaign that are its report, in the body of a webhook."""
ENDINGS = MappingProxyType(
    {
        CampaignState.COMPLETED: EventKind.COMPLETED,
        CampaignState.FAILED: EventKind.FAILED,
        CampaignState.CANCELLED: EventKind.CANCELLED,
    }
)


class ToldReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why some recipients of a lane were not reached."""

    lane: str
    reason: str
    outcome: str
    count: int
    meaning: str = ""
    """A sentence; empty where nobody knows more than the reason says."""


class ToldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a lane doesn't send."""

    lane: str
    problem: str
    remedy: str = ""
    since: float | None = None
    """Epoch seconds."""
    waiting: int | None = None
    """If the lane sends, and only some of its hosts are silent: at least how many recipients wait for these."""


class ToldCampaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's account at the time of the event. Times are epoch seconds, durations seconds."""

    id: str
    title: str
    message_title: str | None = None
    """The message's own; None where it has none."""
    state: str
    problem: str | None = None
    audience: str
    """Whom it is for, in words."""
    expected: int
    """Installations, as counted before the start."""
    installations: int
    """Those that were read from the audience so far."""
    accepted: int
    failed: int
    cancelled: int
    pending: int
    unread: int
    dead: int
    """Addresses that will never work again."""
    left_out: int = 0
    """Those of `failed` who got nothing by a rule, such as `skip` in a template."""
    seconds: float
    paused: float
    rate: float
    reasons: list[ToldReason] = []
    """The most frequent ones, over all lanes."""
    other_reasons: int = 0
    """Recipients that failed for reasons that are not among these."""
    starts_at: float | None = None
    finished_at: float | None = None


class ToldRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a series that is not sent."""

    series: str
    """The id of the series."""
    name: str
    """What the series is called."""
    due: float
    """Epoch seconds."""
    state: str
    """`failed`, `skipped` or `missed`."""
    reason: str


class ReportEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""

    id: str
    """The same for everybody who finds that it happened."""
    kind: EventKind
    at: float
    """Epoch seconds."""
    campaign: ToldCampaign | None = None
    run: ToldRun | None = None
    problems: list[ToldProblem] = []
    """The lane that it is about; of a campaign that stands still, what keeps it."""
    waiting: list[str] = []
    """Of a lane: the titles of campaigns that wait for it."""
    still_for: float = 0.0
    """Seconds without anything happening, where that is what is told."""
    link: str | None = None
    """The campaign's page."""


def encode_event(event: ReportEvent) -> bytes:
    return msgspec.json.encode(event)


def decode_event(document: bytes) -> ReportEvent:
    return msgspec.json.decode(document, type=ReportEvent)


def body_of(event: ReportEvent) -> dict[str, Any]:
    """What programs are told of an event, as Standard Webhooks has it: `type`, `timestamp`, `data`."""
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data: dict[str, Any] = {"event": event.id, "link": event.link}
    if event.campaign is not None:
        told = msgspec.to_builtins(event.campaign)
        data["report"] = {name: told.pop(name) for name in _ACCOUNT}
        data["campaign"] = told
    if event.run is not None:
        data["run"] = msgspec.to_builtins(event.run)
    if event.kind in (EventKind.LANE_STOPPED, EventKind.LANE_RESUMED):
        data["lane"] = event.problems[0].lane
        data["waiting"] = event.waiting
    if event.kind is EventKind.STALLED:
        data["still_for"] = event.still_for
    data["problems"] = msgspec.to_builtins(event.problems)
    return {"type": TYPES[event.kind], "timestamp": at, "data": data}


def sample_event(number: str, at: float, link: str | None) -> ReportEvent:
    """A test of a target, with a campaign that never was.

    Args:
        number: makes its id one of its own.
        link: as in `ReportsConfig`.
    """
    campaign = ToldCampaign(
        id="example",
        title="Example",
        message_title="Hello",
        state=CampaignState.COMPLETED.value,
        audience="users",
        expected=1000,
        installations=1000,
        accepted=998,
        failed=2,
        cancelled=0,
        pending=0,
        unread=0,
        dead=2,
        seconds=2.0,
        paused=0.0,
        rate=500.0,
        reasons=[
            ToldReason(
                lane="apns/ios",
                reason="Unregistered",
                outcome="rejected",
                count=2,
                meaning="The app was removed from the device.",
            )
        ],
        starts_at=at - 2.0,
        finished_at=at,
    )
    shown = None if link is None else link.replace("{id}", campaign.id)
    return ReportEvent(id=f"{EventKind.TEST}/{number}", kind=EventKind.TEST, at=at, campaign=campaign, link=shown)
