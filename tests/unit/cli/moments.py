"""A campaign at some moments of its life, for tests of what shows it."""

from __future__ import annotations

from typing import Any

import msgspec

from stentor.audience.contract import Selection
from stentor.outcome import Outcome
from stentor.recording.report import FailureRow, LaneCounts, LaneProblem, Progress, ReasonCount, Report
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign

NOW = 1_800_000_000.0
IOS, ANDROID = "apns/ios", "fcm/android"
SELECTION = Selection(source="users", filters={"country": ["de", "at"]})


def campaign(name: str = "7k2m9x1qabcdefgh", **values: Any) -> Campaign:
    """A running campaign for 1,000,000 installations on two lanes."""
    facts: dict[str, Any] = {
        "id": name,
        "title": "Spring sale",
        "state": CampaignState.RUNNING,
        "audience": msgspec.json.encode(SELECTION),
        "collapse_id": name,
        "created_at": NOW - 100,
        "starts_at": NOW - 90,
        "expected": {IOS: 400_000, ANDROID: 600_000},
    }
    return Campaign(**{**facts, **values})


def progress(done: int, after: float, *, retrying: int = 0, problem: bool = False, **values: Any) -> Progress:
    """`after` seconds from NOW: so many are settled on each lane, one in 100 of them failed. With 0 it hasn't begun."""
    failed = done // 100
    counts = LaneCounts(
        read=done + retrying + 5000,
        queued=4000 if done else 5000,
        in_flight=1000 if done else 0,
        retrying=retrying,
        accepted=done - failed,
        rejected=failed,
    )
    sick = LaneProblem(
        problem="The key was refused (InvalidProviderToken).",
        remedy="Check `key_id` and `team_id` of app ios.",
        since=NOW,
        until=NOW + 60,
    )
    problems = {IOS: sick} if problem else {}
    return Progress(
        campaign=campaign(**values), lanes={IOS: counts, ANDROID: counts}, problems=problems, at=NOW + after
    )


def report(**values: Any) -> Report:
    """The end: 1,000 of a million weren't reached."""
    facts: dict[str, Any] = {"state": CampaignState.COMPLETED, "planned": True, "finished_at": NOW - 10, **values}
    return Report(
        campaign=campaign(**facts),
        lanes={
            IOS: LaneCounts(read=400_000, accepted=399_100, rejected=900),
            ANDROID: LaneCounts(read=600_000, accepted=599_900, expired=100),
        },
        reasons={
            IOS: [ReasonCount(reason="Unregistered", outcome=Outcome.REJECTED, count=900, status=410)],
            ANDROID: [ReasonCount(reason="UNAVAILABLE", outcome=Outcome.EXPIRED, count=100, status=503)],
        },
        dead=900,
        dead_letters=0,
        at=NOW,
    )


def failure(position: int) -> FailureRow:
    return FailureRow(
        installation=f"user-{position}",
        lane=IOS,
        outcome=Outcome.REJECTED,
        reason="Unregistered",
        status=410,
        detail="",
        dead=True,
        tries=1,
        at=NOW,
        batch_id="7k2m9x1qabcdefgh/apns/ios/0.0.0",
        position=position,
    )
