"""Whether the roles do their work, as far as store and queue show it: part of `Stentor.lanes`.

What shows is the work: a task that somebody holds, one that is ready and that nobody takes, a campaign whose time is
past. Which processes run is another question, which they answer themselves (`presence.py`). Rules: a role with nothing
to do is called idle, though it may run nowhere; one is called missing only if what waits for it hasn't changed for
`STILL` seconds of this process' looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select

from stentor.config import lanes
from stentor.queue.contract import PLAN, Depth
from stentor.recording.report import LaneProblem, lane_problems
from stentor.runtime.child import Role
from stentor.runtime.resources import Resources
from stentor.runtime.standstill import STILL
from stentor.states import CampaignState
from stentor.store import flags
from stentor.store.tables import campaigns

REMEDY = "check whether `stentor serve` is running, or `stentor worker {role}`"


class RoleState(StrEnum):
    """What the work shows of a role."""

    WORKING = "working"
    """It holds work."""
    IDLE = "idle"
    """There is nothing for it to do."""
    WAITED_FOR = "waited_for"
    """There is work for it that nobody holds just now."""
    HINDERED = "hindered"
    """There is work for it, and its lane has a problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStatus:
    """What the work shows of one role."""

    role: Role
    lane: str | None
    """Of senders, the lane. None: the role works for all lanes."""
    state: RoleState
    problem: LaneProblem | None
    """Why its work stands still, and what to do."""


class RoleSigns:
    """Looks at the work of all roles. Each look asks queue and store a fixed number of times."""

    def __init__(self, resources: Resources, clock: Callable[[], float] = time.monotonic) -> None:
        self._lanes = list(lanes(resources.config))
        self._database = resources.database
        self._backend = resources.backend
        self._now = resources.clock
        self._clock = clock
        self._waiting: dict[str, tuple[object, float]] = {}
        """What waits for somebody, and since when it is seen so."""

    async def look(self) -> list[RoleStatus]:
        """All roles that the settings need. Raises: StoreUnavailable, QueueUnavailable."""
        depths = await self._backend.queue.depths([PLAN, *self._lanes])
        problems = await self._database.ask(lambda connection: lane_problems(connection, self._lanes))
        found = [self._taker("planner", None, depths.get(PLAN, Depth()), {})]
        found += [self._taker("sender", lane, depths.get(lane, Depth()), problems) for lane in self._lanes]
        found.append(self._waited_for("scheduler", await self._overdue(), "no scheduler starts what is due"))
        if self._backend.outbox is not None:
            waiting = await self._backend.outbox.waiting()
            found.append(self._waited_for("recorder", waiting, "no recorder writes down the outcomes"))
        return found

    def _taker(self, role: Role, lane: str | None, depth: Depth, problems: Mapping[str, LaneProblem]) -> RoleStatus:
        problem = None if lane is None else problems.get(lane)
        if problem is not None and problem.waiting is None and depth.total:  # the whole lane, not a part of it
            return RoleStatus(role=role, lane=lane, state=RoleState.HINDERED, problem=problem)
        if depth.leased:
            return RoleStatus(role=role, lane=lane, state=RoleState.WORKING, problem=None)
        return self._waited_for(role, depth.ready, f"no {role} takes the work that is ready", lane)

    def _waited_for(self, role: Role, number: int, problem: str, lane: str | None = None) -> RoleStatus:
        """What is said of a role that holds nothing, while so many things wait for it."""
        key, now = lane or role, self._clock()
        if not number:
            self._waiting.pop(key, None)
            return RoleStatus(role=role, lane=lane, state=RoleState.IDLE, problem=None)
        before = self._waiting.get(key)
        if before is None or before[0] != number:
            before = self._waiting[key] = number, now
        still = now - before[1]
        told = LaneProblem(problem=problem, remedy=REMEDY.format(role=role), since=self._now() - still)
        return RoleStatus(role=role, lane=lane, state=RoleState.WAITED_FOR, problem=told if still >= STILL else None)

    async def _overdue(self) -> int:
        """How many campaigns should have started some seconds ago; none while all are held back."""
        past = (campaigns.c.state == CampaignState.SCHEDULED.value) & (campaigns.c.starts_at < self._now() - STILL)
        if await self._database.ask(lambda connection: flags.get(connection, flags.DRAINING)) is not None:
            return 0
        [row] = await self._database.rows(select(func.count().label("many")).select_from(campaigns).where(past))
        return int(row.many)
