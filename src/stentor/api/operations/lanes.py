"""Lanes, apps and the queue as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stentor.access.scopes import Scope
from stentor.answer_times import AnswerTimeFigures
from stentor.api.operation import Call, Operations
from stentor.errors import QueueUnavailable
from stentor.recording import shapes
from stentor.recording.shapes import LaneProblemShape, Shape
from stentor.runtime.shapes import BacklogShape, RolesShape, backlog, roles

operations = Operations("Lanes and queue")


class AnswerTimesShape(Shape, frozen=True, kw_only=True):
    """How long a lane's provider took to answer, over all campaigns and senders, in seconds from a request to its
    answer. Over HTTP/2, each connection times one request at a time."""

    timed: int
    """Answers that were timed."""
    median: float
    """Half of them came within this time."""
    slowest: float
    """99 of 100 came within this time."""


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
    answer_times: AnswerTimesShape | None
    """How long the provider took to answer in the last minute. Null: nothing was sent, or nobody timed it."""
    credentials_expire_at: float | None
    """When the app's credentials end by themselves, as the senders that run read them: of a certificate for APNs. Null:
    never, or nobody knows."""


class LanesShape(Shape, frozen=True, kw_only=True):
    lanes: list[LaneShape]


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
    """All configured lanes: what is queued, how fast the provider answers, and why one doesn't send."""
    found = await call.stentor.lanes.all()
    return LanesShape(
        lanes=[
            LaneShape(
                lane=each.lane,
                ready=each.depth.ready,
                delayed=each.depth.delayed,
                leased=each.depth.leased,
                problem=None if each.problem is None else shapes.problem(each.problem),
                answer_times=None if each.answer_times is None else _answer_times(each.answer_times),
                credentials_expire_at=each.credentials_expire_at,
            )
            for each in found
        ]
    )


@operations.get("/roles", Scope.VIEW, raises=(QueueUnavailable,))
async def list_roles(call: Call) -> RolesShape:
    """The roles: whether somebody does their work, why it stands still, and which processes do it."""
    lanes = call.stentor.lanes
    return roles(await lanes.roles(), await lanes.processes())


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


def _answer_times(found: AnswerTimeFigures) -> AnswerTimesShape:
    return AnswerTimesShape(timed=found.timed, median=round(found.median, 4), slowest=round(found.slowest, 4))


async def _queue(call: Call) -> DrainShape:
    left = await call.stentor.queue.backlog()
    return DrainShape(draining=await call.stentor.queue.draining(), backlog=backlog(left))
