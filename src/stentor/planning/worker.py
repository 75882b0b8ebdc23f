"""The planner's loop: takes plan steps as they are ready and sees each done, put back, or its campaign paused.

Rules: a step that cannot be done just now goes back to the queue; an audience that cannot be read as configured, a step
that fails for whatever other reason, or one that kills whoever takes it pauses its campaign, with the reason, so that
the others go on, and this one does when the cause is removed and it is resumed; nothing is kept between steps but what
can be had again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Audience, Selection, Wanted
from stentor.caps import Cap
from stentor.config import SendingConfig
from stentor.counted import counted
from stentor.errors import AudienceUnavailable, InvalidAudience, InvalidMessage, StoreUnavailable, UnknownCampaign
from stentor.planning.care.look import Care
from stentor.planning.content import decode_content
from stentor.planning.contract import ANYTIME, decode_timing
from stentor.planning.division import Divider
from stentor.planning.planner import (
    HELD_PAUSE,
    ChainPosition,
    Plan,
    Planner,
    PlanTally,
    StaleStep,
    Step,
    is_outdated,
    place,
)
from stentor.planning.recent import Recent
from stentor.planning.timing.moments import Moments
from stentor.queue.contract import PLAN, Change, Lease, Queue
from stentor.states import MOVES, CampaignState
from stentor.store import campaigns, flags
from stentor.store.campaigns import Campaign
from stentor.store.database import Database

logger = logging.getLogger(__name__)

SHORTEST_IDLE, LONGEST_IDLE = 0.01, 0.2
"""Seconds between two looks for steps."""
STORE_PAUSE = 0.5
"""Seconds after which a step is tried again during which the store was away."""
AUDIENCE_PAUSE = 2.0
"""Seconds after which an audience that couldn't be read is tried again."""
TRIES, TRY_PAUSE = 3, 0.5
"""How often a step is tried that fails for a reason nobody foresaw, and after how many seconds it is tried again."""
TOLD_FOR = 60.0
"""Seconds for which an audience counts as out of reach after it was found to be: each try says so again, unless another
planner has the step by then."""
COUNTED_FOR, REMEMBERED = 600.0, 1000
"""Seconds for which a step's failures are counted, and of how many steps at most."""
LONGEST_PROBLEM = 500
"""Characters of an exception's text that are told."""
PLANS = 16
"""Campaigns whose audience and content are kept at most."""


class Sources(Protocol):
    """Opens audiences."""

    def open(self, selection: Selection) -> Audience:
        """Raises: InvalidAudience: no audience has this name."""


