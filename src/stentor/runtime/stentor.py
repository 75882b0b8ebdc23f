"""`Stentor`: everything that can be done, for programs; the command line is made of it.

Rules: a campaign exists, and goes on, without whoever made it: all is in the store, and any process with the same
settings may run, pause or ask about it. What is refused is refused before anything is sent.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Selection
from stentor.config import Config, lanes
from stentor.errors import InvalidConfiguration, InvalidState, QueueUnavailable
from stentor.model import Action
from stentor.pipeline import WAITING, call_off
from stentor.planning.content import Content, decode_content, encode_content
from stentor.planning.planner import Planner, start_task
from stentor.planning.retraction import correction, retraction
from stentor.planning.templates import check_text
from stentor.queue.contract import PLAN
from stentor.recording import report as reports
from stentor.recording.audit import Audit, audit, audit_apart
from stentor.recording.explain import Explanation, explain
from stentor.recording.losses import Losses
from stentor.recording.report import FailureRow, LaneProblem, Progress, Report
from stentor.runtime.backend import open_backend
from stentor.runtime.crew import Crew, rest
from stentor.runtime.desk import StoreDesk
from stentor.runtime.preview import LanePreview, Preview, preview_of
from stentor.runtime.sources import ConfiguredSources
from stentor.runtime.standstill import Standstill
from stentor.runtime.supervisor import Closing, Supervisor
from stentor.states import FINAL, CampaignState
from stentor.store import campaigns, flags
from stentor.store.campaigns import Campaign, new_id
from stentor.store.database import Database
from stentor.store.migrate import migrate

__all__ = ["Backlog", "LanePreview", "Preview", "Stentor"]

DRAIN_LOOK = 0.5
"""Seconds between two looks whether all is drained."""
LOOK = 0.25
"""Seconds between two looks at a campaign that runs."""
AGAIN = "it is started again by itself"
HELD_BACK = "no campaign can be started while the queue is being drained; `stentor drain --end` allows it again"
NOW_OR_NEVER = 60.0
"""Seconds for which a message with a lifetime of 0 is tried: it asks the provider to store nothing, not us to hurry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is under way, and would be lost with the queue."""

    campaigns: Mapping[str, CampaignState]
    """Those that are running or being cancelled, and stopped ones of which something is queued; by id."""
    recipients: int
    """Planned, and without an outcome."""
    batches: int
    """In the queue's lanes, held or not."""
    unrecorded: int
    """Messages of senders that recorders haven't written down yet; 0 where senders record by themselves."""

    @property
    def empty(self) -> bool:
        return not (self.campaigns or self.recipients or self.batches or self.unrecorded)


