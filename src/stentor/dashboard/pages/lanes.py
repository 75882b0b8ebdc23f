"""Lanes, roles, apps and the queue: what stands still, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.dashboard.page import Pages
from stentor.dashboard.visit import Visit
from stentor.runtime.lanes import AppFacts
from stentor.runtime.role_signs import RoleState
from stentor.runtime.sentences import sign_of
from stentor.store.role_processes import ProcessSign

pages = Pages()
STATES = {
    RoleState.WORKING: ("at work", "good"),
    RoleState.IDLE: ("nothing to do", ""),
    RoleState.WAITED_FOR: ("waited for", "wait"),
    RoleState.HINDERED: ("hindered", "bad"),
}
DUTIES = {
    "planner": "reads audiences, and makes batches of them",
    "sender": "sends batches to the provider",
    "recorder": "writes down what providers answered",
    "scheduler": "starts campaigns on time, and completes them",
    "api": "answers programs, and shows these pages",
}
SOON = 30 * 86_400.0
"""Seconds before the end of an app's credentials from which on the page warns of it."""
SHOWN_ELSEWHERE = ("channel", "rate", "max_connections")


@pages.get("/lanes", Scope.VIEW)
async def show_lanes(visit: Visit) -> Response:
    stentor = visit.stentor
    apps = {each.lane: each for each in stentor.lanes.apps()}
    processes = await stentor.lanes.processes()
    return await visit.render(
        "lanes.html",
        lanes=await stentor.lanes.all(),
        apps=apps,
        settings={lane: _settings(each) for lane, each in apps.items()},
        roles=await stentor.lanes.roles(),
        processes=[(each, sign_of(each)) for each in processes],
        running=partial(_running, processes),
        soon=visit.now + SOON,
        now=visit.now,
        states=STATES,
        duties=DUTIES,
        backlog=await stentor.queue.backlog(),
        draining=await stentor.queue.draining(),
    )


@pages.get("/lanes/drain", Scope.ADMIN)
async def confirm_draining(visit: Visit) -> Response:
    return await visit.render("drain.html", backlog=await visit.stentor.queue.backlog())


@pages.post("/lanes/drain", Scope.ADMIN, action="queue.drain")
async def drain(visit: Visit) -> Response:
    await visit.stentor.queue.begin_drain()
    return visit.go("/lanes", "draining")


@pages.post("/lanes/drain/end", Scope.ADMIN, action="queue.end_drain")
async def end_drain(visit: Visit) -> Response:
    await visit.stentor.queue.end_drain()
    return visit.go("/lanes", "drain-ended")


def _running(processes: Sequence[ProcessSign], role: str, lane: str | None) -> int:
    """How many processes do a role's work; of senders, on this lane."""
    return sum(each.role == role and (lane is None or lane in each.lanes) and not each.is_silent for each in processes)


def _settings(app: AppFacts) -> dict[str, Any]:
    """Those that tell apps apart: ids, and the names of files."""
    return {name: value for name, value in app.settings.items() if name not in SHOWN_ELSEWHERE}
