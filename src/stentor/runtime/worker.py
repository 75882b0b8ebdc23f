"""The roles of the engine; `process.py` is how each becomes a process."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence

from stentor import pipeline
from stentor.config import Config
from stentor.errors import InvalidConfiguration
from stentor.meter import Meter
from stentor.pipeline import Ports
from stentor.providers.lane import Lane
from stentor.runtime import child
from stentor.runtime.child import Role
from stentor.runtime.desk import StoreDesk
from stentor.runtime.kept_lanes import KeptLanes
from stentor.runtime.ports import open_backend, ports_for
from stentor.runtime.presence import Presence
from stentor.runtime.probes import watched
from stentor.runtime.reports import reporter_for
from stentor.runtime.resources import Resources
from stentor.runtime.series_runner import Maker, SeriesRunner
from stentor.runtime.sources import ConfiguredSources
from stentor.settings import sqlite_path
from stentor.store import sqlite_driver
from stentor.store.clock import StoreClock
from stentor.store.database import Database

CONNECTIONS = 6
"""Connections to the store that a role needs at most."""
REST: dict[Role, str] = {"planner": "steps", "sender": "wire", "recorder": "acks", "scheduler": "watch"}
"""The stage of what is on no other's account: the planner's taking of steps and looking around; the sender's wire."""
STORING: dict[Role, str] = {"planner": "put", "sender": "record", "recorder": "write", "scheduler": "watch"}
"""The stage that the threads of SQLite's connections to the store are counted with."""


async def work(
    role: Role,
    config: Config,
    stop: asyncio.Event,
    *,
    listen: str | None = None,
    tell: Callable[[str | None], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
    at_once: int | None = None,
) -> dict[str, float]:
    """Run a role in this process until `stop`.

    Args:
        listen: where it answers probes (`HOST:PORT`, port 0: the system's choice), if it does.
        tell: told where that is, or None, when it begins.
        clock: the machine's time of day, in epoch seconds. Credentials are signed by it; all else goes by the store's.
        at_once: steps that a planner does at a time at most; None: as many as an audience has ranges.

    Raises:
        InvalidConfiguration: it cannot listen there, or the queue cannot be used.
        QueueUnavailable: the queue cannot be reached just now.

    Returns: CPU seconds by stage; `startup` is what the process had used before it was ready.
    """
    lanes = _lanes(role, config, clock)
    startup = time.process_time()
    meter = Meter(REST[role])
    database = Database.open(config.store.url, connections=CONNECTIONS)
    sources = ConfiguredSources(config, database)
    agreed = StoreClock(database, clock)
    backend = open_backend(config, database, agreed)
    ports = ports_for(config, database, backend, sources, meter=meter, clock=agreed)
    desk = StoreDesk(database, agreed, backend.bell)
    resources = Resources(
        config=config,
        clock=agreed,
        database=database,
        backend=backend,
        sources=sources,
        desk=desk,
        lanes=KeptLanes(config, agreed),
    )
    try:
        await backend.ready()
        presence = Presence(database, role, ports.stages, clock=clock)
        async with watched(role, ports, stop, listen, tell, [lambda: backend.problem]), agreed.kept(), presence.kept():
            await _run(role, resources, ports, lanes, stop, at_once)
        return {"startup": startup, **_stages(role, config, meter, startup)}
    finally:
        await resources.lanes.aclose()
        await backend.aclose()
        await sources.aclose()
        await database.aclose()


def _lanes(role: Role, config: Config, clock: Callable[[], float]) -> list[Lane]:
    """Those that a sender serves."""
    if role != "sender":
        return []
    if not config.apps:
        raise InvalidConfiguration("there is nobody to send to: add an app under [apps] in stentor.toml")
    from stentor.providers.channels import open_lane  # noqa: PLC0415 - others need no provider's libraries

    return [open_lane(name, app, clock) for name, app in config.apps.items()]


async def _run(
    role: Role, resources: Resources, ports: Ports, lanes: Sequence[Lane], stop: asyncio.Event, at_once: int | None
) -> None:
    match role:
        case "planner":
            await pipeline.plan(ports, stop, at_once=at_once)
        case "recorder":
            await pipeline.record(ports, stop)
        case "scheduler":
            await _schedule(resources, ports, stop)
        case "sender":
            await pipeline.send(ports, lanes, stop)


async def _schedule(resources: Resources, ports: Ports, stop: asyncio.Event) -> None:
    """Schedule, make the runs of series, and tell people what happens."""
    config = resources.config
    reporter = reporter_for(config, ports.database, ports.queue, ports.outbox, ports.clock)
    runner = SeriesRunner(ports.database, lambda: _maker(resources), config.reports, ports.clock)
    ports.stages.extend([reporter, runner])
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(reporter.run()), group.create_task(runner.run())]
        await pipeline.schedule(ports, stop)
        for each in helpers:
            each.cancel()


def _maker(resources: Resources) -> Maker:
    from stentor.runtime.series_maker import CampaignMaker  # noqa: PLC0415 - with all providers, and rarely needed

    return CampaignMaker(resources)


def _stages(role: Role, config: Config, meter: Meter, startup: float) -> dict[str, float]:
    """The event loop's by the meter, SQLite's by the clocks of its threads; what is left over is `other`."""
    stages = meter.seconds
    if sys.platform == "linux":  # elsewhere a thread has no clock that others can read
        for thread in threading.enumerate():
            if thread.ident is None or not thread.name.startswith(sqlite_driver.THREAD):
                continue
            path = thread.name.removeprefix(sqlite_driver.THREAD)
            stage = STORING[role] if sqlite_path(config.store.url) == path else "read"
            spent = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            stages[stage] = stages.get(stage, 0.0) + spent
    return {**stages, "other": max(0.0, time.process_time() - startup - sum(stages.values()))}


def main() -> None:
    role = sys.argv[1] if len(sys.argv) in (2, 4) else ""
    listen = sys.argv[3] if sys.argv[2:3] == ["--listen"] else None
    if role not in STORING or (listen is None) != (len(sys.argv) == 2):
        sys.exit(f"usage: python -m stentor.runtime.process {'|'.join(STORING)} [--listen HOST:PORT] < settings")
    known: Role = role
    child.run(known, lambda config, stop: work(known, config, stop, listen=listen, tell=child.tell_parent))