class Stentor:
    """Campaigns over the store, audiences and apps of one configuration.

    Use as an async context manager. Every method may raise `StoreUnavailable`.

    Example:
        async with Stentor(load()) as stentor:
            campaign = await stentor.send(Content(message=Message(title="News")), Selection(source="users"))
            report = await stentor.run(campaign.id)
            print(report.total.accepted)
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._clock = clock
        self._database = Database.open(config.store.url)
        self._backend = open_backend(config, self._database, clock)
        self._queue = self._backend.queue
        self._sources = ConfiguredSources(config, self._database)
        self._desk = StoreDesk(self._database, clock, self._backend.bell)
        self._crew = Crew(config, self._backend, self._database)
        self.closings: list[Closing] = self._crew.closings
        """What the processes of `roles` and `serve` cost, by their own account."""

    def __repr__(self) -> str:
        return f"<Stentor on {self._database!r}>"

    async def __aenter__(self) -> Self:
        try:
            await migrate(self._database)
        except BaseException:
            await self._database.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._backend.aclose()
        await self._sources.aclose()
        await self._database.aclose()

    # -- making campaigns -------------------------------------------------------------------------------------------

    async def prepare(
        self,
        content: Content,
        selection: Selection,
        *,
        title: str | None = None,
        starts_at: float | None = None,
        max_rate: float | None = None,
    ) -> Preview:
        """Check everything that can be checked, and count: for as long as it takes. Nothing is written or sent.

        Args:
            title: for people; the message's title if left out.
            starts_at: epoch seconds; None: now.
            max_rate: pushes a second that it is to be sent at most, over all lanes; None: as fast as they allow.

        Raises:
            InvalidMessage: a provider would refuse it; names the field.
            InvalidAudience: it cannot be read as configured, or nobody is in it.
            CredentialError: an app's credentials cannot be used.
            AudienceUnavailable: its database cannot be reached just now.
        """
        content.check()
        if title is not None:
            check_text("title", title)
        if starts_at is not None and starts_at < self._clock() - NOW_OR_NEVER:
            raise InvalidConfiguration("the campaign would start in the past; leave the time out to start it now")
        if max_rate is not None and not 0 < max_rate < math.inf:
            raise InvalidConfiguration(
                "the rate must be a number of pushes a second above 0; leave it out for no limit"
            )
        starts = starts_at or self._clock()
        preview = await preview_of(
            content, selection, starts, title=title, config=self._config, sources=self._sources, clock=self._clock
        )
        if max_rate is not None:
            preview = replace(preview, seconds=max(preview.seconds, preview.recipients / max_rate))
        return preview

    async def create(
        self,
        content: Content,
        selection: Selection,
        *,
        title: str | None = None,
        starts_at: float | None = None,
        preview: Preview | None = None,
        collapse_id: str | None = None,
        max_rate: float | None = None,
    ) -> Campaign:
        """Store a campaign as a draft, after the checks of `prepare`.

        Args:
            title: for people; the preview's, or else the message's title if left out.
            preview: what `prepare` said of it just now, so that it isn't checked and counted twice.
            collapse_id: the id of the campaign whose pushes these replace on a device that has them; its own if left
                out.
            max_rate: as for `prepare`.

        Raises: as `prepare`.
        """
        preview = preview or await self.prepare(content, selection, title=title, starts_at=starts_at, max_rate=max_rate)
        now = self._clock()
        campaign_id = new_id(now)
        campaign = Campaign(
            id=campaign_id,
            title=check_text("title", title or preview.title),
            state=CampaignState.DRAFT,
            audience=msgspec.json.encode(selection),
            collapse_id=collapse_id or campaign_id,
            created_at=now,
            starts_at=starts_at,
            max_rate=max_rate,
            expected={name: lane.recipients for name, lane in preview.lanes.items()}
            | ({NO_LANE: preview.unroutable} if preview.unroutable else {}),
        )
        await self._database.write(lambda connection: campaigns.add(connection, campaign, encode_content(content)))
        return campaign

    async def start(self, campaign_id: str) -> Campaign:
        """Start a draft: at once, or have it wait for its time.

        Raises:
            InvalidState: it isn't a draft, or no campaign may be started, as the queue is being drained.
            UnknownCampaign: there is none of this id.
        """
        now = self._clock()
        await self._refuse_while_draining()  # before anything is put into a queue that shares no transaction

        async def change(connection: AsyncConnection) -> None:
            if await flags.hold(connection, flags.DRAINING) is not None:
                raise InvalidState(HELD_BACK)
            campaign = await campaigns.get(connection, campaign_id)
            content = decode_content(await campaigns.content(connection, campaign_id))
            starts_at = max(now, campaign.starts_at or now)
            to = CampaignState.SCHEDULED if starts_at > now else CampaignState.RUNNING
            lifetime = content.message.ttl
            if lifetime is None:
                lifetime = math.ceil(self._config.sending.give_up_after)
            expires_at = starts_at + max(lifetime, NOW_OR_NEVER)
            if campaign.state is not CampaignState.DRAFT:
                raise InvalidState(f"campaign {campaign_id} is {campaign.state}; only a draft can be started")
            await campaigns.move(connection, campaign_id, to, starts_at=starts_at, expires_at=expires_at)

        await self._queue.settle(change, put=[start_task(campaign_id)])
        await self._backend.bell.ring()
        return await self.campaign(campaign_id)

    async def send(
        self,
        content: Content,
        selection: Selection,
        *,
        title: str | None = None,
        starts_at: float | None = None,
        preview: Preview | None = None,
        max_rate: float | None = None,
    ) -> Campaign:
        """Make a campaign and start it. `run`, here or in any other process, then sends it.

        Raises: as `prepare`; InvalidState: as `start`.
        """
        await self._refuse_while_draining()
        draft = await self.create(
            content, selection, title=title, starts_at=starts_at, preview=preview, max_rate=max_rate
        )
        return await self.start(draft.id)

    async def retry(self, campaign_id: str, *, reasons: Sequence[str] = ()) -> Campaign:
        """A new campaign, a draft, with the same message for those whom this one did not reach.

        Who saw the first push already sees the second in its place.

        Args:
            reasons: only those that failed for one of these. Left out: all but those whose address is dead.

        Raises:
            InvalidState: it is still being sent.
            InvalidAudience: there is nobody to try again.
        """
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        content = decode_content(encoded)
        if campaign.state not in FINAL:
            raise InvalidState(f"campaign {campaign_id} is {campaign.state}; wait for its end, or cancel it first")
        selection = msgspec.json.decode(campaign.audience, type=Selection)
        again = Selection(source=selection.source, failed_of=campaign_id, reasons=list(reasons))
        title = f"{campaign.title} (again)"
        return await self.create(content, again, title=title, collapse_id=campaign.collapse_id)

    async def prepare_undo(self, campaign_id: str, better: Content | None = None) -> Preview:
        """How many messages would be taken back, by lane; as `undo`, but for whom is reached until then. Nothing is
        written or sent.

        Raises: as `undo`.
        """
        campaign, content, selection = await self._instead(campaign_id, Action.UNDO, better)
        return await self.prepare(content, selection, title=_changed(campaign, Action.UNDO))

    async def prepare_edit(self, campaign_id: str, better: Content) -> Preview:
        """How many messages would be edited or replaced, by lane; as `prepare_undo`. Raises: as `undo`."""
        campaign, content, selection = await self._instead(campaign_id, Action.EDIT, better)
        return await self.prepare(content, selection, title=_changed(campaign, Action.EDIT))

    async def undo(self, campaign_id: str, better: Content | None = None) -> Campaign:
        """A new campaign, a draft, that takes back what this one sent. One that is being sent is cancelled first.

        Chats' messages are deleted. A push can only be replaced: by `better`, or by a silent one that tells the app to
        remove it. Who could not be served is among the new campaign's failures, with the reason.

        Raises:
            InvalidState: it is a draft, or takes back or edits another's messages itself.
            InvalidMessage: `better` would not replace the message, or a provider would refuse it.
            InvalidAudience: it reached nobody.
        """
        return await self._act(campaign_id, Action.UNDO, better)

    async def edit(self, campaign_id: str, better: Content) -> Campaign:
        """A new campaign, a draft, that puts `better` in the place of what this one sent: chats' messages are edited,
        pushes replaced. One that is being sent is cancelled first.

        Raises: as `undo`.
        """
        return await self._act(campaign_id, Action.EDIT, better)

    async def _act(self, campaign_id: str, action: Action, better: Content | None) -> Campaign:
        campaign, content, selection = await self._instead(campaign_id, action, better)
        if campaign.state not in FINAL:
            await self.cancel(campaign_id)
            await self.run(campaign_id)
        title = _changed(campaign, action)
        return await self.create(content, selection, title=title, collapse_id=campaign.collapse_id)

    async def _instead(
        self, campaign_id: str, action: Action, better: Content | None
    ) -> tuple[Campaign, Content, Selection]:
        """A campaign, what is to take the place of its message, and whom that concerns."""
        campaign, encoded = await self._database.ask(lambda connection: campaigns.whole(connection, campaign_id))
        content = decode_content(encoded)
        if content.action is not Action.SEND:
            raise InvalidState(f"campaign {campaign_id} changes what another one sent; undo or edit that one, not this")
        if campaign.state in (CampaignState.DRAFT, CampaignState.SCHEDULED):
            raise InvalidState(f"campaign {campaign_id} is {campaign.state}: it has sent nothing that could be changed")
        selection = msgspec.json.decode(campaign.audience, type=Selection)
        whom = Selection(source=selection.source, reached_by=campaign_id)
        if better is None:
            return campaign, retraction(content, campaign.collapse_id), whom
        better.check()
        return campaign, correction(content, better, action), whom

    # -- running them -----------------------------------------------------------------------------------------------

    def roles(self) -> AbstractAsyncContextManager[Supervisor]:
        """Planner and sender processes, for as long as this context lasts.

        `run` starts its own where there are none. To start them earlier saves the half second that they need to begin:
        while a person is still being asked, say. Whatever is queued is sent meanwhile.
        """
        return self._crew.at_work()

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
        async with self.roles() as supervisor:
            while not (stop is not None and stop.is_set()):
                supervisor.check()
                await self._desk.look()
                progress = await self.progress(campaign_id)
                deaths = {role: LaneProblem(problem=what, remedy=AGAIN) for role, what in supervisor.problems.items()}
                progress = replace(progress, problems={**progress.problems, **deaths})
                if on_progress is not None:
                    on_progress(progress)
                if progress.state is CampaignState.PAUSED or (progress.state in FINAL and not progress.total.pending):
                    break
                await rest(LOOK, stop)
        return await self.report(campaign_id)

    async def serve(
        self,
        stop: asyncio.Event,
        *,
        senders: int | None = None,
        planners: int = 1,
        recorders: int | None = None,
        listen: str | None = None,
    ) -> None:
        """Run all roles of a machine until `stop`, whatever campaigns there are, and start again those that die.

        While the store or the queue is away they wait. `closings` tells what they cost.

        Args:
            senders: processes that send; None: as `SendingConfig.senders` says.
            recorders: processes that record what senders tell; None: one where the queue has senders tell them.
            listen: where to answer probes for all of them (`HOST:PORT`, port 0: the system's choice); None: nowhere.

        Raises:
            InvalidConfiguration: it cannot listen there, the queue cannot be used, or has no use for recorders.
            QueueUnavailable: the queue cannot be reached.
            WorkerFailed: one of the processes doesn't get to work, however often it is started.
        """
        await self._crew.serve(stop, senders=senders, planners=planners, recorders=recorders, listen=listen)

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
        standstill = Standstill(self._queue, self._backend.outbox, self._config.sending.lease)
        while not (stop is not None and stop.is_set()):
            progress = await self.progress(campaign_id)
            missing = await self._missing(standstill, progress)
            if on_progress is not None:
                on_progress(replace(progress, problems={**missing, **progress.problems}))
            if progress.state in FINAL and not progress.total.pending:
                break
            await rest(LOOK, stop)
        return await self.report(campaign_id)

    # -- replacing the queue ----------------------------------------------------------------------------------------

    async def drain(
        self,
        *,
        on_progress: Callable[[Backlog], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Backlog:
        """Have no campaign start from now on, and wait until those under way have ended and the queue is empty.

        Roles must be running somewhere. Scheduled campaigns wait, also beyond their time; paused ones of which
        something is queued must be resumed or cancelled. It stays so until `end_drain`, whoever asks.

        Args:
            on_progress: told what is left a few times a second.
            stop: set it to wait no longer.

        Returns: what is left: nothing, unless it was stopped.
        """
        await self._database.write(lambda connection: flags.put(connection, flags.DRAINING, "yes", self._clock()))
        while True:
            left = await self.backlog()
            if on_progress is not None:
                on_progress(left)
            if left.empty or (stop is not None and stop.is_set()):
                return left
            await rest(DRAIN_LOOK, stop)

    async def end_drain(self) -> None:
        """Let campaigns start again. Does nothing where they may."""
        await self._database.write(lambda connection: flags.put(connection, flags.DRAINING, None, self._clock()))
        await self._backend.bell.ring()

    async def draining(self) -> bool:
        """Whether no campaign may be started."""
        return await self._database.ask(lambda connection: flags.get(connection, flags.DRAINING)) is not None

    async def backlog(self) -> Backlog:
        """What is under way just now."""
        await self._desk.look()
        under_way, recipients = await self._database.ask(campaigns.under_way)
        depths = await self._queue.depths(lanes(self._config))
        outbox = self._backend.outbox
        return Backlog(
            campaigns=under_way,
            recipients=recipients,
            batches=sum(depth.total for depth in depths.values()),
            unrecorded=0 if outbox is None else await outbox.waiting(),
        )

    # -- stopping them ----------------------------------------------------------------------------------------------

    async def pause(self, campaign_id: str) -> Campaign:
        """Send nothing more of it until it is resumed. Takes effect within a second. Raises: InvalidState."""
        return await self._move(campaign_id, CampaignState.PAUSED)

    async def resume(self, campaign_id: str) -> Campaign:
        """Go on with a paused campaign. Raises: InvalidState."""

        async def change(connection: AsyncConnection) -> None:
            campaign = await campaigns.get(connection, campaign_id)
            if campaign.state not in (CampaignState.PAUSED, CampaignState.RUNNING, CampaignState.SCHEDULED):
                raise InvalidState(f"campaign {campaign_id} is {campaign.state}; only a paused one can be resumed")
            waits = (campaign.starts_at or 0.0) > self._clock()
            to = CampaignState.SCHEDULED if waits else CampaignState.RUNNING
            if campaign.state is CampaignState.PAUSED:
                await campaigns.move(connection, campaign_id, to)

        await self._database.write(change)
        await self._backend.bell.ring()
        return await self.campaign(campaign_id)

    async def cancel(self, campaign_id: str) -> Campaign:
        """Send nothing more of it, ever, and settle what is queued as cancelled. Takes effect within a second.

        Returns: it is `cancelled`, unless some process holds a part of it (or was killed in the last
        `SendingConfig.lease` seconds while it did): then it is `cancelling`, and whoever runs it ends it, or a second
        call of this.

        Raises: InvalidState: it has ended otherwise already.
        """
        campaign = await self.campaign(campaign_id)
        if campaign.state is CampaignState.CANCELLED:
            return campaign
        draft = campaign.state is CampaignState.DRAFT
        await self._move(campaign_id, CampaignState.CANCELLED if draft else CampaignState.CANCELLING)
        planner = Planner(self._queue, self._config.sending, tuple(lanes(self._config)), self._clock)
        await call_off(self._queue, self._backend.ledger, planner, campaign_id, self._clock)
        await self._desk.look()
        return await self.campaign(campaign_id)

    # -- asking about them ------------------------------------------------------------------------------------------

    async def campaigns(self, *, state: CampaignState | None = None, limit: int = 50) -> list[Campaign]:
        """The newest first."""
        states = None if state is None else [state]
        return await self._database.ask(lambda connection: campaigns.newest(connection, states=states, limit=limit))

    async def campaign(self, campaign_id: str) -> Campaign:
        """Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: campaigns.get(connection, campaign_id))

    async def progress(self, campaign_id: str) -> Progress:
        """Where every recipient is at this moment. Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: reports.progress(connection, campaign_id, self._clock()))

    async def report(self, campaign_id: str) -> Report:
        """What became of a campaign so far, with the reasons of those not reached. Raises: UnknownCampaign."""
        return await self._database.ask(lambda connection: reports.report(connection, campaign_id, self._clock()))

    async def audit(self, campaign_id: str) -> Audit:
        """Recount everything, and compare. Raises: UnknownCampaign; QueueUnavailable: the queue isn't in the store."""
        if (outbox := self._backend.outbox) is None:
            return await self._database.ask(lambda connection: audit(connection, campaign_id, self._clock()))
        losses = Losses(self._database, self._queue, outbox)
        return await audit_apart(self._database, losses, campaign_id, self._clock())

    def failures(
        self, campaign_id: str, *, lane: str | None = None, reason: str | None = None, dead: bool | None = None
    ) -> AsyncIterator[FailureRow]:
        """Who was not reached, and why."""
        return reports.failures(self._database, campaign_id, lane=lane, reason=reason, dead=dead)

    async def explain(self, campaign_id: str, installation: str) -> Explanation:
        """What became of one recipient, from planning to the provider's answer. Raises: UnknownCampaign."""
        apart = self._backend.outbox is not None
        return await self._database.ask(
            lambda connection: explain(connection, campaign_id, installation, self._clock(), queue_apart=apart)
        )

    # -- helpers ----------------------------------------------------------------------------------------------------

    async def _refuse_while_draining(self) -> None:
        if await self.draining():
            raise InvalidState(HELD_BACK)

    async def _refuse_draft(self, campaign_id: str) -> None:
        if (await self.campaign(campaign_id)).state is CampaignState.DRAFT:
            raise InvalidState(f"campaign {campaign_id} is a draft; start it first")

    async def _missing(self, standstill: Standstill, progress: Progress) -> Mapping[str, LaneProblem]:
        """Who is missing; nobody can say where the queue is away."""
        try:
            return await standstill.look(progress)
        except QueueUnavailable as error:
            return {PLAN: LaneProblem(problem=str(error), remedy=WAITING)}

    async def _move(self, campaign_id: str, to: CampaignState) -> Campaign:
        await self._database.write(lambda connection: campaigns.move(connection, campaign_id, to))
        await self._backend.bell.ring()
        return await self.campaign(campaign_id)


def _changed(campaign: Campaign, action: Action) -> str:
    """The title of a campaign that changes what this one sent."""
    return f"{campaign.title} ({'taken back' if action is Action.UNDO else 'edited'})"
