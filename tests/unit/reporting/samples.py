"""Events to be told, for tests."""

from __future__ import annotations

from typing import Any

import msgspec

from stentor.reporting.events import EventKind, ReportEvent, ToldProblem, ToldReason, sample_event

NOW = 1_800_000_000.0
LINK = "https://push.example.com/campaigns/{id}"


def campaign_event(kind: EventKind = EventKind.COMPLETED, *, still_for: float = 0.0, **facts: Any) -> ReportEvent:
    """An event of a campaign, with these facts of it."""
    event = sample_event("1", NOW, LINK)
    assert event.campaign is not None
    campaign = msgspec.structs.replace(event.campaign, **{"id": "c1", "title": "Spring sale", **facts})
    link = "https://push.example.com/campaigns/c1"
    return msgspec.structs.replace(event, id=f"{kind}/c1", kind=kind, campaign=campaign, link=link, still_for=still_for)


def lane_event(kind: EventKind, lane: str = "apns/ios", *, part: int | None = None, **facts: Any) -> ReportEvent:
    what, remedy = "ExpiredProviderToken: no key", "fix the credentials"
    problem = ToldProblem(lane=lane, problem=what, remedy=remedy, waiting=part)
    return ReportEvent(id=f"{kind}/{lane}/1", kind=kind, at=NOW, problems=[problem], **facts)


def reason(name: str, count: int = 1, meaning: str = "") -> ToldReason:
    return ToldReason(lane="apns/ios", reason=name, outcome="rejected", count=count, meaning=meaning)
