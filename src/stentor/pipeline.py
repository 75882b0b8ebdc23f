"""READ FIRST. The whole journey of a campaign: plan -> queue -> send -> record.

    your database ─▶ Planner ─▶ Queue ─▶ LaneSender ─▶ APNs, FCM …
      (audience)        ▲ │       ▲          │
                        └─┘       │          ▼
                     next step    └────── Recorder ─▶ store ─▶ report
                                  ack, release

`plan`, `send`, `record` and `schedule` are the roles. Any number of each may run, in one process or on many machines,
and be killed at any time: they meet only in the queue and the store. On one machine senders record by themselves, in
the queue's own transactions; with JetStream they tell recorders, by a stream.

Rules: everything that moves is a batch or a plan step, held by a lease; outcomes are durable before a lease ends;
whoever dies lets go, and another goes on from what is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stentor import channels
from stentor.caps import Cap
from stentor.config import SendingConfig
from stentor.errors import StoreUnavailable
from stentor.meter import Meter
from stentor.pace.board import Board
from stentor.pace.budget import Budget
from stentor.pace.throttles import Throttles
from stentor.planning.caretaker import Caretaker
from stentor.planning.healing import LOST_AFTER, Healer
from stentor.planning.planner import Planner
from stentor.planning.worker import PlanWorker, Sources
from stentor.providers.lane import Lane
from stentor.queue.contract import PLAN, Outbox, Queue
from stentor.recording.chronicle import Chronicle
from stentor.recording.contract import Ledger
from stentor.recording.losses import Losses
from stentor.recording.pruning import Pruner
from stentor.recording.worker import RecordWorker
from stentor.sending.desk import Desk
from stentor.sending.gate import Problem
from stentor.sending.sender import LaneSender
from stentor.sending.settling import called_off
from stentor.store.database import Database

TELL = 1.0
"""Seconds between two looks whether the planner is in trouble."""
AT_ONCE, HOLD = 100, 10.0
"""Tasks of a stopped campaign that are ended at a time, and for how many seconds they are held for it."""
WAITING = "nothing is lost; it goes on by itself once that is fixed"


class Stage(Protocol):
    """What a stage at work tells whoever watches over its process."""

    @property
    def name(self) -> str:
        """What it is known by in this process: `desk`, `plan`, `record`; a sender's is its lane."""

    @property
    def beat(self) -> float | None:
        """When its loop last went round, by the monotonic clock; None while it rests, having nothing to do."""

    @property
    def problem(self) -> str | None:
        """Why it cannot do its work just now; None where it can."""

    @property
    def notice(self) -> str | None:
        """What people should know of its work, and is no fault of its own: that a provider is down, say."""


class Books(Ledger, Stage, Protocol):
    """A ledger that must be going while senders use it."""

    async def run(self) -> None: ...

    def stop(self) -> None:
        """`run` returns when whatever it was told before is durable."""


class Watch(Desk, Stage, Protocol):
    """A desk that keeps itself up to date while it runs."""

    @property
    def looked_at(self) -> float | None:
        """When it last learned the campaigns' states, by the monotonic clock; None: never yet."""

    async def run(self) -> None: ...


class _Schedules(Stage, Protocol):
    """A stage of a scheduler."""

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the roles work with."""

    database: Database
    queue: Queue
    ledger: Books
    """The senders'."""
    outbox: Outbox | None
    """Where recorders find their work; None where the senders record themselves."""
    board: Board
    """Where the senders of a lane share its budget."""
    sources: Sources
    desk: Watch
    settings: SendingConfig
    lanes: Sequence[str]
    """All that are configured."""
    caps: Sequence[Cap] = ()
    """How often an installation is sent to at most, by the configuration."""
    keep: float | None = None
    """Seconds for which campaigns are kept after their end; None: for ever."""
    clock: Callable[[], float]
    meter: Meter
    """What each stage costs this process."""
    stages: list[Stage] = field(default_factory=list)
    """Those at work, for whoever watches over them: the roles add theirs."""


