"""A sender's view of the campaigns: the port by which it learns of them. `runtime.desk.StoreDesk` is one."""

from __future__ import annotations

from typing import Protocol

from stentor.providers.lane import CampaignContent
from stentor.sending.gate import Problem
from stentor.states import CampaignState


class Desk(Protocol):
    """What a sender must know of campaigns, and whom it tells about its lane."""

    async def content(self, campaign_id: str) -> CampaignContent:
        """What the campaign sends. Raises: UnknownCampaign, StoreUnavailable."""

    async def state(self, campaign_id: str) -> CampaignState:
        """Its state, a fraction of a second old at most. Raises: UnknownCampaign, StoreUnavailable."""

    def halted(self, campaign_id: str) -> bool:
        """Whether nothing of it may be sent just now."""

    @property
    def stopped(self) -> bool:
        """Whether any campaign with work in the queue was cancelled or has failed."""

    @property
    def busy(self) -> bool:
        """Whether any campaign is being planned and sent, so that new work is to be expected."""

    async def report(self, lane: str, problem: Problem | None) -> None:
        """Tell everybody why a lane doesn't send, or that it does again."""
