"""What every process of a supervisor does: its settings come as one line of JSON on stdin, its work ends with it.

Rules: it stops gracefully on SIGTERM, and when stdin ends, so that it never outlives whoever started it; its first line
on stdout says that it is at work, and where it answers probes; its last line says what it cost. Its log is on stderr,
each line with `logs.MARK` before it. Secrets come by stdin only, never by arguments, which other users can see.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Literal

import uvloop

from stentor.config import Config, restore
from stentor.errors import StentorError, StoreUnavailable
from stentor.runtime.logs import start_logging

Role = Literal["planner", "sender", "recorder", "scheduler", "api"]
GARBAGE = 50_000
"""Objects after which Python looks for cycles. A page of an audience is thousands of tuples that are gone without it;
at Python's own 700, looking cost a fifth of the planner's time."""
LATER = 75
"""What it exits with where the store or the queue could not be reached: that passes (EX_TEMPFAIL of sysexits.h)."""

Work = Callable[[Config, asyncio.Event], Awaitable[dict[str, float]]]
"""Works until the event is set. Returns: CPU seconds by stage."""


def tell_parent(address: str | None) -> None:
    """Tell whoever started this process that it is at work, and where it answers probes, if it does."""
    sys.stdout.write(json.dumps({"listening": address}) + "\n")
    sys.stdout.flush()


def run(role: Role, work: Work) -> None:
    """Be the process of a role, to its end."""
    collect_seldom()
    stages: dict[str, float] = {}
    complaint: StentorError | None = None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            stages = runner.run(_serve(role, work))
        except* StentorError as errors:
            complaint = first_of(errors)
    if complaint is not None:
        sys.stderr.write(f"{complaint}\n")
        sys.exit(LATER if isinstance(complaint, StoreUnavailable) else 1)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = used.ru_utime + used.ru_stime
    closing = {"role": role, "cpu_seconds": cpu_seconds, "stages": stages, "peak_mb": used.ru_maxrss / 1024}
    sys.stdout.write(json.dumps(closing) + "\n")


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


async def _serve(role: Role, work: Work) -> dict[str, float]:
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
        return await work(config, stop)
    finally:
        orphaned.cancel()
        transport.close()


async def _when_left(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.read()
    stop.set()
