"""A role as a process: `python -m stentor.runtime.worker ROLE`, its settings as one line of JSON on stdin.

Rules: it stops gracefully on SIGTERM, and when stdin ends, so that it never outlives whoever started it; its last line
on stdout says what it cost. Secrets come by stdin only, never by arguments, which other users can see.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import signal
import sys
import time
from typing import Literal, get_args

import uvloop

from stentor import pipeline
from stentor.config import Config, lanes, restore
from stentor.pipeline import Ports
from stentor.queue.sql import SqlQueue
from stentor.runtime.desk import Desk
from stentor.runtime.sources import Sources
from stentor.senders.channels import open_lane
from stentor.store.database import Database

Role = Literal["planner", "sender"]
CONNECTIONS = 6
"""Connections to the store that a role needs at most."""


async def work(role: Role, config: Config, stop: asyncio.Event) -> None:
    """Run a role in this process until `stop`."""
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
    )
    try:
        if role == "planner":
            await pipeline.plan(ports, stop)
        else:
            opened = [open_lane(name, app, time.time) for name, app in config.apps.items()]
            await pipeline.send(ports, opened, stop)
    finally:
        await sources.aclose()
        await database.aclose()


async def _serve(role: Role) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    reader = asyncio.StreamReader(limit=2**24)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    config = restore(await reader.readline())
    orphaned = loop.create_task(_when_left(reader, stop))
    try:
        await work(role, config, stop)
    finally:
        orphaned.cancel()
        transport.close()


async def _when_left(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.read()
    stop.set()


def main() -> None:
    role = sys.argv[1] if len(sys.argv) == 2 else ""
    if role not in get_args(Role):
        sys.exit(f"usage: python -m stentor.runtime.worker {'|'.join(get_args(Role))} < settings")
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {role} %(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(role))  # type: ignore[arg-type]  # checked above
    used = resource.getrusage(resource.RUSAGE_SELF)
    closing = {"role": role, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}
    sys.stdout.write(json.dumps(closing) + "\n")


if __name__ == "__main__":
    main()
