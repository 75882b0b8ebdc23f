"""The planner: turns an audience into batches, by a chain of small queued tasks for each of its key ranges.

A step reads one page after a key, divides it by lane, puts the batches and the next step, and acks itself, all in one
`Queue.settle`. Where one lane is deep and another is nearly empty, the chain forks: the deep lane gets a chain of its
own from there on, so that a sick lane never starves a well one.

Rules: a step is done once, whoever takes it and however often. The store keeps each chain's next step; a task only says
that it is time for it, a stale one changes nothing and an early one waits. Ids depend on campaign, chain and step
alone. A step that finds its lanes deep puts itself back, so the queue stays bounded whatever the audience's size.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import msgspec
from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import NO_LANE, Audience, Page, Range, Wanted
from stentor.config import SendingConfig
from stentor.meter import Meter
from stentor.outcome import Outcome
from stentor.planning import waves
from stentor.planning.care.look import CampaignCare, Looked, Overtaken, bounds
from stentor.planning.division import Assigned, Divider, Planned, Wave
from stentor.planning.restoring import Lost, called_off
from stentor.queue.contract import PLAN, Lease, Queue, Task
from stentor.states import CampaignState
from stentor.store import campaigns, flags
from stentor.store.bulk import insert_ignoring
from stentor.store.campaigns import Campaign
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import batches, chains, failures
from stentor.store.tables import campaigns as campaigns_table

FULL_PAUSE = 0.2
"""Seconds after which a step that found the queue full looks again."""
HELD_PAUSE = 0.5
"""The same where the campaign is paused."""
HELD_BACK_PAUSE = 1.0
"""The same where campaigns are held back."""
EARLY_PAUSE = 0.1
"""The same where the step before it is not committed yet."""
LATE = 60.0
"""Seconds after the beginning of its wave from which on a batch is looked at again, as quiet hours may have begun."""
LONGEST_PAUSE = 60.0
"""The same where its time hasn't come: a clock may be set, and a campaign be stopped meanwhile."""
PATIENT = 8
"""A batch that waits to be tried again counts this much less in a lane's depth: it holds but a few recipients who are
pending, or those of a paused campaign, which must not keep all others from being planned."""
HUNGRY = 4
"""A lane with less than this part of the depth allowed is hungry: a chain doesn't wait for another lane's sake then."""

_ADVANCE = (
    update(chains)
    .where(
        chains.c.campaign_id == bindparam("of_campaign"),
        chains.c.chain == bindparam("of_chain"),
        chains.c.step == bindparam("at_step"),
        ~chains.c.done,
    )
    .values(
        step=bindparam("next_step"),
        read=chains.c.read + bindparam("more"),
        done=bindparam("ended"),
        next=bindparam("following"),
    )
)
_NEXT = select(chains.c.step, chains.c.done, chains.c.next).where(
    chains.c.campaign_id == bindparam("of_campaign"), chains.c.chain == bindparam("of_chain")
)


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of a plan task."""

    chain: str = ""
    """`0.range`, and `=channel_app` where it was forked off; `w` and its moment for a wave; empty for the step that
    starts a campaign."""
    number: int = 0
    part: Range | None = None
    """What is left of the chain's key range."""
    lanes: list[str] | None = None
    """The lanes it plans for; None: all."""
    wave: Wave | None = None
    """The wave whose batches it puts; None: it reads the audience."""


class Schedule(Protocol):
    """When the recipients of one campaign get it. Moments are epoch seconds."""

    def assign(self, page: Page, now: float) -> Assigned:
        """When those of a page that is read now get it, and who gets it not at all."""

    def again(self, page: Page, now: float) -> Assigned:
        """The same of those whose wave began a while ago, and who weren't put then."""


class StaleStep(Exception):
    """Somebody else has done this step."""


class HeldBack(Exception):
    """No campaign may begin just now; see `store.flags.DRAINING`."""


class Unfinished(Exception):
    """A wave has batches that this step couldn't take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPosition:
    """How far a chain is."""

    number: int
    """Of its next step."""
    next: Step | None
    """None where it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a step needs to know of its campaign."""

    campaign: Campaign
    place: ChainPosition | None = None
    """Where the step's chain is; None where there is no such chain (yet)."""
    audience: Audience
    wanted: Wanted
    divider: Divider
    moments: Schedule | None = None
    """When each of a page gets the message, and who gets it not at all; None: all do now."""
    care: CampaignCare
    held_back: bool = False
    """Whether no campaign may begin just now."""


