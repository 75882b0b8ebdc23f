"""READ FIRST. The whole journey of a campaign: plan -> queue -> send -> record.

    your database ─▶ Planner ─▶ Queue ─▶ LaneSender ─▶ APNs, FCM …
      (audience)        ▲ │       ▲          │
                        └─┘       │          ▼
                     next step    └────── Recorder ─▶ store ─▶ report
                                  ack, release

`plan` and `send` are the two roles. Any number of either may run, in one process or in many, and be killed at any time:
they meet only in the queue and the store. Rules: everything that moves is a batch or a plan step, held by a lease;
outcomes are durable before a lease ends; whoever dies lets go, and another goes on from what is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stentor.config import SendingConfig
from stentor.planning.worker import PlanWorker, Sources
from stentor.queue.contract import PLAN, Queue
from stentor.recording.recorder import Recorder
from stentor.senders.gate import Problem
from stentor.senders.lane import Lane
from stentor.senders.sender import Desk, LaneSender
from stentor.store.database import Database

TELL = 1.0
"""Seconds between two looks whether the planner or the recorder is in trouble."""
STORE = "store"
"""Under this name the recorder's trouble is told, as a lane's is under its own."""
WAITING = "nothing is lost; it goes on by itself when that is mended"


class Watch(Desk, Protocol):
    """A desk that keeps itself up to date while it runs."""

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the roles work with."""

    database: Database
    queue: Queue
    sources: Sources
    desk: Watch
    settings: SendingConfig
    lanes: Sequence[str]
    """All that are configured."""
    clock: Callable[[], float]


async def plan(ports: Ports, stop: asyncio.Event) -> None:
    """Turn audiences into batches until `stop`. A step under way is finished first."""
    worker = PlanWorker(ports.database, ports.queue, ports.sources, ports.settings, ports.lanes, ports.clock)
    async with asyncio.TaskGroup() as group:
        helpers = [
            group.create_task(ports.desk.run()),
            group.create_task(_tell(ports.desk, PLAN, lambda: worker.trouble)),
            group.create_task(_upon(stop, worker.stop)),
        ]
        await worker.run()
        _cancel(helpers)


async def send(ports: Ports, lanes: Sequence[Lane], stop: asyncio.Event) -> None:
    """Send the batches of some lanes, and record what becomes of them, until `stop`.

    What is under way is then finished, or given back within `SendingConfig.stop_within` seconds. The lanes are closed.
    """
    recorder = Recorder(ports.database, ports.queue, ports.clock)
    senders = [LaneSender(lane, ports.queue, recorder, ports.desk, ports.settings, ports.clock) for lane in lanes]
    async with asyncio.TaskGroup() as group:
        recording = group.create_task(recorder.run())
        helpers = [
            group.create_task(ports.desk.run()),
            group.create_task(_tell(ports.desk, STORE, lambda: recorder.problem)),
            *(group.create_task(_upon(stop, sender.stop)) for sender in senders),
        ]
        async with asyncio.TaskGroup() as sending:
            for sender in senders:
                sending.create_task(sender.run())
        recorder.stop()
        await recording
        _cancel(helpers)


async def _upon(stop: asyncio.Event, do: Callable[[], None]) -> None:
    await stop.wait()
    do()


async def _tell(desk: Desk, name: str, trouble: Callable[[], str | None]) -> None:
    """Have everybody see what a role waits for, and that it waits no longer."""
    told: str | None = None
    while True:
        await asyncio.sleep(TELL)
        if (now := trouble()) != told:
            told = now
            await desk.report(name, Problem(what=now, remedy=WAITING, pause=TELL) if now else None)


def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
