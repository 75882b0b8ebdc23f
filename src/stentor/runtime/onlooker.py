"""A campaign as somebody sees it who looks on while roles elsewhere send it: how far it is, and which role is missing.

Rules: looking changes nothing; every look is one question to the store, and some to the queue only while nothing moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stentor.errors import QueueUnavailable
from stentor.pipeline import WAITING
from stentor.queue.contract import PLAN
from stentor.recording.report import LaneProblem, Progress, with_missing
from stentor.runtime.outcomes import Outcomes
from stentor.runtime.resources import Resources
from stentor.runtime.standstill import Standstill
from stentor.states import FINAL


class Onlooker:
    """Looks at one campaign again and again."""

    def __init__(
        self, resources: Resources, outcomes: Outcomes, campaign_id: str, *, still: float | None = None
    ) -> None:
        """Args:
        still: seconds without a step after which it is asked who is missing; None: as `Standstill` has it.
        """
        backend = resources.backend
        self._outcomes = outcomes
        self._campaign_id = campaign_id
        lease = resources.config.sending.lease
        self._standstill = Standstill(backend.queue, backend.outbox, lease, still=still)
        self.missing: Mapping[str, LaneProblem] = {}
        """Roles that run nowhere, as of the last look."""

    async def look(self) -> Progress:
        """How far it is. Its problems include the roles that are missing, if nothing has moved for some seconds.

        Raises: UnknownCampaign, StoreUnavailable.
        """
        progress = await self._outcomes.progress(self._campaign_id)
        self.missing = await self._missing(progress)
        problems = with_missing(progress.problems, self.missing)
        return replace(progress, problems=problems, still=self._standstill.is_still)

    async def _missing(self, progress: Progress) -> Mapping[str, LaneProblem]:
        """Who is missing; nobody can say where the queue is away."""
        try:
            return await self._standstill.look(progress)
        except QueueUnavailable as error:
            return {PLAN: LaneProblem(problem=str(error), remedy=WAITING)}


def is_over(progress: Progress) -> bool:
    """Whether nothing of the campaign changes any more: it has ended, and every recipient has an outcome."""
    return progress.state in FINAL and not progress.total.pending
