"""A kill trial: a campaign whose processes are killed at moments that a seed decides, and the proof that it's exact."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from typing import Any, Literal

from stentor.runtime.worker import Role
from stentor.testing.roles import RoleProcess, start_role
from tests.integration.kill.running import GLANCE, LOOK, ends_within
from tests.integration.kill.stage import Providers, Stage, open_providers, open_stage, prove, repeats

ROLES: tuple[Role, ...] = ("planner", "sender")
Victim = Literal["planner", "sender", "all"]
OpenStore = Callable[[int], AbstractAsyncContextManager[str]]
VICTIMS: tuple[Victim, ...] = ("planner", "sender", "sender", "all")
PATIENCE = 90.0
"""Seconds after which a trial's campaign counts as stuck."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Who is killed, and when."""

    victim: Victim
    after: float
    """Seconds after the last start."""
    pushes: int
    """How many pushes must have been accepted since besides; 0: it doesn't matter."""

    @property
    def roles(self) -> tuple[Role, ...]:
        return ROLES if self.victim == "all" else (self.victim,)


@dataclass(frozen=True, slots=True)
class Plot:
    """What happens in a trial."""

    seed: int
    recipients: int
    sending: Mapping[str, Any]
    kills: tuple[Kill, ...]


def make_plot(seed: int, largest: int) -> Plot:
    """Moments are drawn from all that such a campaign goes through: half of them by the time since the last start, so
    that they meet processes that begin, wait for leases, or end; half by what was sent since."""
    draw = random.Random(seed)
    recipients = draw.randrange(largest // 2, largest)
    kills = []
    for number in range(draw.choice((1, 1, 1, 2, 2, 3))):
        if draw.random() < 0.5:
            kills.append(Kill(draw.choice(VICTIMS), draw.uniform(0.0, 1.5 if number else 0.5), 0))
        else:
            kills.append(Kill(draw.choice(VICTIMS), draw.uniform(0.0, 0.02), draw.randrange(1, recipients // 2)))
    sending = {
        "page": draw.choice((25, 60, 200)),
        "batch": draw.choice((10, 25, 50)),
        "ranges": draw.choice((1, 3)),
        "depth": draw.choice((8, 32, 128)),
    }
    return Plot(seed, recipients, sending, tuple(kills))


@dataclass(slots=True)
class Tale:
    """What a trial, or several, went through."""

    kills: int = 0
    in_midst: int = 0
    """Kills of a sender that was in the midst of it: some had an outcome by then, and others hadn't."""
    repeated: int = 0
    """Pushes that were sent a second time."""


async def play(plot: Plot, url: str, providers: Providers, processes: ForkServerContext, *, first: int) -> Tale:
    """Run a trial and prove it exact."""
    found = Tale()
    async with open_stage(url, providers, first=first, recipients=plot.recipients, **plot.sending) as stage:
        async with AsyncExitStack() as stack:
            running = {role: start_role(processes, role, stage.config) for role in ROLES}
            stack.push_async_callback(_kill_all, running)
            settled: list[tuple[frozenset[str], dict[str, int]]] = []
            for kill in plot.kills:
                if not await _moment_of(kill, stage):
                    break
                for role in kill.roles:
                    await running[role].kill()
                if "sender" in kill.roles:
                    settled.append((await stage.settled(), await stage.counts()))
                    found.in_midst += 0 < len(settled[-1][0]) < plot.recipients
                running |= {role: start_role(processes, role, stage.config) for role in kill.roles}
                found.kills += 1
            while not await ends_within(stage, LOOK):
                assert all(process.runs for process in running.values()), "a role died by itself"
            assert [await process.stop() for process in running.values()] == [0, 0]
        counts = await prove(stage)
        found.repeated = sum(count - 1 for count in counts.values())
        _check_repeats(counts, settled)
    return found


def _check_repeats(counts: Mapping[str, int], settled: list[tuple[frozenset[str], dict[str, int]]]) -> None:
    """Who was sent to again was in flight when a sender was killed, and had no outcome yet: once a kill at most."""
    for key, count in repeats(counts).items():
        assert count <= 1 + len(settled), f"{key} was sent to {count} times"
    for done, before in settled:
        again = [key for key in done if counts.get(key, 0) > before.get(key, 0)]
        assert not again, f"sent to again although their outcomes were durable: {again[:5]}"


async def _moment_of(kill: Kill, stage: Stage) -> bool:
    """Wait for it. Returns whether it came before the campaign's end."""
    wanted = stage.pushes + kill.pushes
    while kill.pushes and stage.pushes < wanted:
        if await ends_within(stage, GLANCE):
            return False
    return not await ends_within(stage, kill.after)


async def _kill_all(running: Mapping[Role, RoleProcess]) -> None:
    for process in running.values():
        if process.runs:
            await process.kill()


async def play_all(
    seeds: range, open_store: OpenStore, processes: ForkServerContext, *, largest: int, at_once: int
) -> Tale:
    """Run trials, some at once: most of a trial is waiting for leases to end. Returns what all of them went through.

    Args:
        open_store: gives the URL of an empty store for a seed.
        largest: recipients of a campaign at most.
    """
    turn = asyncio.Semaphore(at_once)
    total = Tale()
    async with open_providers(seed=seeds.start) as providers:

        async def trial(seed: int) -> None:
            plot = make_plot(seed, largest)
            async with turn, open_store(seed) as url:
                try:
                    async with asyncio.timeout(PATIENCE):
                        tale = await play(plot, url, providers, processes, first=(seed - seeds.start) * largest)
                except BaseException as error:
                    error.add_note(f"in the kill trial with seed {seed}: {plot}")
                    raise
            total.kills += tale.kills
            total.in_midst += tale.in_midst
            total.repeated += tale.repeated

        async with asyncio.TaskGroup() as group:
            for seed in seeds:
                group.create_task(trial(seed))
    return total
