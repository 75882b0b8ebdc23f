"""Logs what becomes of campaigns: that one starts, is paused, goes on, and ends, with the counts.

Rules: it is told what the store says, whoever brought it about, by each process that keeps a chronicle: those of the
schedulers. One that is started anew tells of what is under way and of what has just ended: it may be the last to start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from sqlalchemy import Row, bindparam, or_, select

from stentor.errors import StoreUnavailable
from stentor.recording.report import progress
from stentor.states import FINAL, CampaignKind, CampaignState
from stentor.store.database import Database
from stentor.store.tables import campaigns

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks."""
MARGIN = 60.0
"""Seconds after its end for which a campaign is looked for: clocks differ, and a store may be away."""
RECENT = 10.0
"""Seconds since its start, or its end, within which that is told of at the first look."""
_LOOK = select(
    campaigns.c.id,
    campaigns.c.title,
    campaigns.c.state,
    campaigns.c.problem,
    campaigns.c.starts_at,
    campaigns.c.expires_at,
    campaigns.c.finished_at,
).where(
    campaigns.c.kind == CampaignKind.CAMPAIGN.value,  # of messages there may be many in a second
    campaigns.c.state != CampaignState.DRAFT.value,
    or_(campaigns.c.finished_at.is_(None), campaigns.c.finished_at > bindparam("since")),
)
_LEVELS = {CampaignState.FAILED: logging.ERROR, CampaignState.PAUSED: logging.WARNING}
"""Of what somebody may have to do something about, where there is a problem; all else is `info`."""


_Row = Row[tuple[str, str, str, str | None, float | None, float | None, float | None]]
_BEFORE = (None, CampaignState.SCHEDULED)
"""What was told last of a campaign whose start wasn't."""


class Chronicle:
    """Of the campaigns of one store."""

    name = "chronicle"
    problem: str | None = None
    notice: str | None = None

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Args:
        clock: epoch seconds.
        """
        self._database = database
        self._clock = clock
        self._told: dict[str, CampaignState] | None = None
        """By campaign, the state that was logged last; None before the first look."""
        self.beat: float | None = None

    async def run(self) -> None:
        """Look every INTERVAL seconds, for ever."""
        while True:
            self.beat = time.monotonic()
            with suppress(StoreUnavailable):
                await self.look()
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Log what has changed. Raises: StoreUnavailable."""
        now = self._clock()
        told = self._told
        states: dict[str, CampaignState] = {}
        for row in await self._database.rows(_LOOK, {"since": now - MARGIN}):
            state = CampaignState(row.state)
            before = None if told is None else told.get(row.id)
            if state is before or (told is None and state in FINAL and row.finished_at < now - RECENT):
                states[row.id] = state
                continue
            if before in _BEFORE and _has_started(row, now, anew=told is None):
                _tell(row, CampaignState.RUNNING, "starts")
                before = states[row.id] = CampaignState.RUNNING
            if state is before:
                continue
            if state not in FINAL:
                states[row.id] = state
                _tell(row, state, "goes on" if _goes_on(before, state) else f"is {state}")
            elif await self._end(row, state, now):
                states[row.id] = state
            elif before is not None:
                states[row.id] = before
        self._told = states

    async def _end(self, row: _Row, state: CampaignState, now: float) -> bool:
        """Log the end of a campaign; not while some of its recipients have no outcome yet."""
        found = await self._database.ask(lambda connection: progress(connection, row.id, now))
        total = found.total
        if total.pending:
            return False
        counts = {name: number for name, number in asdict(total).items() if number or name in ("read", "accepted")}
        shown = ", ".join(f"{number:,} {name}" for name, number in counts.items())
        _tell(row, state, f"is {state}: {shown}", counts)
        return True


def _has_started(row: _Row, now: float, *, anew: bool) -> bool:
    """Whether a campaign has started that wasn't seen running before, however far it has come since. At the first look
    of a chronicle, one that started a while ago was told of by another."""
    if row.starts_at is None or row.expires_at is None or row.state == CampaignState.SCHEDULED.value:
        return False  # nobody started it, or its time has yet to come
    if row.finished_at is not None and row.finished_at < row.starts_at:
        return False  # it was cancelled before
    return not anew or row.starts_at >= now - RECENT


def _goes_on(before: CampaignState | None, state: CampaignState) -> bool:
    return state is CampaignState.RUNNING and before is CampaignState.PAUSED


def _tell(row: _Row, state: CampaignState, what: str, counts: object = None) -> None:
    level = _LEVELS.get(state, logging.INFO) if row.problem else logging.INFO
    because = f" ({row.problem})" if row.problem and state is not CampaignState.RUNNING else ""
    facts = {"campaign": row.id, "title": row.title, "state": state.value}
    logger.log(level, "campaign %s %s%s", row.id, what, because, extra=facts | ({"counts": counts} if counts else {}))
