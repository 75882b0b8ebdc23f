"""The processes that do the roles' work on one machine: `Stentor.roles`.

Those of a campaign that is run here, or all of them to serve; or others', that are only watched. Rules: what runs, and
how many of each, follows from the settings and the queue; each process gets its settings from a `Supervisor`, which
starts again those that die; none outlives whoever started it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace

from stentor.errors import InvalidConfiguration, InvalidState, StoreUnavailable
from stentor.planning.caretaker import Caretaker
from stentor.recording import chronicle
from stentor.recording.failure_share import FailureWatch
from stentor.recording.report import LaneProblem, Progress, Report
from stentor.reporting.reporter import Reporter
from stentor.runtime.child import Role
from stentor.runtime.doors import address_of, doors_of
from stentor.runtime.onlooker import Onlooker, is_over
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.reports import reporter_for
from stentor.runtime.resources import Resources
from stentor.runtime.rest import rest
from stentor.runtime.standstill import should_move
from stentor.runtime.supervisor import Closing, Supervisor
from stentor.states import FINAL, CampaignState
from stentor.store import campaigns

logger = logging.getLogger(__name__)

REPORT_WITHIN = 20.0
"""Seconds for which a process that has sent a campaign waits for its report to go out."""
LOOK = 0.25
"""Seconds between two looks at the processes, and at a campaign that runs."""
SEEN_OUT_WITHIN = 20.0
"""Seconds for which `see_out` looks on."""
GLANCE = 4.0
"""Seconds for which a glance at a campaign waits for a step of it."""
AGAIN = "it is started again by itself"
NO_APPS = "there is nobody to send to, so no senders run: add an app under [apps] in stentor.toml, and start this again"
NO_RECORDERS = "there is no work for recorders: the queue is in the store, where senders record by themselves"


class Roles:
    """Starts processes, and sees them out. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources, outcomes: Outcomes, *, elsewhere: bool = False) -> None:
        """Args:
        elsewhere: this process starts no others; whoever sends runs already.
        """
        self._elsewhere = elsewhere
        self._resources = resources
        self._config = resources.config
        self._clock = resources.clock
        self._database = resources.database
        self._backend = resources.backend
        self._desk = resources.desk
        self._outcomes = outcomes
        self._supervisor: Supervisor | None = None
        self.closings: list[Closing] = []
        """What the processes cost that are gone, by their own account."""

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Supervisor]:
        """What it takes to send a campaign, for as long as this context lasts. Within another one it is the same.

        `run` starts its own where there are none. To start them earlier saves the half second that they need to begin:
        while a person is still being asked, say. Whatever is queued is sent meanwhile.
        """
        if self._supervisor is not None:
            yield self._supervisor
            return
        roles: list[Role] = ["planner", *self._senders()]
        if self._backend.outbox is not None:
            roles += ["recorder", "scheduler"]
        relay = self._config.logging.level is not None
        scheduled = "scheduler" in roles
        async with (
            self._cared_for(scheduled),
            self._reported(scheduled),
            self._chronicled(scheduled),
            self._failures_watched(scheduled),
            Supervisor(self._config, roles, relay=relay) as supervisor,
        ):
            self._supervisor = supervisor
            try:
                yield supervisor
            finally:
                self._supervisor = None
        self.closings += supervisor.closings

    async def run(
        self,
        campaign_id: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Report:
        """Run planner and sender processes until the campaign has ended or is paused.

        Whatever else is queued is sent along. Others may run at the same time, on this machine or, with PostgreSQL,
        on others.

        Args:
            on_progress: told how it goes a few times a second.
            stop: set it to stop gracefully; the campaign stays as it is, and goes on when it is run again.

        Raises:
            InvalidState: it is a draft, which must be started first.
            WorkerFailed: the processes don't get to work; says what they complain of.
            UnknownCampaign: there is none of this id.
        """
        await self._refuse_draft(campaign_id)
        async with self.at_work() as supervisor:
            while not (stop is not None and stop.is_set()):
                supervisor.check()
                await self._desk.look()
                progress = await self._outcomes.progress(campaign_id)
                deaths = {role: LaneProblem(problem=what, remedy=AGAIN) for role, what in supervisor.problems.items()}
                progress = replace(progress, problems={**progress.problems, **deaths})
                if on_progress is not None:
                    on_progress(progress)
                if progress.state is CampaignState.PAUSED or is_over(progress):
                    break
                await rest(LOOK, stop)
        return await self._outcomes.report(campaign_id)

    async def see_out(self, campaign_id: str) -> None:
        """Wait until a campaign that is being cancelled is over: run it, or where roles run elsewhere, look on.

        Raises: InvalidState: whoever runs it takes longer than `SEEN_OUT_WITHIN` seconds.
        """
        if not self._elsewhere:
            await self.run(campaign_id)
            return
        stop = asyncio.Event()
        late = asyncio.get_running_loop().call_later(SEEN_OUT_WITHIN, stop.set)
        try:
            report = await self.watch(campaign_id, stop=stop)
        finally:
            late.cancel()
        if report.campaign.state not in FINAL or report.total.pending:
            raise InvalidState(
                f"campaign {campaign_id} is still being cancelled; do the same again in some seconds. If that doesn't"
                " help, see that `stentor serve` runs"
            )

    async def stop(self) -> None:
        """End the processes that are at work, if there are any: they finish what they hold, or give it back."""
        if self._supervisor is not None:
            await self._supervisor.stop()

    async def watch(
        self,
        campaign_id: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Report:
        """Look on while others run a campaign, until it has ended. Changes nothing.

        Where it doesn't get on because a role runs nowhere, `Progress.problems` says so after some seconds.

        Args:
            on_progress: told how it goes a few times a second.
            stop: set it to look no longer.

        Raises:
            InvalidState: it is a draft, which must be started first.
            UnknownCampaign: there is none of this id.
        """
        await self._refuse_draft(campaign_id)
        onlooker = Onlooker(self._resources, self._outcomes, campaign_id)
        while not (stop is not None and stop.is_set()):
            progress = await onlooker.look()
            if on_progress is not None:
                on_progress(progress)
            if is_over(progress):
                break
            await rest(LOOK, stop)
        return await self._outcomes.report(campaign_id)

    async def glance(self, campaign_id: str) -> Progress:
        """How far a campaign is now. If it should be getting on, this looks until it does, for GLANCE seconds at most.

        `Progress.problems` says if a role runs nowhere. `Progress.still` says that nothing moved while this looked.

        Raises: UnknownCampaign: there is none of this id.
        """
        onlooker = Onlooker(self._resources, self._outcomes, campaign_id, still=GLANCE)
        begun = time.monotonic()
        first = progress = await onlooker.look()
        while should_move(progress) and (progress.campaign, progress.lanes) == (first.campaign, first.lanes):
            if onlooker.missing or time.monotonic() - begun >= GLANCE + LOOK:
                return replace(progress, still=True)
            await rest(LOOK, None)
            progress = await onlooker.look()
        return progress

    async def serve(
        self,
        stop: asyncio.Event,
        *,
        senders: int | None = None,
        planners: int = 1,
        recorders: int | None = None,
        listen: str | None = None,
        api: bool | None = None,
        opened_at: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Run all roles of a machine until `stop`, whatever campaigns there are, and start again those that die.

        While the store or the queue is away they wait. Without an app there are no senders. `closings` tells what the
        processes cost.

        Args:
            senders: processes that send; None: as `SendingConfig.senders` says.
            recorders: processes that record what senders tell; None: one where the queue has senders tell them.
            listen: where to answer probes for all of them (`HOST:PORT`, port 0: the system's choice); None: nowhere.
            api: whether to open the API and the dashboard; None: as `ApiConfig.enabled` says.
            opened_at: told where people reach the dashboard, when its process has started.

        Raises:
            InvalidConfiguration: it cannot listen there, the queue cannot be used, or has no use for recorders.
            QueueUnavailable: the queue cannot be reached.
            WorkerFailed: one of the processes doesn't get to work, however often it is started.
        """
        if recorders and self._backend.outbox is None:
            raise InvalidConfiguration(NO_RECORDERS)
        await self._backend.ready()
        with suppress(StoreUnavailable):
            await self._reporter().begin()
        if not self._config.apps:
            logger.warning("%s", NO_APPS)
            senders = 0
        roles: list[Role] = [*_times("planner", planners), *self._senders(senders), "scheduler"]
        if self._backend.outbox is not None:
            roles += _times("recorder", 1 if recorders is None else recorders)
        doors = doors_of(self._config.api) if api or api is None else []
        if doors:
            roles.append("api")
        with ExitStack() as opened:
            for door in doors:
                opened.enter_context(door)
            supervisor = Supervisor(self._config, roles, listen=listen, relay=True, doors=doors)
            telling = None
            if doors and opened_at is not None:
                address = self._config.api.public_url or address_of(self._config.api, doors[0])
                telling = asyncio.create_task(_tell_when_open(supervisor, address, opened_at))
            try:
                await self._serve(supervisor, stop)
            finally:
                if telling is not None:
                    telling.cancel()
                    with suppress(asyncio.CancelledError):
                        await telling

    async def _serve(self, supervisor: Supervisor, stop: asyncio.Event) -> None:
        async with supervisor:
            if supervisor.address is not None:
                logger.info("answering probes on http://%s", supervisor.address)
            while not stop.is_set():
                supervisor.check()
                await rest(LOOK, stop)
            logger.info("stopping")
        self.closings += supervisor.closings

    @asynccontextmanager
    async def _cared_for(self, by_scheduler: bool) -> AsyncIterator[None]:
        """Put what another queue held, and waves in time, where no scheduler does."""
        if by_scheduler:
            yield
            return
        caretaker = Caretaker(self._database, self._backend.queue, self._clock)
        await caretaker.look()
        caring = asyncio.create_task(caretaker.run())
        try:
            yield
        finally:
            caring.cancel()
            await asyncio.wait([caring])

    @asynccontextmanager
    async def _chronicled(self, by_scheduler: bool) -> AsyncIterator[None]:
        """Log what becomes of campaigns meanwhile, where no scheduler does and somebody reads it."""
        if by_scheduler or not logging.getLogger(chronicle.__name__).isEnabledFor(logging.INFO):
            yield
            return
        kept = chronicle.Chronicle(self._database, self._clock)
        await kept.look()
        keeping = asyncio.create_task(kept.run())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        with suppress(StoreUnavailable):
            await kept.look()

    @asynccontextmanager
    async def _failures_watched(self, by_scheduler: bool) -> AsyncIterator[None]:
        """Pause campaigns meanwhile of which too much fails, where no scheduler does."""
        if by_scheduler:
            yield
            return
        watching = asyncio.create_task(
            FailureWatch(self._database, self._config.sending.pause_after, self._clock).run()
        )
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    @asynccontextmanager
    async def _reported(self, by_scheduler: bool) -> AsyncIterator[None]:
        """Report what happens meanwhile, where no scheduler does. At the end report what is left, for some seconds: a
        scheduler was told to stop as soon as the campaign had ended. What cannot be told by then is told by the next
        process."""
        reporter = self._reporter()
        with suppress(StoreUnavailable):
            await reporter.begin()
        reporting = None if by_scheduler else asyncio.create_task(reporter.run())
        ended = False
        try:
            yield
            ended = True
        finally:
            if reporting is not None:
                reporting.cancel()
                await asyncio.wait([reporting])
            if ended:  # who is interrupted waits for no report
                await reporter.finish(REPORT_WITHIN)

    def _reporter(self) -> Reporter:
        backend = self._backend
        return reporter_for(self._config, self._database, backend.queue, backend.outbox, self._clock, roles_known=True)

    def _senders(self, number: int | None = None) -> list[Role]:
        return _times("sender", (self._config.sending.senders or os.cpu_count() or 1) if number is None else number)

    async def _refuse_draft(self, campaign_id: str) -> None:
        campaign = await self._database.ask(lambda connection: campaigns.get(connection, campaign_id))
        if campaign.state is CampaignState.DRAFT:
            raise InvalidState(f"campaign {campaign_id} is a draft; start it first")


async def _tell_when_open(supervisor: Supervisor, address: str, tell: Callable[[str], Awaitable[None]]) -> None:
    """Tell where the dashboard is, as soon as it answers there."""
    if await supervisor.begun("api"):
        await tell(address)


def _times(role: Role, number: int) -> list[Role]:
    return [role] * number
