"""`Stentor`: everything that can be done, for programs; the command line is made of it.

Its parts, by what they are about: `campaigns`, `series`, `messages`, `outcomes`, `roles`, `queue`, `lanes`,
`segments`, `templates`, `care`, `installations`, `access`, `reports`; and `events`, what happens to campaigns. Rules: a
campaign exists, and goes on, without whoever made it: all is in the store, and any process with the same settings may
run, pause or ask about it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from stentor.config import Config
from stentor.runtime.access_control import AccessControl
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.care import CareControl
from stentor.runtime.changes import CampaignEvent
from stentor.runtime.child import Role
from stentor.runtime.events import Events
from stentor.runtime.installations import Installations
from stentor.runtime.lanes import LaneControl
from stentor.runtime.messages import MessageControl
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.presence import Presence
from stentor.runtime.queue_control import QueueControl
from stentor.runtime.replies import Replies
from stentor.runtime.reports import Reports
from stentor.runtime.resources import Resources
from stentor.runtime.roles import Roles
from stentor.runtime.segments import Segments
from stentor.runtime.series import SeriesControl
from stentor.runtime.templates import TemplateControl
from stentor.states import CampaignState
from stentor.store.migrate import check, migrate


class Stentor:
    """Campaigns over the store, audiences and apps of one configuration.

    Use as an async context manager.

    Example:
        async with Stentor(load()) as stentor:
            draft = Draft(Content(message=Message(title="News")), Selection(source="users"))
            campaign = await stentor.campaigns.send(draft)
            report = await stentor.roles.run(campaign.id)
            print(report.total.accepted)
    """

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float] = time.time,
        *,
        roles_elsewhere: bool = False,
        patience: float = 30.0,
    ) -> None:
        """Args:
        clock: epoch seconds.
        roles_elsewhere: this process starts no roles, not even to end a campaign that is undone while it is sent.
        patience: seconds for which an operation waits for a store that cannot be reached.
        """
        self._resources = Resources.open(config, clock, patience)
        self.outcomes = Outcomes(self._resources)
        """What became of campaigns: progress, report, failures, explanation, audit."""
        self.roles = Roles(self._resources, self.outcomes, elsewhere=roles_elsewhere)
        """The processes that send: run a campaign, serve, or watch while others do."""
        self.queue = QueueControl(self._resources)
        """The queue as a whole: what is under way, and draining it."""
        self.segments = Segments(self._resources)
        """Conditions over installations: saved by name, and counted."""
        self.care = CareControl(self._resources)
        """Whom campaigns leave alone: opt-outs and exclusion lists."""
        self.templates = TemplateControl(self._resources)
        """Messages saved by name, in all their versions."""
        self.campaigns = CampaignControl(self._resources, self.roles, self.queue, self.segments, self.care)
        """Campaigns: made, started, paused, cancelled, repeated, taken back, found."""
        self.series = SeriesControl(self._resources, self.campaigns)
        """Campaigns that recur: saved, paused, changed, and what became of their runs."""
        self.lanes = LaneControl(self._resources)
        """The lanes that are configured, and how they stand."""
        self.replies = Replies(self._resources)
        """What was answered to requests that may be repeated."""
        self.access = AccessControl(self._resources)
        """Who may do what: API keys, users, sessions, and the log of who did what."""
        self._events = Events(self._resources, self.outcomes, self.campaigns)
        self.reports = Reports(self._resources)
        """Reports and alarms: where they go to, what became of them, sent again."""
        self.installations = Installations(self._resources)
        """The registry: installations added, changed, looked up, deleted, erased."""
        self.messages = MessageControl(self._resources, self.campaigns)
        """Transactional messages: sent to a few recipients before all campaigns, and looked up."""

    def __repr__(self) -> str:
        return f"<Stentor on {self._resources.database!r}>"

    async def check(self) -> None:
        """See that the store's tables are as they must be. Raises: StoreOutdated, StoreUnavailable."""
        await check(self._resources.database)

    def shown_as(self, role: Role) -> AbstractAsyncContextManager[None]:
        """Within this context, it is shown that this process does a role's work; see `LaneControl.processes`."""
        return Presence(self._resources.database, role, clock=self._resources.clock).kept()

    def hindrance(self, after: float) -> str | None:
        """What something has waited for, for longer than `after` seconds, before it could begin: that the store lets it
        in. For people; None where nothing has."""
        return self._resources.database.hindrance(after)

    def events(self, campaign_id: str | None = None) -> AsyncGenerator[CampaignEvent, None]:
        """What happens to a campaign, as it happens: first all there is to know, then each change, until it is over.

        Progress is told a few times a second at most, and only if something has changed. Every event may be lost: each
        `Snapshot` and `ProgressMade` is whole in itself. Who is slow gets the newest state, and never a longer list.
        However many watch a campaign in this process, they share one look at the store.

        While the store is away that is told (`StoreAway`), and looking goes on by itself. Leave whenever you like; if
        this `Stentor` is closed first, the events end without a `CampaignEnded`.

        Args:
            campaign_id: the campaign; None: the starts, pauses and ends of all, and the problems of all lanes, without
                an end.

        Raises:
            UnknownCampaign: there is none of this id, or it was deleted meanwhile.
            StoreOutdated, InvalidConfiguration: the store cannot be used as it is.
        """
        return self._events.watch(campaign_id)

    def list_events(self, state: CampaignState | None = None) -> AsyncGenerator[CampaignEvent, None]:
        """The newest campaigns with their counts (`CampaignsListed`): as they are now, and again whenever anything of
        the list has changed, every two seconds at most. However many watch it in this process, they share one look.

        While the store is away that is told (`StoreAway`), as by `events`.

        Args:
            state: only campaigns in this state.

        Raises: StoreOutdated, InvalidConfiguration: the store cannot be used as it is.
        """
        return self._events.watch_list(state)

    async def __aenter__(self) -> Self:
        """Raises: StoreUnavailable, InvalidConfiguration."""
        try:
            await migrate(self._resources.database)
        except BaseException:
            await self._resources.database.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._events.aclose()
        await self.access.aclose()
        await self._resources.aclose()
