"""Campaigns that end, lanes that stop, and targets that are told, for tests of reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, update

from stentor.config import ReportedEvent, ReportsConfig, ReportTarget
from stentor.model import Message
from stentor.planning.content import Content, encode_content
from stentor.reporting.detector import Detector
from stentor.reporting.events import EventKind, ReportEvent
from stentor.reporting.outbox import TargetAnswer
from stentor.states import FINAL, CampaignState
from stentor.store.tables import campaigns, lanes
from tests.integration.recording.rows import NOW, Rows

SENT = TargetAnswer(sent=True, status=200, text="ok")
REFUSED = TargetAnswer(sent=False, status=500, text="no")
CONTENT = encode_content(Content(message=Message(title="Hello")))


class Clock:
    """Both clocks of a detector, as a test sets them."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def passing(self) -> float:
        return self.now - NOW


class FakeReceiver:
    """A target that answers as a test wants, and remembers what it was told."""

    kind = "fake"

    def __init__(self, *answers: TargetAnswer) -> None:
        self.told: list[str] = []
        self.answers = list(answers)
        self.opened = asyncio.Event()
        """It answers nothing before this is set."""
        self.opened.set()
        self.asked = asyncio.Event()

    async def check(self) -> str | None:
        return None

    async def tell(self, event: ReportEvent, now: float) -> TargetAnswer:
        self.asked.set()
        await self.opened.wait()
        self.told.append(event.id)
        return self.answers.pop(0) if self.answers else SENT


def targets(**events: Sequence[ReportedEvent]) -> ReportsConfig:
    """Settings with targets of these names, and what they are told."""
    url = "json://127.0.0.1:1"
    made = {
        name: ReportTarget(url=url, events=tuple(each)) if each else ReportTarget(url=url)
        for name, each in events.items()
    }
    return ReportsConfig(targets=made, link="https://push.example.com/campaigns/{id}")


def detector(rows: Rows, clock: Clock, settings: ReportsConfig | None = None) -> Detector:
    chosen = targets(team=()) if settings is None else settings
    return Detector(rows.database, chosen, ["apns/ios"], clock, passing=clock.passing)


async def campaign(rows: Rows, name: str = "c1", state: CampaignState = CampaignState.RUNNING, **values: Any) -> None:
    """A campaign with a message that can be read, in this state."""
    ended = {"finished_at": NOW + 1} if state in FINAL else {}
    await rows.campaign(name, **{"state": state, "expires_at": NOW + 3600, **ended, **values})
    await rows.change(update(campaigns).where(campaigns.c.id == name).values(content=CONTENT))


async def move(rows: Rows, state: CampaignState, name: str = "c1", **values: object) -> None:
    change = {"state": state.value, **values}
    if state in FINAL:
        change.setdefault("finished_at", NOW + 1)
    await rows.change(update(campaigns).where(campaigns.c.id == name).values(change))


async def set_problem(rows: Rows, problem: str | None, lane: str = "apns/ios") -> None:
    await rows.change(delete(lanes).where(lanes.c.lane == lane))
    await rows.problem(lane, problem, "fix it" if problem else None)


def kinds(events: Sequence[ReportEvent]) -> list[EventKind]:
    return [event.kind for event in events]
