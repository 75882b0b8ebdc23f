"""The roles in the test's own process, for what must be done to them from within."""

from __future__ import annotations

import asyncio
import time

from stentor import pipeline
from stentor.meter import Meter
from stentor.providers.channels import open_lane
from stentor.runtime.ports import open_backend, ports_for
from stentor.runtime.sources import ConfiguredSources
from stentor.states import FINAL
from stentor.store.database import Database
from tests.integration.kill.stage import Stage


class Clock:
    """The time of day, moved on over leases."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


async def run_roles(stage: Stage, database: Database, clock: Clock) -> None:
    """Planner and sender until the campaign's end. The database is closed."""
    config, stop = stage.config, asyncio.Event()
    sources = ConfiguredSources(config, database)
    ports = ports_for(config, database, open_backend(config, database, clock), sources, meter=Meter(), clock=clock)
    opened = [open_lane(name, app, time.time) for name, app in config.apps.items()]

    async def until_the_end() -> None:
        while await stage.state() not in FINAL:  # noqa: ASYNC110 - the desk finds out, and tells nobody
            await asyncio.sleep(0.01)
        stop.set()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.plan(ports, stop))
            group.create_task(pipeline.send(ports, opened, stop))
            group.create_task(until_the_end())
    finally:
        await asyncio.gather(*(lane.aclose(0.0) for lane in opened))
        await sources.aclose()
        await database.aclose()