async def plan(ports: Ports, stop: asyncio.Event, *, at_once: int | None = None) -> None:
    """Turn audiences into batches until `stop`, so many steps at once. A step under way is finished first."""
    worker = PlanWorker(
        ports.database, ports.queue, ports.sources, ports.settings, ports.lanes, ports.clock, ports.meter, at_once
    )
    worker.heed(ports.caps)
    ports.stages.extend([ports.desk, worker])
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
    ledger = ports.ledger
    quarantine: set[str] = set()
    throttles = Throttles(ports.board)
    senders = [
        LaneSender(lane, ports.queue, ledger, ports.desk, ports.settings, ports.clock, ports.meter, quarantine)
        for lane in lanes
    ]
    for sender, lane in zip(senders, lanes, strict=True):
        sender.share(Budget(ports.board, lane.name, lane.rate), throttles)
    ports.stages.extend([ports.desk, ledger, *senders])
    async with asyncio.TaskGroup() as group:
        recording = group.create_task(ports.meter.during("record", ledger.run()))
        helpers = [
            group.create_task(ports.desk.run()),
            group.create_task(throttles.run()),
            group.create_task(_call_for_urgent(ports.queue, senders)),
            *(group.create_task(_upon(stop, each.stop)) for each in senders),
        ]
        async with asyncio.TaskGroup() as sending:
            for each in senders:
                sending.create_task(each.run())
        ledger.stop()
        await recording
        _cancel(helpers)


async def record(ports: Ports, stop: asyncio.Event) -> None:
    """Write what senders tell to the store, until `stop`."""
    assert ports.outbox is not None
    worker = RecordWorker(ports.database, ports.outbox, ports.settings, ports.clock, ports.meter)
    ports.stages.extend([ports.desk, worker])
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(ports.desk.run()), group.create_task(_upon(stop, worker.stop))]
        await worker.run()
        _cancel(helpers)


async def schedule(ports: Ports, stop: asyncio.Event, *, lost_after: float = LOST_AFTER) -> None:
    """See that campaigns begin, go on and end, whatever became of the queue, log it, and delete old ones, until `stop`.

    Args:
        lost_after: seconds for which nobody has touched a batch that counts as lost when the queue doesn't know it.
    """
    caretaker = Caretaker(ports.database, ports.queue)
    losses = Losses(ports.database, ports.queue, ports.outbox)
    healer = Healer(ports.database, ports.queue, ports.sources, losses, ports.clock, lost_after)
    chronicle = Chronicle(ports.database, ports.clock)
    at_work: list[_Schedules] = [ports.desk, caretaker, healer, chronicle]
    if ports.keep is not None:
        at_work.append(Pruner(ports.database, ports.clock, ports.keep))
    ports.stages.extend(at_work)
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(each.run()) for each in at_work]
        await stop.wait()
        _cancel(helpers)


async def call_off(
    queue: Queue, ledger: Ledger, planner: Planner, campaign_id: str, clock: Callable[[], float]
) -> None:
    """End what nobody holds of a campaign that was stopped, as the roles would when its turn comes: unread, unsent.

    On a queue that cannot give it out by itself, have it come to the roles now. `clock` gives epoch seconds.
    """
    while leases := await queue.withdraw(campaign_id, AT_ONCE, HOLD):
        for step in leases:
            if step.lane == PLAN:
                await planner.give_up(step)
        batches = [lease for lease in leases if lease.lane != PLAN]
        known = await ledger.known(batches)
        unplanned = [await ledger.unplanned(batch) for batch in batches if batch.id not in known]
        planned = [
            called_off(batch, known[batch.id], clock(), on_record=channels.is_on_record(batch.lane))
            for batch in batches
            if batch.id in known
        ]
        await ledger.commit([*unplanned, *planned])


async def _call_for_urgent(queue: Queue, senders: Sequence[LaneSender]) -> None:
    """Have the senders take what is urgent as soon as it is there."""
    by_lane = {sender.name: sender for sender in senders}
    while True:
        try:
            lanes = await queue.await_urgent([*by_lane])
        except StoreUnavailable:
            await asyncio.sleep(TELL)
            continue
        for lane in lanes:
            by_lane[lane].look_for_urgent()


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
