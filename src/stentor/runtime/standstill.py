"""Why a campaign stands still that nobody stopped: which role is missing, as far as store and queue show it.

Nothing tells who runs where, and nothing needs to. What shows is the work: a task that is ready and that nobody takes,
outcomes that nobody records. Rules: said only of what hasn't moved for a while, and never of a lane that waits for its
provider, has told of a problem itself, or holds work; so a quiet campaign isn't called a dead one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from stentor.audience.contract import NO_LANE
from stentor.queue.contract import PLAN, Depth, Outbox, Queue
from stentor.recording.report import LaneProblem, Progress
from stentor.runtime.child import Role
from stentor.states import CampaignState

STILL = 8.0
"""Seconds without a step, after which somebody should be missing."""
LOOK_AGAIN = 2.0
"""Seconds between two looks into the queue while nothing moves."""
REMEDY = (
    "nothing is working on it: check whether `stentor serve` is running, or `stentor worker {role}`; or run `stentor"
    " campaign resume {campaign}`, which sends it from here"
)


class Standstill:
    """Watches one campaign; made anew for each that is watched."""

    def __init__(
        self,
        queue: Queue,
        outbox: Outbox | None,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
        still: float | None = None,
    ) -> None:
        """Args:
        still: seconds without a step, after which somebody should be missing; `STILL` if left out.
        lease: seconds after which what a dead process held is given to another. A queue that isn't in the store may
            count it as held for longer.
        """
        self._queue = queue
        self._outbox = outbox
        self._lease = lease
        self._clock = clock
        self._still = STILL if still is None else still
        self._seen: object = None
        self._moved_at = clock()
        self._looked_at = -LOOK_AGAIN
        self._found: dict[str, LaneProblem] = {}
        self._is_still = False

    @property
    def is_still(self) -> bool:
        """Whether, as of the last look, nothing has moved for so long that somebody should be missing."""
        return self._is_still

    async def look(self, progress: Progress) -> Mapping[str, LaneProblem]:
        """By lane, who is missing; nothing while anything moves.

        Raises: StoreUnavailable: the queue cannot be reached.
        """
        now = self._clock()
        seen = (progress.campaign, progress.lanes)
        if seen != self._seen or not should_move(progress):
            self._seen, self._moved_at, self._found = seen, now, {}
        self._is_still = now - self._moved_at >= self._still and should_move(progress)
        if self._is_still and now - self._looked_at >= LOOK_AGAIN:
            self._looked_at = now
            self._found = await self._look(progress, now - self._moved_at)
        return self._found

    async def _look(self, progress: Progress, still: float) -> dict[str, LaneProblem]:
        waiting = {
            lane
            for lane, counts in progress.lanes.items()
            if counts.queued and not counts.in_flight and not counts.retrying and lane != NO_LANE
        }
        if not (progress.planned or progress.campaign.planning_over) and _is_due(progress):
            waiting.add(PLAN)
        waiting -= {lane for lane, problem in progress.problems.items() if problem.waiting is None}
        depths = await self._queue.depths(sorted(waiting))
        recording = bool(await self._outbox.tasks(progress.campaign_id)) if self._outbox else False
        held_for_long = still >= self._still + 2 * self._lease
        found: dict[str, LaneProblem] = {}
        for lane, depth in depths.items():
            if (missing := _missing(lane, depth, recording=recording, held_for_long=held_for_long)) is not None:
                what, role = missing
                remedy = REMEDY.format(role=role, campaign=progress.campaign_id)
                found[lane] = LaneProblem(problem=what, remedy=remedy)
        return found


def should_move(progress: Progress) -> bool:
    """Whether a campaign is one that somebody should be working on."""
    if progress.state is CampaignState.SCHEDULED:
        return progress.at > (progress.campaign.starts_at or 0.0)
    if progress.state is CampaignState.RUNNING:
        return not progress.resting
    return progress.state is CampaignState.CANCELLING


def _is_due(progress: Progress) -> bool:
    """Whether there is a step for planners to do."""
    if not progress.waves or progress.reading:
        return True
    return progress.next_wave is not None and progress.next_wave <= progress.at


def _missing(lane: str, depth: Depth, *, recording: bool, held_for_long: bool) -> tuple[str, Role] | None:
    """What shows that a role is missing, and which it is."""
    if depth.leased and not held_for_long:
        return None
    if depth.ready or depth.leased:
        role: Role = "planner" if lane == PLAN else "sender"
        return f"no {role} takes the work that is ready", role
    if depth.delayed:
        return None
    if lane == PLAN:
        return "its next step isn't in the queue, and no scheduler puts it there", "scheduler"
    return ("no recorder writes down its outcomes", "recorder") if recording else None
