"""`Stentor`: everything that can be done, for programs; the command line is made of it.

Its parts, by what they are about: `campaigns`, `messages`, `outcomes`, `roles`, `queue`. Rules: a campaign exists, and
goes on, without whoever made it: all is in the store, and any process with the same settings may run, pause or ask
about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from stentor.config import Config
from stentor.runtime.campaigns import CampaignControl
from stentor.runtime.messages import MessageControl
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.queue_control import QueueControl
from stentor.runtime.resources import Resources
from stentor.runtime.roles import Roles
from stentor.store.migrate import migrate


class Stentor:
    """Campaigns over the store, audiences and apps of one configuration.

    Use as an async context manager.

    Example:
        async with Stentor(load()) as stentor:
            campaign = await stentor.campaigns.send(Content(message=Message(title="News")), Selection(source="users"))
            report = await stentor.roles.run(campaign.id)
            print(report.total.accepted)
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._resources = Resources.open(config, clock)
        self.outcomes = Outcomes(self._resources)
        """What became of campaigns: progress, report, failures, explanation, audit."""
        self.roles = Roles(self._resources, self.outcomes)
        """The processes that send: run a campaign, serve, or watch while others do."""
        self.queue = QueueControl(self._resources)
        """The queue as a whole: what is under way, and draining it."""
        self.campaigns = CampaignControl(self._resources, self.roles, self.queue)
        """Campaigns: made, started, paused, cancelled, repeated, taken back, found."""
        self.messages = MessageControl(self._resources, self.campaigns)
        """Transactional messages: sent to a few recipients before all campaigns, and looked up."""

    def __repr__(self) -> str:
        return f"<Stentor on {self._resources.database!r}>"

    def hindrance(self, after: float) -> str | None:
        """What something has waited for, for longer than `after` seconds, before it could begin: that the store lets it
        in. For people; None where nothing has."""
        return self._resources.database.hindrance(after)

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
        await self.messages.aclose()
        await self._resources.aclose()