class PlanWorker:
    """Does the plan steps of all campaigns until it is told to stop."""

    name = PLAN
    problem: str | None = None

    def __init__(
        self,
        database: Database,
        queue: Queue,
        sources: Sources,
        settings: SendingConfig,
        planner: Planner,
        clock: Callable[[], float] = time.time,
        at_once: int | None = None,
    ) -> None:
        """Args:
        planner: does the steps.
        at_once: steps that are done at a time at most; None: as many as an audience has ranges.
        """
        self._database = database
        self._queue = queue
        self._sources = sources
        self._settings = settings
        self._at_once = at_once or settings.ranges
        self._clock = clock
        self._care = Care(database, (), clock)
        self._planner = planner
        self._plans: dict[str, Plan] = {}
        self._stopping = asyncio.Event()
        self._troubles = Recent[str](TOLD_FOR, REMEMBERED)  # by campaign
        self._failures = Recent[int](COUNTED_FOR, REMEMBERED)  # of steps that failed unforeseen and aren't done, by id
        self.beat = time.monotonic()
        """When `run` last went round, by the monotonic clock."""

    def heed(self, caps: Sequence[Cap]) -> None:
        """Have no installation sent to more often than these caps of the configuration say. Before `run`."""
        self._care = Care(self._database, caps, self._clock)

    @property
    def tally(self) -> PlanTally:
        return self._planner.tally

    @property
    def notice(self) -> str | None:
        return self.trouble

    @property
    def trouble(self) -> str | None:
        """Why an audience cannot be read just now; None while all can."""
        return self._troubles.oldest

    def stop(self) -> None:
        """Take nothing more; `run` returns when the steps under way are done."""
        self._stopping.set()

    async def run(self) -> None:
        """Do steps as they are ready, several at once, until `stop`."""
        steps: set[asyncio.Task[None]] = set()
        idle = SHORTEST_IDLE
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(self._stopping.wait())
            while not self._stopping.is_set():
                self.beat = time.monotonic()
                leases = await self._take(self._at_once - len(steps))
                for lease in leases:
                    step = group.create_task(self._do(lease))
                    steps.add(step)
                    step.add_done_callback(steps.discard)
                idle = SHORTEST_IDLE if leases else min(LONGEST_IDLE, idle * 1.5)
                await asyncio.wait([stopped, *steps], timeout=idle, return_when=asyncio.FIRST_COMPLETED)

    async def _take(self, limit: int) -> list[Lease]:
        if limit <= 0:
            return []
        try:
            return await self._queue.take(PLAN, limit, self._settings.lease)
        except StoreUnavailable:
            return []

    async def _do(self, lease: Lease) -> None:
        """One step, held while it is under way: to be given out again meanwhile would count as our death."""
        holding = asyncio.create_task(self._hold(lease))
        try:
            await self._see_through(lease)
        finally:
            holding.cancel()

    async def _hold(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            with suppress(StoreUnavailable):
                await self._queue.extend([lease], self._settings.lease)

    async def _see_through(self, lease: Lease) -> None:
        """One step, to one of its ends: done, put back, or put back with its campaign paused or failed."""
        try:
            await self._do_now(lease)
            self._failures.pop(lease.id)
        except StoreUnavailable:
            await self._settle(release=[(lease, STORE_PAUSE)])
        except UnknownCampaign:
            self._forget(lease)
            await self._settle(ack=[lease])  # it was deleted
        except AudienceUnavailable as error:
            self._troubles.put(lease.campaign_id, str(error))
            await self._settle(release=[(lease, AUDIENCE_PAUSE)])
        except InvalidAudience as error:
            logger.error("campaign %s is paused: %s", lease.campaign_id, error, extra=lease.facts)
            await self._halt(lease, CampaignState.PAUSED, str(error))
        except InvalidMessage as error:  # what was stored cannot be changed any more
            logger.error("campaign %s failed: %s", lease.campaign_id, error, extra=lease.facts)
            await self._halt(lease, CampaignState.FAILED, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the process would die of it, and the next one, too
            await self._fail(lease, error)

    async def _do_now(self, lease: Lease) -> None:
        if lease.deliveries > self._settings.deliveries:
            problem = f"{counted(lease.deliveries - 1, 'planner process', 'planner processes')} died {_where(lease)}"
            logger.error("campaign %s is paused: %s", lease.campaign_id, problem, extra=lease.facts)
            await self._halt(lease, CampaignState.PAUSED, problem)
            return
        try:
            plan = await self._plan(lease)
        except StaleStep:
            await self._settle(ack=[lease])
            return
        if plan is None:
            self._troubles.pop(lease.campaign_id)  # nobody reads its audience now
            await self._settle(release=[(lease, HELD_PAUSE)])
            return
        await self._planner.step(lease, plan)
        logger.debug("step %s was done", lease.id, extra=lease.facts)
        self._troubles.pop(lease.campaign_id)

    async def _fail(self, lease: Lease, error: Exception) -> None:
        """A step failed for a reason that nobody foresaw: it is tried a few times, and then pauses its campaign."""
        said = str(error).partition("\n")[0][:LONGEST_PROBLEM]
        problem = f"planning failed {_where(lease)}: {type(error).__name__}: {said}"
        logger.error("campaign %s: %s", lease.campaign_id, problem, exc_info=error, extra=lease.facts)
        failures = (self._failures.get(lease.id) or 0) + 1
        if failures < TRIES:
            self._failures.put(lease.id, failures)
            await self._settle(release=[(lease, TRY_PAUSE)])
            return
        await self._halt(lease, CampaignState.PAUSED, problem)

    async def _plan(self, lease: Lease) -> Plan | None:
        """What a step needs; the campaign and its chain are read anew each time. None where nothing is to be planned
        now: it is paused, or isn't started yet, as the task may have come before that was committed.

        Raises: StaleStep: its start was taken back.
        """
        campaign_id = lease.campaign_id
        plan = self._plans.get(campaign_id)

        async def question(connection: AsyncConnection) -> tuple[Campaign, ChainPosition | None, bool, bytes]:
            campaign = await campaigns.get(connection, campaign_id)
            encoded = await campaigns.content(connection, campaign_id) if not _is_of(plan, campaign) else b""
            begins = campaign.state is CampaignState.SCHEDULED
            held_back = begins and await flags.get(connection, flags.DRAINING) is not None
            return campaign, await place(connection, lease), held_back, encoded

        campaign, at, held_back, encoded = await self._database.ask(question)
        if is_outdated(lease, campaign):
            raise StaleStep
        if campaign.expires_at is None or campaign.state is CampaignState.PAUSED:
            return None
        if not _is_of(plan, campaign):
            plan = self._plans.get(campaign_id)  # another step of it may have made one meanwhile
        if plan is not None and _is_of(plan, campaign):
            return replace(plan, campaign=campaign, place=at, held_back=held_back)
        selection = msgspec.json.decode(campaign.audience, type=Selection).at(campaign.starts_at)
        content, timing = decode_content(encoded), decode_timing(campaign.timing)
        audience = self._sources.open(selection)
        # One of a start that was taken back is dropped: it may be for others by now, and say something else.
        dropped = [self._plans.pop(campaign_id)] if plan is not None else []
        while len(self._plans) >= PLANS:
            dropped.append(self._plans.pop(next(iter(self._plans))))
        several, care = len(content.languages) > 1, self._care.of(campaign, content)
        plan = self._plans[campaign_id] = Plan(
            campaign=campaign,
            place=at,
            held_back=held_back,
            audience=audience,
            wanted=Wanted(
                language=several, zone=timing.needs_zone or care.wants_zones, variables=tuple(content.variables)
            ),
            care=care,
            divider=Divider(
                campaign_id=campaign_id,
                expires_at=campaign.expires_at,
                largest=self._settings.batch,
                index_of=content.language_index if several else None,
            ),
            moments=None if timing == ANYTIME else Moments(timing, campaign_id, campaign.starts_at or self._clock()),
        )
        for each in dropped:
            await each.audience.aclose()
        return plan

    async def _halt(self, lease: Lease, to: CampaignState, problem: str) -> None:
        """Pause or fail the campaign, and put the step back: it waits, or is given up like those of other chains.

        What hindered a start that was taken back meanwhile says nothing about the campaign as it is now.
        """
        self._forget(lease)

        async def change(connection: AsyncConnection) -> None:
            with suppress(UnknownCampaign):  # it was deleted meanwhile
                campaign = await campaigns.lock(connection, lease.campaign_id)
                if to in MOVES[campaign.state] and not is_outdated(lease, campaign):
                    await campaigns.move(connection, lease.campaign_id, to, problem=problem, now=self._clock())

        await self._settle(change, release=[(lease, 0.0)])

    def _forget(self, lease: Lease) -> None:
        """Nothing that is known of a step, or of its campaign's audience, holds any longer."""
        self._failures.pop(lease.id)
        self._troubles.pop(lease.campaign_id)

    async def _settle(
        self, change: Change | None = None, *, ack: Iterable[Lease] = (), release: Iterable[tuple[Lease, float]] = ()
    ) -> None:
        try:
            await self._queue.settle(change, ack=ack, release=release)
        except StoreUnavailable:
            return  # it comes back when its lease ends


def _is_of(plan: Plan | None, campaign: Campaign) -> bool:
    """Whether a plan was made of what a campaign is now."""
    return plan is not None and plan.campaign.revision == campaign.revision


def _where(lease: Lease) -> str:
    """For people: which installations a step is about."""
    try:
        step = msgspec.msgpack.decode(lease.payload, type=Step)
    except msgspec.DecodeError:
        return f"at the unreadable step {lease.id}"
    if step.wave is not None:
        return f"at the wave of {datetime.fromtimestamp(step.wave.at, UTC):%Y-%m-%d %H:%M} UTC"
    if (part := step.part) is None:
        return "at the start of the audience"
    after, upto = (cursor and (cursor.partition(":")[2] or cursor) for cursor in (part.after, part.upto))
    return f"at the installations {f'after {after}' if after else 'from the first'} up to {upto}"
