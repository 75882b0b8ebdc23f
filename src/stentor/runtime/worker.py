"""A role as a process: `python -m stentor.runtime.worker ROLE`, its settings as one line of JSON on stdin.

Rules: it stops gracefully on SIGTERM, and when stdin ends, so that it never outlives whoever started it; its first line
on stdout says that it is at work, and with `--listen HOST:PORT` where it answers probes; its last line says what it
cost. Its log is on stderr, each line with `logs.MARK` before it. Secrets come by stdin only, never by arguments, which
other users can see.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import uvloop

from stentor import pipeline
from stentor.config import Config, restore
from stentor.errors import InvalidConfiguration, StentorError, StoreUnavailable
from stentor.meter import Meter
from stentor.pipeline import Ports
from stentor.providers.lane import Lane
from stentor.runtime.logs import start_logging
from stentor.runtime.ports import open_backend, ports_for
from stentor.runtime.probes import watched
from stentor.runtime.reports import reporter_for
from stentor.runtime.sources import ConfiguredSources
from stentor.settings import sqlite_path
from stentor.store import sqlite_driver
from stentor.store.clock import StoreClock
from stentor.store.database import Database

Role = Literal["planner", "sender", "recorder", "scheduler"]
GARBAGE = 50_000
"""Objects after which Python looks for cycles. A page of an audience is thousands of tuples that are gone without it;
at Python's own 700, looking cost a fifth of the planner's time."""
CONNECTIONS = 6
"""Connections to the store that a role needs at most."""
LATER = 75
"""What it exits with where the store or the queue could not be reached: that passes (EX_TEMPFAIL of sysexits.h)."""
REST: dict[Role, str] = {"planner": "steps", "sender": "wire", "recorder": "acks", "scheduler": "watch"}
"""The stage of what is on no other's account: the planner's taking of steps and looking around; the sender's wire."""
STORING: dict[Role, str] = {"planner": "put", "sender": "record", "recorder": "write", "scheduler": "watch"}
"""The stage that the threads of SQLite's connections to the store are counted with."""


def tell_parent(address: str | None) -> None:
    """Tell whoever started this process that it is at work, and where it answers probes, if it does."""
    sys.stdout.write(json.dumps({"listening": address}) + "\n")
    sys.stdout.flush()


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
    try:
        await backend.ready()
        async with watched(role, ports, stop, listen, tell, [lambda: backend.problem]), agreed.kept():
            await _run(role, config, ports, lanes, stop, at_once)
        return {"startup": startup, **_stages(role, config, meter, startup)}
    finally:
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
    role: Role, config: Config, ports: Ports, lanes: Sequence[Lane], stop: asyncio.Event, at_once: int | None
) -> None:
    match role:
        case "planner":
            await pipeline.plan(ports, stop, at_once=at_once)
        case "recorder":
            await pipeline.record(ports, stop)
        case "scheduler":
            await _schedule(config, ports, stop)
        case "sender":
            await pipeline.send(ports, lanes, stop)


async def _schedule(config: Config, ports: Ports, stop: asyncio.Event) -> None:
    """Schedule, and tell people what happens."""
    reporter = reporter_for(config, ports.database, ports.queue, ports.outbox, ports.clock)
    ports.stages.append(reporter)
    async with asyncio.TaskGroup() as group:
        reporting = group.create_task(reporter.run())
        await pipeline.schedule(ports, stop)
        reporting.cancel()


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


async def _serve(role: Role, listen: str | None) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    reader = asyncio.StreamReader(limit=2**24)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    config = restore(await reader.readline())
    start_logging(role, config.logging, marked=True)
    orphaned = loop.create_task(_when_left(reader, stop))
    try:
        return await work(role, config, stop, listen=listen, tell=tell_parent)
    finally:
        orphaned.cancel()
        transport.close()


async def _when_left(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.read()
    stop.set()


def first_of(errors: BaseExceptionGroup[StentorError]) -> StentorError:
    """The one to tell of: that of the task that failed first."""
    error: StentorError | BaseExceptionGroup[StentorError] = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def collect_seldom() -> None:
    """Have Python look for cycles as seldom as suits a role, and not among what is there already."""
    gc.freeze()
    gc.set_threshold(GARBAGE)


def main() -> None:
    role = sys.argv[1] if len(sys.argv) in (2, 4) else ""
    listen = sys.argv[3] if sys.argv[2:3] == ["--listen"] else None
    if role not in get_args(Role) or (listen is None) != (len(sys.argv) == 2):
        sys.exit(f"usage: python -m stentor.runtime.worker {'|'.join(get_args(Role))} [--listen HOST:PORT] < settings")
    collect_seldom()
    stages: dict[str, float] = {}
    complaint: StentorError | None = None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            stages = runner.run(_serve(role, listen))  # type: ignore[arg-type]  # checked above
        except* StentorError as errors:
            complaint = first_of(errors)
    if complaint is not None:
        sys.stderr.write(f"{complaint}\n")
        sys.exit(LATER if isinstance(complaint, StoreUnavailable) else 1)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = used.ru_utime + used.ru_stime
    closing = {"role": role, "cpu_seconds": cpu_seconds, "stages": stages, "peak_mb": used.ru_maxrss / 1024}
    sys.stdout.write(json.dumps(closing) + "\n")


if __name__ == "__main__":
    main()
