"""The lanes that are configured, and how they stand: `Stentor.lanes`. Nothing is changed by asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stentor.config import lane_of, lanes
from stentor.queue.contract import Depth
from stentor.recording.report import LaneProblem, lane_problems
from stentor.runtime.resources import Resources
from stentor.runtime.role_signs import RoleSigns, RoleStatus
from stentor.settings import App


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatus:
    """How a lane stands."""

    lane: str
    depth: Depth
    """Batches in the queue."""
    problem: LaneProblem | None
    """Why it doesn't send just now."""


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
        self._queue = resources.backend.queue
        self._signs = RoleSigns(resources)

    async def all(self) -> list[LaneStatus]:
        """Every lane. Raises: StoreUnavailable, QueueUnavailable."""
        names = list(lanes(self._config))
        depths = await self._queue.depths(names)
        problems = await self._database.ask(lambda connection: lane_problems(connection, names))
        return [LaneStatus(lane=name, depth=depths.get(name, Depth()), problem=problems.get(name)) for name in names]

    async def roles(self) -> list[RoleStatus]:
        """What the work shows of every role; see `role_signs`. Raises: StoreUnavailable, QueueUnavailable."""
        return await self._signs.look()

    def apps(self) -> list[AppFacts]:
        """Every app that is configured."""
        return [
            AppFacts(name=name, channel=app.channel, lane=lane_of(name, app), settings=_harmless(app))
            for name, app in self._config.apps.items()
        ]


def _harmless(app: App) -> dict[str, Any]:
    """The settings that are no secret and aren't left out."""
    shown = {}
    for name, field in type(app).model_fields.items():
        value = getattr(app, name)
        if field.repr and value is not None and value != field.default:
            shown[name] = value.name if isinstance(value, Path) else value
    return shown
