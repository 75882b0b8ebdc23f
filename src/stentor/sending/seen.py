"""What a lane's sender has seen of campaigns: their content as the lane sends it, refusals of it, pauses.

Rules: it is kept for as many campaigns as can be under way at a time, and the one that was asked for longest ago goes
first; what is forgotten is looked up, or learnt, again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from stentor.clock import steady
from stentor.providers.contract import Answer
from stentor.providers.lane import Lane, Prepared
from stentor.sending.desk import Desk

CAMPAIGNS = 1000
"""Campaigns of which anything is kept at most."""
CONTENTS = 16
"""Campaigns whose rendered content is kept at most."""


@dataclass(slots=True)
class Seen:
    """Of one campaign."""

    refused: Answer | None = None
    """Why the provider doesn't take its message, whoever gets it."""
    proven: bool = False
    """Whether anything of it was accepted, so that no later refusal concerns its message."""
    paused_at: float | None = None
    """Since when it was seen to be paused, by the steady clock."""

    def learn(self, *, accepted: int, refusal: Answer | None) -> None:
        """What came back of a batch of it."""
        if accepted:
            self.proven, self.refused = True, None
        elif refusal is not None and not self.proven:
            self.refused = refusal

    def pause(self, shortest: float, longest: float) -> float:
        """Seconds for which a batch of it is given back while it is paused: the longer the longer that has been so."""
        now = steady()
        if self.paused_at is None:
            self.paused_at = now
        return min(max(now - self.paused_at, shortest), longest)


class Campaigns:
    """Those that a lane's sender has seen."""

    def __init__(self, lane: Lane, desk: Desk) -> None:
        self._lane = lane
        self._desk = desk
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Campaigns: {len(self._seen)} seen, {len(self._prepared)} prepared>"

    def __getitem__(self, campaign_id: str) -> Seen:
        found = self._seen.setdefault(campaign_id, Seen())
        self._seen.move_to_end(campaign_id)
        if len(self._seen) > CAMPAIGNS:
            self._seen.popitem(last=False)
        return found

    async def prepare(self, campaign_id: str) -> Prepared:
        """Its content as the lane sends it.

        Raises: UnknownCampaign, StoreUnavailable, InvalidMessage.
        """
        prepared = self._prepared.get(campaign_id)
        if prepared is None:
            prepared = await self._lane.prepare(await self._desk.content(campaign_id))
            self._prepared[campaign_id] = prepared
            if len(self._prepared) > CONTENTS:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(campaign_id)
        return prepared
