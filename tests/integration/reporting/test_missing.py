"""A campaign that stands still because a role is missing: the alarm says which."""

from __future__ import annotations

import pytest

from stentor.queue.sql import SqlQueue
from stentor.reporting.detector import Detector
from stentor.reporting.events import EventKind
from stentor.runtime import standstill
from stentor.runtime.reports import MissingRoles
from tests.integration.recording.rows import Rows
from tests.integration.reporting.scene import Clock, campaign, targets


async def test_the_role_that_is_missing_is_named(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "STILL", 0.0)
    monkeypatch.setattr(standstill, "LOOK_AGAIN", 0.0)
    clock = Clock()
    missing = MissingRoles(SqlQueue(rows.database, clock), None, lease=30.0)
    looking = Detector(rows.database, targets(team=()), ["apns/ios"], clock, missing.look, passing=clock.passing)
    await campaign(rows, planned=True)
    await rows.batch(1, "app")
    assert await looking.look() == []
    clock.now += 301
    (event,) = await looking.look()
    assert event.kind is EventKind.STALLED
    (problem,) = event.problems
    assert (problem.lane, problem.problem) == ("apns/ios", "no sender takes the work that is ready")
    assert "stentor worker sender" in problem.remedy
