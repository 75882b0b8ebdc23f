"""A campaign's roles as processes, and what tests wait for while they run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from multiprocessing.context import ForkServerContext

from stentor.outcome import Outcome
from stentor.runtime.child import Role
from stentor.states import FINAL
from stentor.testing.roles import MachineClock, RoleProcess, start_role
from tests.integration.kill.stage import Stage
from tests.integration.ledgers import CHATS, people_of, reached

LOOK = 0.05
"""Seconds between two looks whether the campaign has ended."""
GLANCE = 0.003
"""Seconds between two looks how many were sent to."""


@asynccontextmanager
async def running_roles(
    stage: Stage, processes: ForkServerContext, *roles: Role, clock: MachineClock | None = None
) -> AsyncIterator[list[RoleProcess]]:
    """These roles of a campaign, as processes that don't outlive the context.

    Args:
        clock: of their machine; None: one that is right.
    """
    started = [start_role(processes, role, stage.config, clock) for role in roles]
    try:
        yield started
    finally:
        for process in started:
            await process.end()


async def suspend(process: RoleProcess, store: str) -> None:
    """Have a role stand still, at a moment at which it doesn't hold SQLite's lock: nobody could go on.

    Args:
        store: its URL.
    """
    while True:
        process.suspend()
        if not store.startswith("sqlite"):
            return
        with closing(sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None, timeout=0.2)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.go_on()
                await asyncio.sleep(0)
            else:
                return


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - what is waited for happens in another process
        await asyncio.sleep(GLANCE)


async def until_sent(stage: Stage, pushes: int) -> None:
    """Until so many pushes were accepted."""

    async def enough() -> bool:
        return stage.pushes >= pushes

    await until(enough)


async def ends_within(stage: Stage, seconds: float) -> bool:
    """Whether the campaign has ended so many seconds from now."""
    await asyncio.sleep(seconds)  # the moment of a fault is a matter of chance, not of a condition
    return await stage.state() in FINAL


async def until_final(stage: Stage) -> None:
    await until(partial(ends_within, stage, LOOK))


async def run_to_the_end(
    stage: Stage, processes: ForkServerContext, *others: Role, clock: MachineClock | None = None
) -> None:
    """Have a planner, a sender and these see a campaign to its end."""
    async with running_roles(stage, processes, "planner", "sender", *others, clock=clock) as roles:
        await until_final(stage)
        assert {await role.stop() for role in roles} == {0}


async def take_back(
    stage: Stage, processes: ForkServerContext, *others: Role, clock: MachineClock | None = None
) -> None:
    """Undo a campaign that has ended. It concerns everybody who is in a ledger, and everybody who may be."""
    sent, before = await stage.people(), await stage.counts()
    if not reached(sent):
        assert not before
        return
    undo = await stage.stentor.campaigns.undo(stage.campaign_id)
    await stage.stentor.campaigns.start(undo.id)
    back = stage.of(undo.id)
    await run_to_the_end(back, processes, *others, clock=clock)
    people, after = await people_of(stage.database, undo.id, {}), await stage.counts()
    assert people.keys() == reached(sent), "an undo concerns those who were reached, or perhaps were"
    missed = [str(sent[key]) for key in sorted(before.keys() - people.keys())]
    assert not missed, f"{len(missed)} have the message, and the undo doesn't reach them:\n" + "\n".join(missed[:20])
    assert (await back.stentor.outcomes.audit(undo.id)).exact
    for key, person in people.items():
        if person.outcome is Outcome.ACCEPTED and person.channel not in {*CHATS, "webpush"}:  # these may delete it
            assert after[key] > before.get(key, 0), f"taken back on record, and not in the ledger: {person}"
