"""The lanes that are configured, and how they stand: `Stentor.lanes`. Nothing is changed by asking."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stentor.answer_times import AnswerTimeFigures, figures
from stentor.clock import steady
from stentor.config import lane_of, lanes
from stentor.queue.contract import Depth
from stentor.recording.report import LaneProblem, lane_problems
from stentor.runtime.resources import Resources
from stentor.runtime.role_signs import RoleSigns, RoleStatus
from stentor.settings import App
from stentor.store import role_processes
from stentor.store.role_processes import ProcessSign, ServedLane

LOOK_LASTS = 5.0
"""Seconds for which answer times that were looked up are told again. Senders tell new ones every ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatus:
    """How a lane stands."""

    lane: str
    depth: Depth
    """Batches in the queue."""
    problem: LaneProblem | None
    """Why it doesn't send just now."""
    answer_times: AnswerTimeFigures | None
    """How long the provider took to answer in the last minute; None: nothing was sent, or nobody timed it."""
    credentials_expire_at: float | None
    """When its credentials end by themselves, in epoch seconds, as the senders that run read them; None: never, or
    nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFacts:
    """What may be known of an app."""

    name: str
    channel: str
    lane: str
    settings: Mapping[str, Any]
    """What is set of it; of files their names alone, and no secret."""


class LaneControl:
    """The lanes of one configuration."""

    def __init__(self, resources: Resources) -> None:
        self._config = resources.config
        self._database = resources.database
        self._clock = resources.clock
        self._queue = resources.backend.queue
        self._signs = RoleSigns(resources)
        self._looking = asyncio.Lock()
        self._looked_at = -math.inf
        self._times: Mapping[str, AnswerTimeFigures] = {}

    async def all(self) -> list[LaneStatus]:
        """Every lane. Raises: StoreUnavailable, QueueUnavailable."""
        names = list(lanes(self._config))
        depths = await self._queue.depths(names)
        problems = await self._database.ask(lambda connection: lane_problems(connection, names))
        said = _by_lane(await self.processes())
        return [
            LaneStatus(
                lane=name,
                depth=depths.get(name, Depth()),
                problem=problems.get(name),
                answer_times=figures(*(each.timed for each in said.get(name, ()))),
                credentials_expire_at=min(
                    (each.expires_at for each in said.get(name, ()) if each.expires_at is not None), default=None
                ),
            )
            for name in names
        ]

    async def processes(self) -> list[ProcessSign]:
        """The processes of all roles, as they show themselves; also those that have shown no sign for up to an hour.

        Raises: StoreUnavailable.
        """
        return await self._database.ask(lambda connection: role_processes.all_signs(connection, self._clock))

    async def answer_times(self) -> Mapping[str, AnswerTimeFigures]:
        """How long each lane's provider took to answer in the last minute, of lanes on which anything was timed; as of
        `LOOK_LASTS` seconds ago at most. All who ask in this process share one look. Raises: StoreUnavailable.
        """
        async with self._looking:
            if steady() >= self._looked_at + LOOK_LASTS:
                said = _by_lane(await self.processes())
                found = {lane: figures(*(each.timed for each in served)) for lane, served in said.items()}
                self._times = {lane: each for lane, each in found.items() if each is not None}
                self._looked_at = steady()
            return self._times

    async def roles(self) -> list[RoleStatus]:
        """What the work shows of every role; see `role_signs`. Raises: StoreUnavailable, QueueUnavailable."""
        return await self._signs.look()

    def apps(self) -> list[AppFacts]:
        """Every app that is configured."""
        return [
            AppFacts(name=name, channel=app.channel, lane=lane_of(name, app), settings=_harmless(app))
            for name, app in self._config.apps.items()
        ]


def _by_lane(processes: Iterable[ProcessSign]) -> Mapping[str, Sequence[ServedLane]]:
    """What the senders that run say of each lane."""
    found: dict[str, list[ServedLane]] = {}
    for process in processes:
        if not process.is_silent:
            for lane, said in process.lanes.items():
                found.setdefault(lane, []).append(said)
    return found


def _harmless(app: App) -> dict[str, Any]:
    """The settings that are no secret and aren't left out."""
    shown = {}
    for name, field in type(app).model_fields.items():
        value = getattr(app, name)
        if field.repr and value is not None and value != field.default:
            shown[name] = value.name if isinstance(value, Path) else value
    return shown
