"""Makes and starts the runs of series when they are due, in each scheduler.

A run goes through two transactions: one claims it (its row, and when the series is due next), one starts its campaign
and says so in that row. Rules: however many schedulers run, or die in between, a run is started once: the row is there
once, the campaign's id follows from it, and whoever dies lets go of it after LEASE seconds. What is not sent is told:
in the list of runs, in the log, and in a report. One series that cannot be made stops no other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.config import ReportsConfig
from stentor.counted import counted
from stentor.errors import (
    AudienceUnavailable,
    CredentialUnavailable,
    InvalidInput,
    InvalidState,
    StentorError,
    StoreUnavailable,
)
from stentor.planning.recurrence import COUNTED, Due, Recurrence
from stentor.reporting import outbox
from stentor.reporting.events import EventKind, ReportEvent, ToldRun
from stentor.store import series as rows
from stentor.store.along import Along
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.series import Missed, RunState, Series, SeriesRun

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks."""
LATE = 600.0
"""Seconds after which a run that nobody claimed counts as missed, and one that could not be made is given up."""
LEASE = 30.0
"""Seconds for which a scheduler has a run to itself; it holds it for longer while it is at it."""
AGAIN = 10.0
"""Seconds after which a run is tried again that could not be made just now."""
PASSING = (AudienceUnavailable, CredentialUnavailable, InvalidState)
"""What may be over soon. InvalidState: no campaign may be started while the queue is being drained."""


class Maker(Protocol):
    """Makes the campaigns of runs."""

    async def send(self, series: Series, run: SeriesRun, along: Along[Campaign]) -> None:
        """Make the campaign of a run and start it; again, if an earlier try came only so far.

        Args:
            along: is written with the start.

        Raises: StentorError: as `CampaignControl.send`.
        """

    async def discard(self, run: SeriesRun) -> None:
        """Delete the campaign of a run, if it was not started."""


