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
from stentor.meter import Meter
from stentor.planning.planner import Planner
from stentor.planning.worker import PlanWorker, Sources
from stentor.queue.contract import PLAN, Queue
from stentor.recording.recorder import Recorder
from stentor.senders.gate import Problem
from stentor.senders.lane import Lane
from stentor.senders.sender import Desk, LaneSender
from stentor.senders.settling import called_off
from stentor.store.database import Database

TELL = 1.0
"""Seconds between two looks whether the planner is in trouble."""
AT_ONCE, HOLD = 100, 10.0
"""Tasks of a stopped campaign that are ended at a time, and for how many seconds they are held for it."""
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
    meter: Meter
    """What each stage costs this process."""


async def plan(ports: Ports, stop: asyncio.Event) -> None:
    """Turn audiences into batches until `stop`. A step under way is finished first."""
    worker = PlanWorker(
        ports.database, ports.queue, ports.sources, ports.settings, ports.lanes, ports.clock, ports.meter
    )
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
    quarantine: set[str] = set()
    senders = [
        LaneSender(lane, ports.queue, recorder, ports.desk, ports.settings, ports.clock, ports.meter, quarantine)
        for lane in lanes
    ]
    async with asyncio.TaskGroup() as group:
        recording = group.create_task(ports.meter.during("record", recorder.run()))
        helpers = [
            group.create_task(ports.desk.run()),
            *(group.create_task(_upon(stop, each.stop)) for each in senders),
        ]
        async with asyncio.TaskGroup() as sending:
            for each in senders:
                sending.create_task(each.run())
        recorder.stop()
        await recording
        _cancel(helpers)


async def call_off(queue: Queue, ledger: Recorder, planner: Planner, campaign_id: str) -> None:
    """End what nobody holds of a campaign that was stopped, as the roles would when its turn comes: unread, unsent."""
    while leases := await queue.withdraw(campaign_id, AT_ONCE, HOLD):
        for step in leases:
            if step.lane == PLAN:
                await planner.give_up(step)
        batches = [lease for lease in leases if lease.lane != PLAN]
        standings = await ledger.standings(batches)
        await ledger.commit([called_off(batch, standings.get(batch.id)) for batch in batches])


async def _upon(stop: asyncio.Event, do: Callable[[], None]) -> None:
    await stop.wait()
    do()


async def _tell(desk: Desk, name: str, trouble: Callable[[], str | None]) -> None:
    """Have everybody see what a role waits for, and that it waits no longer; one that was killed couldn't say so."""
    told: str | None = "whatever was told by the one before"
    while True:
        if (now := trouble()) != told:
            told = now
            await desk.report(name, Problem(what=now, remedy=WAITING, pause=TELL) if now else None)
        await asyncio.sleep(TELL)


def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