def start_task(campaign_id: str, revision: int = 0) -> Task:
    """The first step of a campaign.

    Args:
        revision: the campaign's. A campaign that was made a draft again has a new one, and this step is outdated then.
    """
    payload = _encode(Step(number=revision + 1))
    return Task(id=f"{campaign_id}/start/{revision}", lane=PLAN, campaign_id=campaign_id, payload=payload)


def is_outdated(lease: Lease, campaign: Campaign) -> bool:
    """Whether this is the first step of a start that was taken back. An older Stentor's first step never is, nor one
    that cannot be read."""
    try:
        step = msgspec.msgpack.decode(lease.payload, type=Step)
    except msgspec.DecodeError:
        return False
    return not step.chain and 0 < step.number <= campaign.revision


async def place(connection: AsyncConnection, lease: Lease) -> ChainPosition | None:
    """Where the chain of this step is; None where there is none (yet)."""
    step = msgspec.msgpack.decode(lease.payload, type=Step)
    row = (await connection.execute(_NEXT, {"of_campaign": lease.campaign_id, "of_chain": step.chain})).first()
    if row is None:
        return None
    # A chain that an older Stentor began has no step in its row; the one in the task is as good there.
    following = msgspec.msgpack.decode(row.next, type=Step) if row.next else step
    return ChainPosition(number=row.step, next=None if row.done else following)


@dataclass(slots=True)
class PlanTally:
    """What a planner has done since its process started, for metrics."""

    steps: int = 0
    """Pages of audiences that were read and put."""
    recipients: Counter[str] = field(default_factory=Counter)
    """By lane."""


