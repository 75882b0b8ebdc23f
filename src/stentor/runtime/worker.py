"""A role as a process: `python -m stentor.runtime.worker ROLE`, its settings as one line of JSON on stdin.

Rules: it stops gracefully on SIGTERM, and when stdin ends, so that it never outlives whoever started it; its last line
on stdout says what it cost. Secrets come by stdin only, never by arguments, which other users can see.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import signal
import sys
import threading
import time
from typing import Literal, get_args

import uvloop

from stentor import pipeline
from stentor.config import Config, lanes, restore
from stentor.errors import StentorError
from stentor.meter import Meter
from stentor.pipeline import Ports
from stentor.queue.sql import SqlQueue
from stentor.runtime.desk import Desk
from stentor.runtime.sources import Sources
from stentor.store import sqlite_driver
from stentor.store.database import Database

Role = Literal["planner", "sender"]
GARBAGE = 50_000
"""Objects after which Python looks for cycles. A page of an audience is thousands of tuples that are gone without it;
at Python's own 700, looking cost a fifth of the planner's time."""
CONNECTIONS = 6
"""Connections to the store that a role needs at most."""
REST: dict[Role, str] = {"planner": "steps", "sender": "wire"}
"""The stage of what is on no other's account: the planner's taking of steps and looking around; the sender's wire."""
STORING: dict[Role, str] = {"planner": "put", "sender": "record"}
"""The stage that the threads of SQLite's connections to the store are counted with."""


async def work(role: Role, config: Config, stop: asyncio.Event) -> dict[str, float]:
    """Run a role in this process until `stop`.

    Returns: CPU seconds by stage; `startup` is what the process had used before it was ready.
    """
    startup = time.process_time()
    meter = Meter(REST[role])
    database = Database.open(config.store.url, connections=CONNECTIONS)
    sources = Sources(config, database)
    ports = Ports(
        database=database,
        queue=SqlQueue(database),
        sources=sources,
        desk=Desk(database),
        settings=config.sending,
        lanes=tuple(lanes(config)),
        clock=time.time,
        meter=meter,
    )
    try:
        if role == "planner":
            await pipeline.plan(ports, stop)
        else:
            from stentor.senders.channels import open_lane  # noqa: PLC0415 - a planner needs no provider's libraries

            opened = [open_lane(name, app, time.time) for name, app in config.apps.items()]
            await pipeline.send(ports, opened, stop)
        return {"startup": startup, **_stages(role, config, meter, startup)}
    finally:
        await sources.aclose()
        await database.aclose()


def _stages(role: Role, config: Config, meter: Meter, startup: float) -> dict[str, float]:
    """The event loop's by the meter, SQLite's by the clocks of its threads; what is left over is `other`."""
    stages = meter.seconds
    if sys.platform == "linux":  # elsewhere a thread has no clock that others can read
        for thread in threading.enumerate():
            if thread.ident is None or not thread.name.startswith(sqlite_driver.THREAD):
                continue
            path = thread.name.removeprefix(sqlite_driver.THREAD)
            stage = STORING[role] if config.store.url == f"sqlite:///{path}" else "read"
            spent = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            stages[stage] = stages.get(stage, 0.0) + spent
    return {**stages, "other": max(0.0, time.process_time() - startup - sum(stages.values()))}


async def _serve(role: Role) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    reader = asyncio.StreamReader(limit=2**24)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    config = restore(await reader.readline())
    orphaned = loop.create_task(_when_left(reader, stop))
    try:
        return await work(role, config, stop)
    finally:
        orphaned.cancel()
        transport.close()


async def _when_left(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.read()
    stop.set()


def _first(errors: BaseExceptionGroup[StentorError]) -> StentorError:
    error: StentorError | BaseExceptionGroup[StentorError] = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> None:
    role = sys.argv[1] if len(sys.argv) == 2 else ""
    if role not in get_args(Role):
        sys.exit(f"usage: python -m stentor.runtime.worker {'|'.join(get_args(Role))} < settings")
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {role} %(levelname)s %(message)s")
    gc.freeze()
    gc.set_threshold(GARBAGE)
    stages: dict[str, float] = {}
    complaint: StentorError | None = None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            stages = runner.run(_serve(role))  # type: ignore[arg-type]  # checked above
        except* StentorError as errors:
            complaint = _first(errors)
    if complaint is not None:
        sys.exit(str(complaint))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = used.ru_utime + used.ru_stime
    closing = {"role": role, "cpu_seconds": cpu_seconds, "stages": stages, "peak_mb": used.ru_maxrss / 1024}
    sys.stdout.write(json.dumps(closing) + "\n")


if __name__ == "__main__":
    main()
