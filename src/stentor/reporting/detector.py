"""Finds what people are to be told of, by what is in the store, and writes it down as events.

Rules: that a campaign has ended or was paused is read from its row, whoever brought it about and however long ago; so a
detector may be killed and any number may run, and each event is there once. How long something stands still is seen by
each detector for itself: one that has just begun waits its time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row, and_, exists, func, or_, select

from stentor.clock import steady
from stentor.config import ReportsConfig
from stentor.errors import StentorError, UnknownCampaign
from stentor.queue.contract import PLAN
from stentor.recording.report import LaneProblem, Progress, lane_problems, progress, with_missing
from stentor.reporting import outbox
from stentor.reporting.events import ENDINGS, EventKind, ReportEvent
from stentor.reporting.facts import campaign_event, is_test, told_problems, waiting_titles
from stentor.reporting.lane_watch import LaneWatch, Standing
from stentor.states import CampaignKind, CampaignState
from stentor.store.database import Database
from stentor.store.tables import batches, campaigns, chains, report_events

logger = logging.getLogger(__name__)

LOOK_CLOSER = 10.0
"""Seconds between two looks at the campaigns that run."""
RECENT = 86_400.0
"""Seconds since its end for which a campaign is looked for again and again; at its first look a detector looks for all
that ended and were not reported, and there may have been thousands since the very first one."""
SETTLED_WITHIN = 60.0
"""Seconds after its end for which a stopped campaign's last outcomes are waited for."""
AGAIN = 3600.0
"""Seconds for which nobody is told a second time that a campaign stands still."""
FEW = 20
"""Recipients that may wait for silent hosts, among which others answer, before people are told."""
SLOW = 10.0
"""How many times as long as its own rate takes for one push a campaign may stand still."""

Missing = Callable[[Progress], Awaitable[Mapping[str, LaneProblem]]]
"""Which roles are missing, by lane; it is told of each campaign that runs, again and again."""

# Without the states: they all have ended that have an end, and by its index few are looked at.
_ENDED = select(campaigns.c.id, campaigns.c.state, campaigns.c.finished_at, campaigns.c.audience).where(
    campaigns.c.expires_at.is_not(None),  # a draft that was thrown away has sent nothing
    campaigns.c.kind == CampaignKind.CAMPAIGN.value,  # a message to a few is no news
    ~exists().where(
        report_events.c.campaign_id == campaigns.c.id,
        report_events.c.kind.in_([kind.value for kind in ENDINGS.values()]),
    ),
)
_PAUSED = select(campaigns.c.id, campaigns.c.paused_at).where(
    campaigns.c.kind == CampaignKind.CAMPAIGN.value,
    campaigns.c.state == CampaignState.PAUSED.value,
    campaigns.c.problem.is_not(None),
    campaigns.c.paused_at.is_not(None),
)
_LEFT = select(func.coalesce(func.sum(batches.c.pending), 0))


async def nobody_is_missing(_: Progress) -> Mapping[str, LaneProblem]:
    """Where nobody can say."""
    return {}


@dataclass(slots=True)
class _Still:
    """A campaign as it was when it last moved."""

    seen: object
    since: float
    """By the steady clock."""


