"""Lanes, apps and the queue as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stentor.access.scopes import Scope
from stentor.api.operation import Call, Operations
from stentor.errors import QueueUnavailable
from stentor.recording import shapes
from stentor.recording.shapes import LaneProblemShape, Shape
from stentor.runtime.shapes import BacklogShape, backlog

operations = Operations("Lanes and queue")


class LaneShape(Shape, frozen=True, kw_only=True):
    """What goes over one app of a provider."""

    lane: str
    """`channel/app`, e.g. `apns/ios`."""
    ready: int
    """Batches in the queue that can be taken now."""
    delayed: int
    """Batches that wait, for a retry or for a campaign that is paused."""
    leased: int
    """Batches that senders hold."""
    problem: LaneProblemShape | None
    """Why it doesn't send just now."""


class LanesShape(Shape, frozen=True, kw_only=True):
    lanes: list[LaneShape]


class RoleShape(Shape, frozen=True, kw_only=True):
    """What the work shows of a role. No role tells that it runs."""

    role: str
    """`planner`, `sender`, `recorder` or `scheduler`."""
    lane: str | None
    """Of senders, the lane. Null: the role works for all lanes."""
    state: str
    """`working`: it holds work. `idle`: there is nothing for it to do, and whether it runs doesn't show. `waited_for`:
    there is work that nobody holds just now. `hindered`: there is work, and the lane has a problem."""
    problem: LaneProblemShape | None
    """Why its work stands still, and what to do. Work that nobody takes is a problem after some seconds."""


class RolesShape(Shape, frozen=True, kw_only=True):
    roles: list[RoleShape]


class AppShape(Shape, frozen=True, kw_only=True):
    """An app's settings, without secrets."""

    name: str
    channel: str
    lane: str
    settings: Mapping[str, Any]
    """What is set of it in stentor.toml: ids, limits, the names of files. Never what is in those."""


class AppsShape(Shape, frozen=True, kw_only=True):
    apps: list[AppShape]


class DrainShape(Shape, frozen=True, kw_only=True):
    draining: bool
    """Whether campaigns are held back."""
    backlog: BacklogShape
    """What is under way."""


@operations.get("/lanes", Scope.VIEW, raises=(QueueUnavailable,))
async def list_lanes(call: Call) -> LanesShape:
    """All lanes that are configured: what is queued for each, and why one doesn't send."""
    found = await call.stentor.lanes.all()
    return LanesShape(
        lanes=[
            LaneShape(
                lane=each.lane,
                ready=each.depth.ready,
                delayed=each.depth.delayed,
                leased=each.depth.leased,
                problem=None if each.problem is None else shapes.problem(each.problem),
            )
            for each in found
        ]
    )


@operations.get("/roles", Scope.VIEW, raises=(QueueUnavailable,))
async def list_roles(call: Call) -> RolesShape:
    """What the work shows of each role: whether somebody does it, and why it stands still."""
    return RolesShape(
        roles=[
            RoleShape(
                role=each.role,
                lane=each.lane,
                state=each.state.value,
                problem=None if each.problem is None else shapes.problem(each.problem),
            )
            for each in await call.stentor.lanes.roles()
        ]
    )


@operations.get("/apps", Scope.VIEW)
async def list_apps(call: Call) -> AppsShape:
    """The apps that are configured, without secrets."""
    return AppsShape(
        apps=[
            AppShape(name=each.name, channel=each.channel, lane=each.lane, settings=each.settings)
            for each in call.stentor.lanes.apps()
        ]
    )


@operations.get("/queue", Scope.VIEW, raises=(QueueUnavailable,))
async def get_queue(call: Call) -> DrainShape:
    """What is under way, and whether campaigns are held back."""
    return await _queue(call)


@operations.put("/queue/drain", Scope.ADMIN, action="queue.drain", raises=(QueueUnavailable,))
async def drain_queue(call: Call) -> DrainShape:
    """Have no campaign start from now on. Those under way go on; look at the queue until nothing is left."""
    await call.stentor.queue.begin_drain()
    return await _queue(call)


@operations.delete("/queue/drain", Scope.ADMIN, action="queue.end_drain", raises=(QueueUnavailable,))
async def end_drain(call: Call) -> None:
    """Let campaigns start again."""
    await call.stentor.queue.end_drain()


async def _queue(call: Call) -> DrainShape:
    left = await call.stentor.queue.backlog()
    return DrainShape(draining=await call.stentor.queue.draining(), backlog=backlog(left))