class SeriesRunner:
    """Of the series of one store. A stage of a scheduler."""

    name = "series"
    notice: str | None = None

    def __init__(
        self,
        database: Database,
        maker: Callable[[], Maker],
        reports: ReportsConfig,
        clock: Callable[[], float],
    ) -> None:
        """Args:
        maker: is asked for when a run is due, as it takes long to load.
        clock: epoch seconds.
        """
        self._database = database
        self._maker = maker
        self._reports = reports
        self._clock = clock
        self._making: dict[tuple[str, float], asyncio.Task[None]] = {}
        self.beat: float | None = None
        """When `run` last went round, by the monotonic clock."""
        self.problem: str | None = None
        """Why it could not look the last time; None where it could."""

    async def run(self) -> None:
        """Look every INTERVAL seconds, for ever."""
        try:
            while True:
                self.beat = time.monotonic()
                try:
                    await self.look()
                    self.problem = None
                except StoreUnavailable as error:
                    self.problem = str(error)
                await asyncio.sleep(INTERVAL)
        finally:
            await self._let_go()

    async def look(self) -> None:
        """Claim what is due, and begin to make what nobody makes. Raises: StoreUnavailable."""
        now = self._clock()
        for series_id in await self._database.ask(lambda connection: rows.due(connection, now)):
            await self._claim(series_id)
        for run in await self._database.ask(lambda connection: rows.unmade(connection, now)):
            if await self._holds(run):
                self._making[run.series_id, run.due] = asyncio.create_task(self._make_and_hold(run))
        for key, task in list(self._making.items()):
            if task.done():
                del self._making[key]

    async def made(self) -> None:
        """Return when nothing that was begun here is still being made."""
        await asyncio.gather(*self._making.values())

    async def _let_go(self) -> None:
        for task in self._making.values():
            task.cancel()
        for task in self._making.values():
            with suppress(asyncio.CancelledError):
                await task

    # -- what is due --------------------------------------------------------------------------------------------------

    async def _claim(self, series_id: str) -> None:
        """Have on record what becomes of the instants that are due, and when the next one is."""
        now = self._clock()

        async def change(connection: AsyncConnection) -> list[tuple[Series, SeriesRun]]:
            found = await rows.lock(connection, series_id)
            if found is None or found.next_at is None or found.next_at > now:
                return []  # another scheduler was faster
            try:
                recurrence = Recurrence(found.cron, found.zone)
            except InvalidInput as error:  # its zone is not known any more
                told = [_run(found, found.next_at, RunState.FAILED, now, str(error))]
                next_at = None
            else:
                due = recurrence.due(found.next_at, now)
                assert due is not None, "its first instant has passed"
                told = await self._became(connection, found, recurrence, due, now)
                next_at = recurrence.after(now)
            await rows.advance(connection, series_id, next_at)
            for run in told:
                await rows.record(connection, run)
                await self._tell(connection, found, run, now)
            return [(found, run) for run in told]

        for series, run in await self._database.write(change):
            _log(series, run)

    async def _became(
        self, connection: AsyncConnection, series: Series, recurrence: Recurrence, due: Due, now: float
    ) -> list[SeriesRun]:
        """What becomes of the instants that are due: of one at most a run, of all others that they were missed."""
        late = now - due.newest > LATE and series.missed is Missed.SKIP
        missed = due.instants if late else due.instants - 1
        told = []
        if missed:
            many = f"more than {COUNTED:,} runs" if due.instants >= COUNTED else counted(missed, "run")
            since = f", from {recurrence.written(due.oldest)} on" if missed > 1 else ""
            said = f"{many} missed{since}: no scheduler ran"
            told.append(_run(series, due.oldest, RunState.MISSED, now, said, missed))
        if late:
            return told
        before = await rows.under_way(connection, series.id)
        if before is None:
            told.append(_run(series, due.newest, RunState.DUE, now))
        else:
            when = recurrence.written(before.due)
            said = f"the run of {when} is not over yet: campaign {before.campaign_id}"
            told.append(_run(series, due.newest, RunState.SKIPPED, now, said))
        return told

    # -- making it ----------------------------------------------------------------------------------------------------

    async def _holds(self, run: SeriesRun) -> bool:
        now = self._clock()
        return await self._database.write(lambda connection: rows.hold(connection, run, now, now + LEASE))

    async def _make_and_hold(self, run: SeriesRun) -> None:
        """Make a run, and hold it until that is done."""
        holding = asyncio.create_task(self._hold_on(run))
        try:
            await self._make(run)
        except StoreUnavailable as error:  # it comes back when its lease has ended
            self.problem = str(error)
        finally:
            holding.cancel()

    async def _hold_on(self, run: SeriesRun) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            with suppress(StoreUnavailable):
                await self._database.write(lambda connection: rows.keep(connection, run, self._clock() + LEASE))

    async def _make(self, run: SeriesRun) -> None:
        """Raises: StoreUnavailable."""
        series = await self._database.ask(lambda connection: rows.get(connection, run.series_id))
        if series is None:
            return  # it was deleted
        maker = self._maker()
        try:
            await maker.send(series, run, self._started(run))
            await self._settle(series, run, RunState.STARTED)  # if it was not by us, but by hand
        except StoreUnavailable:
            raise
        except PASSING as error:
            if self._clock() - run.at < LATE:
                await self._again(maker, run, str(error))
            else:
                await self._fail(maker, series, run, f"{error} (tried for {LATE / 60:.0f} minutes)")
        except StentorError as error:
            await self._fail(maker, series, run, str(error))
        except Exception as error:  # whatever it is, no other run would be made any more
            logger.exception("series %s: its run could not be made", series.id)
            await self._fail(maker, series, run, f"{type(error).__name__}: {error}")

    def _started(self, run: SeriesRun) -> Along[Campaign]:
        """What is written with the start: that this run is the one that was started."""

        async def write(connection: AsyncConnection, campaign: Campaign) -> None:
            if await rows.settle(connection, run, RunState.STARTED, self._clock()):
                return
            known = await rows.run(connection, run.series_id, run.due)
            if known is None or known.state is not RunState.STARTED:  # else by this very call
                raise InvalidState(f"the run of campaign {campaign.id} is not due any more; nothing was started")

        return write

    async def _again(self, maker: Maker, run: SeriesRun, why: str) -> None:
        until, said = self._clock() + AGAIN, f"{why}; it is tried again"
        if not await self._database.write(lambda connection: rows.keep(connection, run, until, said)):
            await maker.discard(run)  # another scheduler has given it up, or its series was deleted

    async def _fail(self, maker: Maker, series: Series, run: SeriesRun, why: str) -> None:
        await self._settle(series, run, RunState.FAILED, why)
        await maker.discard(run)

    async def _settle(self, series: Series, run: SeriesRun, state: RunState, why: str | None = None) -> None:
        """Write what became of a run, and tell it, if nobody else has."""
        now = self._clock()
        became = _run(series, run.due, state, now, why)

        async def change(connection: AsyncConnection) -> bool:
            if new := await rows.settle(connection, run, state, now, why):
                await self._tell(connection, series, became, now)
            return new

        if await self._database.write(change):
            _log(series, became)

    async def _tell(self, connection: AsyncConnection, series: Series, run: SeriesRun, now: float) -> None:
        """Have people told of a run that is not sent, in the transaction that says so."""
        if run.state in (RunState.DUE, RunState.STARTED):
            return
        kind = EventKind.RUN_NOT_SENT
        told = ToldRun(series=series.id, name=series.name, due=run.due, state=run.state.value, reason=run.reason or "")
        event = ReportEvent(id=f"{kind}/{series.id}/{run.due:.0f}/{run.state}", kind=kind, at=now, run=told)
        targets = [name for name, each in self._reports.targets.items() if kind.setting in each.events]
        await outbox.record(connection, event, targets, now)


def _run(
    series: Series, due: float, state: RunState, now: float, reason: str | None = None, runs: int = 1
) -> SeriesRun:
    return SeriesRun(
        series_id=series.id,
        due=due,
        campaign_id=rows.run_id(series.id, due),
        state=state,
        reason=reason,
        runs=runs,
        at=now,
    )


def _log(series: Series, run: SeriesRun) -> None:
    if run.state in (RunState.DUE, RunState.STARTED):
        return  # the chronicle logs that the campaign starts
    facts = {"series": series.id, "title": series.name, "run": run.state.value, "campaign": run.campaign_id}
    logger.warning("series %s: a run is %s (%s)", series.name, run.state.value, run.reason, extra=facts)