class Detector:
    """Of one store. `look` is called every second or so."""

    def __init__(
        self,
        database: Database,
        settings: ReportsConfig,
        lanes: Collection[str],
        clock: Callable[[], float] = time.time,
        missing: Missing = nobody_is_missing,
        *,
        passing: Callable[[], float] = steady,
    ) -> None:
        """Args:
        lanes: those that are configured; what others' rows say is old.
        clock: epoch seconds.
        passing: seconds of a clock that never goes back.
        """
        self._database = database
        self._settings = settings
        self._lanes = (*lanes, PLAN)
        self._clock = clock
        self._missing = missing
        self._passing = passing
        self._since: float | None = None
        self._campaigns: dict[str, _Still] = {}
        self._watches: dict[str, LaneWatch] = {}
        self._clear: set[str] = set()  # lanes of which no alarm is open, as far as this detector knows
        self._looked_closer: float | None = None
        self._looked_at_all = False
        self._unmade: set[str] = set()  # events that could not be put into words

    async def begin(self) -> float:
        """Have it on record that the targets are there. Returns: since when events are looked for. Raises:
        StoreUnavailable."""
        if self._since is None:
            targets, now = set(self._settings.targets), self._clock()
            self._since = await self._database.write(lambda connection: outbox.begin(connection, targets, now))
        return self._since

    async def look(self) -> list[ReportEvent]:
        """Write down what has happened. Returns: what nobody had written down before. Raises: StoreUnavailable."""
        since = await self.begin()
        found = [*await self._ended(since), *await self._paused(), *await self._lanes_changed()]
        now = self._passing()
        if self._looked_closer is None or now - self._looked_closer >= min(LOOK_CLOSER, self._settings.stalled_after):
            self._looked_closer = now
            found += await self._stalled()
        return found

    # -- campaigns ----------------------------------------------------------------------------------------------------

    async def _ended(self, since: float) -> list[ReportEvent]:
        told = []
        after = max(since, self._clock() - RECENT) if self._looked_at_all else since
        rows = await self._database.rows(_ENDED.where(campaigns.c.finished_at >= after))
        self._looked_at_all = True
        for row in rows:
            kind = ENDINGS[CampaignState(row.state)]
            left = await self._database.rows(_LEFT.where(batches.c.campaign_id == row.id, batches.c.pending > 0))
            if left[0][0] and self._clock() - row.finished_at < SETTLED_WITHIN:
                continue
            told += await self._tell(f"{kind}/{row.id}", kind, row.id, row.finished_at, quiet=_is_quiet(row))
        return told

    async def _paused(self) -> list[ReportEvent]:
        rows = {f"{EventKind.PAUSED}/{row.id}/{row.paused_at:.3f}": row for row in await self._database.rows(_PAUSED)}
        told = []
        for event_id in rows.keys() - await self._known(rows.keys()):
            row = rows[event_id]
            told += await self._tell(event_id, EventKind.PAUSED, row.id, row.paused_at)
        return told

    async def _stalled(self) -> list[ReportEvent]:
        now, told = self._clock(), []
        moving = or_(
            campaigns.c.state.in_([CampaignState.RUNNING.value, CampaignState.CANCELLING.value]),
            and_(campaigns.c.state == CampaignState.SCHEDULED.value, campaigns.c.starts_at < now),
        )
        ours = campaigns.c.kind == CampaignKind.CAMPAIGN.value
        rows = await self._database.rows(select(campaigns.c.id).where(moving, ours))
        self._campaigns = {row.id: self._campaigns[row.id] for row in rows if row.id in self._campaigns}
        for row in rows:
            with suppress(UnknownCampaign):
                told += await self._look_at(row.id)
        return told

    async def _look_at(self, campaign_id: str) -> list[ReportEvent]:
        """Whether a campaign stands still, and tell it. Raises: UnknownCampaign."""
        now, passing = self._clock(), self._passing()
        async with self._database.read() as connection:
            found = await progress(connection, campaign_id, now)
            steps = select(func.coalesce(func.sum(chains.c.step), 0)).where(chains.c.campaign_id == campaign_id)
            seen = (found.state, found.campaign.paused, _done(found), (await connection.execute(steps)).scalar_one())
            told_at, told = await outbox.stalls(connection, campaign_id)
        missing = await self._missing(found)
        before = self._campaigns.get(campaign_id)
        if before is None or before.seen != seen:
            self._campaigns[campaign_id] = _Still(seen, passing)
            return []
        still_for = passing - before.since
        if still_for < self._patience(found) or _waits_by_right(found):
            return []
        if told_at is not None and now - told_at < AGAIN:
            return []
        event_id = f"{EventKind.STALLED}/{campaign_id}/{told + 1}"
        problems = with_missing(found.problems, missing)
        return await self._tell(
            event_id,
            EventKind.STALLED,
            campaign_id,
            now,
            problems=told_problems(problems),
            still_for=round(still_for, 1),
        )

    def _patience(self, found: Progress) -> float:
        own = 0.0 if found.campaign.max_rate is None else SLOW / found.campaign.max_rate
        return max(self._settings.stalled_after, own)

    async def _tell(
        self, event_id: str, kind: EventKind, campaign_id: str, at: float, *, quiet: bool = False, **more: Any
    ) -> list[ReportEvent]:
        """Args: more: further fields of the event."""
        link, now = self._settings.link, self._clock()
        try:
            event = await self._database.ask(
                lambda connection: campaign_event(connection, event_id, kind, campaign_id, at, link=link, now=now)
            )
        except UnknownCampaign:  # it is being deleted
            return []
        except StentorError:
            raise
        except Exception:  # whatever it is, no other campaign would be reported any more
            if event_id not in self._unmade:
                self._unmade.add(event_id)
                logger.exception("the report %s could not be made", event_id)
            return []
        return await self._record(msgspec.structs.replace(event, **more), quiet=quiet)

    # -- lanes --------------------------------------------------------------------------------------------------------

    async def _lanes_changed(self) -> list[ReportEvent]:
        problems = await self._database.ask(lambda connection: lane_problems(connection, self._lanes))
        passing, told = self._passing(), []
        for lane in self._lanes:
            watch = self._watches.setdefault(lane, LaneWatch(self._settings.lane_stopped_after))
            problem = problems.get(lane)
            match watch.note(passing, stopped=problem is not None and _matters(problem)):
                case Standing.STOPPED if problem is not None:
                    told += await self._stopped(lane, problem)
                case Standing.SENDING if lane not in self._clear:
                    told += await self._resumed(lane)
        return told

    async def _stopped(self, lane: str, problem: LaneProblem) -> list[ReportEvent]:
        self._clear.discard(lane)
        number, kind, at = await self._latest(lane)
        if kind is EventKind.LANE_STOPPED or self._clock() - at < self._settings.lane_stopped_after:
            return []  # it is told already; or that it sends again was told by somebody just now
        return await self._tell_of_lane(EventKind.LANE_STOPPED, lane, number + 1, problem)

    async def _resumed(self, lane: str) -> list[ReportEvent]:
        number, kind, _ = await self._latest(lane)
        told = []
        if kind is EventKind.LANE_STOPPED:
            told = await self._tell_of_lane(EventKind.LANE_RESUMED, lane, number, LaneProblem(problem=""))
        self._clear.add(lane)
        return told

    async def _latest(self, lane: str) -> tuple[int, EventKind | None, float]:
        """The number, kind and time of a lane's newest event."""
        found = await self._database.ask(lambda connection: outbox.latest_of_lane(connection, lane))
        if found is None:
            return 0, None, 0.0
        event_id, kind, at = found
        return int(event_id.rpartition("/")[2]), kind, at

    async def _tell_of_lane(self, kind: EventKind, lane: str, number: int, problem: LaneProblem) -> list[ReportEvent]:
        waiting = await self._database.ask(
            lambda connection: waiting_titles(connection, None if lane == PLAN else [lane])
        )
        event = ReportEvent(
            id=f"{kind}/{lane}/{number}",
            kind=kind,
            at=self._clock(),
            problems=told_problems({lane: problem}),
            waiting=waiting,
        )
        return await self._record(event)

    # -- both ---------------------------------------------------------------------------------------------------------

    async def _known(self, ids: Collection[str]) -> set[str]:
        """Those of these events that were written down."""
        if not ids:
            return set()
        return await self._database.ask(lambda connection: outbox.known(connection, ids))

    async def _record(self, event: ReportEvent, *, quiet: bool = False) -> list[ReportEvent]:
        """Args:
        quiet: nobody is told; it is only known.
        """
        wanted = (
            ()
            if quiet
            else tuple(name for name, target in self._settings.targets.items() if event.kind.setting in target.events)
        )
        now = self._clock()
        new = await self._database.write(lambda connection: outbox.record(connection, event, wanted, now))
        return [event] if new else []


def _matters(problem: LaneProblem) -> bool:
    """Whether people are told of it: not of one receiver among thousands."""
    return problem.waiting is None or problem.waiting > FEW


def _is_quiet(row: Row[Any]) -> bool:
    """Whether nobody is told of a campaign's end: a test that went well, or was called off."""
    return row.state != CampaignState.FAILED.value and is_test(bytes(row.audience))


def _done(found: Progress) -> dict[str, tuple[int, int]]:
    """By lane, what only grows: recipients that were read, and those that have an outcome."""
    return {lane: (counts.read, counts.settled) for lane, counts in found.lanes.items()}


def _waits_by_right(found: Progress) -> bool:
    """Whether all that is left was tried, and waits for its next try; or is held for a wave."""
    total = found.total
    return found.resting or (found.campaign.planning_over and total.retrying > 0 and not total.queued)
