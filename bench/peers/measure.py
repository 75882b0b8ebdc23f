"""What the Python peers share: the same pushes for all, and the same way to count and to time them.

A peer is one process. It starts, connects, warms up, notes the CPU it has used so far, sends for some seconds with as
many sends under way as it was told, and prints one line of JSON. `run.py` starts it and does the sums. The Go peers
keep to the same protocol.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

TITLE = "Stentor"
TEXT = "The herald whose voice carried like fifty men's has something to tell all of you"
TOPIC = "org.example.app"
PROJECT = "simulated"
PAYLOAD: dict[str, Any] = {"aps": {"alert": {"title": TITLE, "body": TEXT}, "sound": "default"}}
BEARER = "bearer " + "x" * 210
"""As long as a provider token is; the fast simulators don't look at it."""
DEVICES = 10_000
WARM_UP = 0.5
"""Seconds at most."""


def apns_tokens() -> list[str]:
    return [f"{number:064x}" for number in range(DEVICES)]


def fcm_tokens() -> list[str]:
    return [f"{number:022d}:APA91b{number:0128x}" for number in range(DEVICES)]


@dataclass(slots=True)
class Target:
    """Where the simulator is, how hard to push, and what came of it."""

    facts: dict[str, Any]
    """What the simulator said of itself: `port`, `ca_file`, and for APNs `key_file`, `key_id` and `team_id`."""
    concurrency: int
    accepted: int = 0
    failed: int = 0
    error: str | None = None
    """The first failure, for people."""

    @property
    def port(self) -> int:
        return int(self.facts["port"])

    @property
    def ca_file(self) -> Path:
        return Path(self.facts["ca_file"])

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def fail(self, pushes: int, why: object) -> None:
        self.failed += pushes
        if self.error is None:
            self.error = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else str(why)


Send = Callable[[int], Awaitable[None]]
"""Sends one unit of pushes, the first of which has this serial number, and counts them at the target."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A client under measurement."""

    opened: Callable[[Target], AbstractAsyncContextManager[Send]]
    failures: tuple[type[Exception], ...] = ()
    """What it raises when a push fails; anything else is a defect of the benchmark and ends it."""
    unit: int = 1
    """Pushes in one call."""


def main(peer: Peer, arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulator", required=True, help="JSON: what the simulator said of itself")
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    chosen = parser.parse_args(arguments)
    target = Target(json.loads(chosen.simulator), chosen.concurrency)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(_measure(peer, target, chosen.seconds))
    sys.stdout.write(json.dumps(report) + "\n")


async def _measure(peer: Peer, target: Target, seconds: float) -> dict[str, Any]:
    serials = count(step=peer.unit)
    async with peer.opened(target) as send:
        await _attempt(peer, send, next(serials), target)  # alone: APNs allows one stream until it has seen who we are
        await _drive(peer, send, serials, target, min(WARM_UP, seconds))
        warmed, target.accepted, target.failed = target.accepted, 0, 0
        cpu_before = _cpu()
        started = perf_counter()
        await _drive(peer, send, serials, target, seconds)
        took = perf_counter() - started
    return {
        "accepted": target.accepted,
        "failed": target.failed,
        "warmed": warmed,
        "seconds": took,
        "startup_cpu": cpu_before,
        "error": target.error,
    }


async def _drive(peer: Peer, send: Send, serials: count[int], target: Target, seconds: float) -> None:
    """Send for so long, then wait for what is under way."""
    deadline = perf_counter() + seconds

    async def worker() -> None:
        while perf_counter() < deadline:
            await _attempt(peer, send, next(serials), target)

    async with asyncio.TaskGroup() as group:
        for _ in range(target.concurrency):
            group.create_task(worker())


async def _attempt(peer: Peer, send: Send, serial: int, target: Target) -> None:
    try:
        await send(serial)
    except peer.failures as error:
        target.fail(peer.unit, error)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