class Planner:
    """Does plan steps. Holds nothing between them; any number may work on the same queue."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        settings: SendingConfig,
        lanes: Collection[str],
        write: waves.Write,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> None:
        self.tally = PlanTally()
        self._database = database
        self._write = write
        self._meter = meter or Meter()
        self._queue = queue
        self._settings = settings
        self._lanes = tuple(lanes)
        self._clock = clock

    async def step(self, lease: Lease, plan: Plan) -> None:
        """Do the step that was taken.

        Raises:
            InvalidAudience: it cannot be read as configured.
            AudienceUnavailable, StoreUnavailable: not now; the step was not done.
        """
        step = msgspec.msgpack.decode(lease.payload, type=Step)
        state = plan.campaign.state
        try:
            if state is CampaignState.PAUSED:
                await self._queue.settle(release=[(lease, HELD_PAUSE)])
            elif state not in (CampaignState.RUNNING, CampaignState.SCHEDULED):
                await self.give_up(lease)
            elif not step.chain:
                await self._start(lease, plan)
            elif plan.place is None or plan.place.number < step.number:
                await self._wait_or_drop(lease, plan)
            elif plan.place.next is None or plan.place.number > step.number:
                raise StaleStep
            elif plan.place.next.wave is not None:
                await self._wave(lease, plan.place.next, plan.place.next.wave, plan)
            else:
                await self._page(lease, plan.place.next, plan)
        except StaleStep:
            await self._queue.settle(ack=[lease])
        except Overtaken:
            await self._queue.settle(release=[(lease, 0.0)])
        except HeldBack:
            await self._queue.settle(release=[(lease, HELD_BACK_PAUSE)])
        except Unfinished:
            await self._queue.settle(release=[(lease, FULL_PAUSE)])

    async def _wait_or_drop(self, lease: Lease, plan: Plan) -> None:
        """A step that was put and isn't committed: it may be any moment, or its planner died and did it otherwise."""
        if plan.campaign.planning_over:
            raise StaleStep
        await self._queue.settle(release=[(lease, EARLY_PAUSE)])

    async def _start(self, lease: Lease, plan: Plan) -> None:
        """Freeze the audience's end, divide it into ranges, and put a chain's first step for each."""
        campaign = plan.campaign
        now = self._clock()
        if campaign.starts_at is not None and campaign.starts_at > now:
            await self._queue.settle(release=[(lease, min(campaign.starts_at - now, LONGEST_PAUSE))])
            return
        if plan.held_back and campaign.state is CampaignState.SCHEDULED:
            raise HeldBack
        parts = await plan.audience.ranges(self._settings.ranges)
        steps = [Step(chain=f"0.{number}", part=part) for number, part in enumerate(parts)]

        async def change(connection: AsyncConnection) -> None:
            locked = await campaigns.lock(connection, campaign.id)
            if locked.state is CampaignState.DRAFT or locked.revision != campaign.revision:
                raise StaleStep  # the start was taken back meanwhile
            if locked.state is CampaignState.SCHEDULED:
                if await flags.hold(connection, flags.DRAINING) is not None:
                    raise HeldBack
                await campaigns.move(connection, campaign.id, CampaignState.RUNNING)
            begun = await connection.scalar(
                select(func.count()).select_from(chains).where(chains.c.campaign_id == campaign.id)
            )
            if begun or locked.planning_over:
                raise StaleStep
            if steps:
                await connection.execute(chains.insert(), [_chain(campaign.id, step) for step in steps])
            else:
                await _mark_planned(connection, campaign.id)

        await self._queue.settle(change, put=[step_task(campaign.id, step) for step in steps], ack=[lease])

    async def _page(self, lease: Lease, step: Step, plan: Plan) -> None:
        part = step.part
        assert part is not None  # only the step that starts a campaign has none
        wait, step, forks = self._look_at_depths(step, await self._depths(step), plan.campaign.expected)
        if wait:
            await self._queue.settle(release=[(lease, FULL_PAUSE)])
            return
        page = await self._meter.during("read", plan.audience.page(part, self._settings.page, plan.wanted, step.lanes))
        now = self._clock()
        looked = await self._meter.during("care", plan.care.look(page))
        with self._meter.stage("divide"):
            assigned = plan.moments.assign(page, now) if plan.moments is not None else Assigned()
            left_out = {**assigned.left_out, **looked.left_out}
            planned = plan.divider.divide(page, f"{step.chain}.{step.number}", left_out, assigned.waves)
        coming = sorted({each.wave for each in planned if each.wave is not None})
        following = None
        if page.cursor is not None:
            rest = msgspec.structs.replace(part, after=page.cursor)
            following = msgspec.structs.replace(step, number=step.number + 1, part=rest)

        async def change(connection: AsyncConnection) -> None:
            await looked.hold(connection)
            if following is None:  # of two chains that end at once, the second must see the first
                await campaigns.lock(connection, plan.campaign.id)
            elif coming:  # so must a wave that ends see what it gets
                await campaigns.keep(connection, plan.campaign.id)
            await _advance(connection, plan.campaign.id, step, read=len(page), following=following)
            if forks:
                rows = [_chain(plan.campaign.id, fork) for fork in forks]
                await connection.execute(insert_or_ignore(connection, chains), rows)
            await add_batches(connection, planned, now)
            if coming:
                await _open_waves(connection, plan.campaign.id, coming)
            if following is None:
                await _mark_planned(connection, plan.campaign.id)

        steps = [*forks, *([following] if following else [])]
        tasks = [step_task(plan.campaign.id, each) for each in steps]
        tasks += [each.task for each in planned if each.refused is None and each.wave is None]
        await self._meter.during("put", self._queue.settle(change, put=tasks, ack=[lease]))
        self.tally.steps += 1
        for each in planned:
            self.tally.recipients[each.batch.lane] += len(each.batch)

    async def give_up(self, lease: Lease) -> None:
        """Its campaign was stopped: the rest of its audience isn't read, and stays on record as unread. Whoever
        is held for a wave ends as cancelled."""
        step = msgspec.msgpack.decode(lease.payload, type=Step)
        if step.wave is not None:
            await self._end_wave(lease, step, step.wave)
            return

        async def change(connection: AsyncConnection) -> None:
            await campaigns.lock(connection, lease.campaign_id)
            if step.chain:
                await _leave(connection, lease.campaign_id, step)
            await _mark_planned(connection, lease.campaign_id)

        try:
            await self._queue.settle(change, ack=[lease])
        except StaleStep:
            await self._queue.settle(ack=[lease])

    async def _wave(self, lease: Lease, step: Step, wave: Wave, plan: Plan) -> None:
        """Put some of the batches that are held for a wave, once it begins."""
        campaign, now = plan.campaign, self._clock()
        if wave.at > now:
            await self._queue.settle(release=[(lease, min(wave.at - now, LONGEST_PAUSE))])
            return
        if wave.gated and campaign.released_at is None:
            await self._queue.settle(ack=[lease])  # it is put again once the campaign is released
            return
        depths = await self._depths(step)
        deep = [lane for lane, depth in depths.items() if depth >= self._settings.depth]
        some = await self._held(campaign.id, wave, deep)
        keys = [lost.recipients[position].decode() for lost in some for position in lost.pending]
        found = await self._meter.during("read", plan.audience.find(keys, plan.wanted))
        assert campaign.starts_at is not None
        assert campaign.expires_at is not None
        begins = max(wave.at, campaign.starts_at, (campaign.released_at or 0.0) if wave.gated else 0.0)
        expires_at = begins + campaign.expires_at - campaign.starts_at
        looked = await self._meter.during("care", plan.care.look(found))
        with self._meter.stage("divide"):
            late = plan.moments is not None and now >= wave.at + LATE
            assigned = plan.moments.again(found, now) if plan.moments is not None and late else Assigned()
            assigned = replace(assigned, left_out={**assigned.left_out, **looked.left_out})
            begun = waves.begin(some, found, assigned, expires_at=expires_at, index_of=plan.divider.index_of)
        await self._go_on(lease, step, wave, some, begun, expires_at, looked)
        self.tally.steps += 1

    async def _end_wave(self, lease: Lease, step: Step, wave: Wave) -> None:
        some = await self._held(lease.campaign_id, wave, ())
        ended = waves.Begun(settlements=[called_off(lost) for lost in some])
        try:
            await self._go_on(lease, step, wave, some, ended, None)
        except StaleStep:
            await self._queue.settle(ack=[lease])
        except Unfinished:
            await self._queue.settle(release=[(lease, EARLY_PAUSE)])

    async def _held(self, campaign_id: str, wave: Wave, deep: Collection[str]) -> list[Lost]:
        size, batch = self._settings.page, self._settings.batch
        return await self._database.ask(
            lambda connection: waves.held(connection, campaign_id, wave, recipients=size, batch=batch, deep=deep)
        )

    async def _go_on(
        self,
        lease: Lease,
        step: Step,
        wave: Wave,
        some: Sequence[Lost],
        begun: waves.Begun,
        expires_at: float | None,
        looked: Looked | None = None,
    ) -> None:
        """Put the batches of a wave that were taken, and its next step; or end it, if there were none.

        Raises:
            StaleStep: somebody else did this step.
            Unfinished: there were none to take, and there are some.
        """
        campaign_id, now = lease.campaign_id, self._clock()
        following = msgspec.structs.replace(step, number=step.number + 1) if some else None

        async def change(connection: AsyncConnection) -> None:
            if looked is not None:
                await looked.hold(connection)
            if following is None:
                await campaigns.lock(connection, campaign_id)
                if await waves.is_held(connection, campaign_id, wave):
                    raise Unfinished
            await _advance(connection, campaign_id, step, read=0, following=following)
            await waves.release(connection, [lost.id for lost in some if lost.id not in begun.put_off], expires_at)
            if begun.put_off:
                await waves.put_off(connection, begun.put_off)
                await _open_waves(connection, campaign_id, sorted(set(begun.put_off.values())))
            if begun.settlements:
                await self._write(connection, begun.settlements, now)
            if following is None:
                await _mark_planned(connection, campaign_id)

        steps = [step_task(campaign_id, following)] if following else []
        await self._meter.during("put", self._queue.settle(change, put=[*steps, *begun.tasks], ack=[lease]))

    async def _depths(self, step: Step) -> dict[str, int]:
        lanes = [lane for lane in step.lanes or self._lanes if lane != NO_LANE]
        depths = await self._queue.depths(lanes)
        return {lane: depth.ready + depth.leased + depth.delayed // PATIENT for lane, depth in depths.items()}

    def _look_at_depths(
        self, step: Step, depths: Mapping[str, int], expected: Mapping[str, int]
    ) -> tuple[bool, Step, list[Step]]:
        """Whether to wait; else the step as it is to be done, and the steps that are forked off it."""
        deep = [lane for lane, depth in depths.items() if depth >= self._settings.depth]
        if not deep:
            return False, step, []
        awaited = [depth for lane, depth in depths.items() if expected.get(lane) or not expected]
        hungry = any(depth * HUNGRY < self._settings.depth for depth in awaited)
        if not hungry:
            return True, step, []
        rest = [lane for lane in (step.lanes or [*self._lanes, NO_LANE]) if lane not in deep]
        forks = [Step(chain=f"{step.chain}={lane.replace('/', '_')}", part=step.part, lanes=[lane]) for lane in deep]
        return False, msgspec.structs.replace(step, lanes=rest), forks


def step_task(campaign_id: str, step: Step) -> Task:
    return Task(
        id=f"{campaign_id}/{step.chain}/{step.number}",
        lane=PLAN,
        campaign_id=campaign_id,
        payload=_encode(step),
    )


def _chain(campaign_id: str, step: Step) -> dict[str, Any]:
    """The row of a chain that begins with a step."""
    return {"campaign_id": campaign_id, "chain": step.chain, "step": step.number, "next": _encode(step)}


async def _open_waves(connection: AsyncConnection, campaign_id: str, coming: Sequence[Wave]) -> None:
    """See that the chains of these waves are there and not at their end; whoever looks after campaigns has their steps
    put in time. Only where the waves' end is kept off."""
    steps = {(step := Step(chain=waves.chain_of(wave), wave=wave)).chain: step for wave in coming}
    rows = [_chain(campaign_id, step) for step in steps.values()]
    await connection.execute(insert_or_ignore(connection, chains), rows)
    ended = select(chains.c.chain, chains.c.step).where(
        chains.c.campaign_id == campaign_id, chains.c.chain.in_(list(steps)), chains.c.done
    )
    for row in (await connection.execute(ended)).all():
        again = msgspec.structs.replace(steps[row.chain], number=row.step)
        here = (chains.c.campaign_id == campaign_id, chains.c.chain == row.chain)
        await connection.execute(update(chains).where(*here).values(done=False, next=_encode(again)))


def _encode(step: Step) -> bytes:
    return msgspec.msgpack.encode(step)


async def _advance(
    connection: AsyncConnection, campaign_id: str, step: Step, *, read: int, following: Step | None
) -> None:
    """Raises: StaleStep: the chain is past this step."""
    now_at = {"of_campaign": campaign_id, "of_chain": step.chain, "at_step": step.number}
    then = {"next_step": step.number + 1, "ended": following is None, "following": following and _encode(following)}
    moved = await connection.execute(_ADVANCE, {**now_at, **then, "more": read})
    if not moved.rowcount:
        raise StaleStep


async def _leave(connection: AsyncConnection, campaign_id: str, step: Step) -> None:
    """End a chain where it is: its next step, which nobody does, is what is left of it. Raises: StaleStep."""
    here = (chains.c.campaign_id == campaign_id, chains.c.chain == step.chain, chains.c.step == step.number)
    left = func.coalesce(chains.c.next, _encode(step))
    moved = await connection.execute(update(chains).where(*here, ~chains.c.done).values(done=True, next=left))
    if not moved.rowcount:
        raise StaleStep


async def _mark_planned(connection: AsyncConnection, campaign_id: str) -> None:
    """If every chain is at its end. Only under `campaigns.lock`: two that end at once must see each other."""
    open_chain = exists().where(chains.c.campaign_id == campaign_id, ~chains.c.done)
    await connection.execute(
        update(campaigns_table).where(campaigns_table.c.id == campaign_id, ~open_chain).values(planned=True)
    )


_INSERT_BATCHES = insert_ignoring(
    batches,
    *("id", "campaign_id", "lane", "size", "planned_at", "recipients", "edition", "first_key", "last_key"),
    *("recorded_at", "outcomes", "pending", "rejected", "wave", "gated"),
)
_INSERT_FAILURES = insert_ignoring(failures, *failures.c.keys())


async def add_batches(connection: AsyncConnection, planned: Sequence[Planned], now: float) -> None:
    """The rows of planned batches, and of those recipients who are rejected as planned. `now` in epoch seconds."""
    if not planned:
        return
    await _INSERT_BATCHES.execute(connection, [_row(each, now) for each in planned])
    refused = [row for each in planned if each.refused for row in _refusals(each, now)]
    await _INSERT_FAILURES.execute(connection, refused)


def _row(planned: Planned, now: float) -> dict[str, Any]:
    batch, size = planned.batch, len(planned.batch)
    settled = planned.refused is not None
    first, last = bounds(batch.recipients)
    return {
        "id": batch.id,
        "campaign_id": batch.campaign_id,
        "lane": batch.lane,
        "size": size,
        "planned_at": now,
        "recipients": planned.keys,
        "edition": planned.edition,
        "first_key": first,
        "last_key": last,
        "recorded_at": now if settled else None,
        "outcomes": bytes([Outcome.REJECTED]) * size if settled else None,
        "pending": 0 if settled else size,
        "rejected": size if settled else 0,
        "wave": planned.wave and planned.wave.at,
        "gated": planned.wave is not None and planned.wave.gated,
    }


def _refusals(planned: Planned, now: float) -> Iterator[dict[str, Any]]:
    batch = planned.batch
    for position, recipient in enumerate(batch.recipients):
        yield {
            "batch_id": batch.id,
            "position": position,
            "campaign_id": batch.campaign_id,
            "lane": batch.lane,
            "installation": recipient.decode(errors="replace"),
            "outcome": int(Outcome.REJECTED),
            "reason": planned.refused,
            "status": 0,
            "detail": planned.details[position] if planned.details else "",
            "dead": False,
            "tries": 0,
            "at": now,
        }
