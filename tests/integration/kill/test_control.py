"""Pause, resume, cancel and a graceful stop in the midst of sending: nothing goes out any more, and nothing twice."""

from __future__ import annotations

import asyncio
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

from stentor.outcome import Outcome
from stentor.states import CampaignState
from tests.integration.kill.running import running_roles, until_final, until_sent
from tests.integration.kill.stage import SLOW, Stage, copy_of, open_providers, open_stage, prove, repeats

SOON = 2.0
"""Seconds after which nothing may be sent any more; one is promised, and this machine may be busy."""
WATCHED = 4.0
"""Seconds for which it is seen that nothing is."""


def last_push(stage: Stage, before: float) -> float:
    """When it was accepted, of those before a moment."""
    times = [entry.time for entries in stage.sends().values() for entry in entries]
    return max(moment for moment in times if moment < before)


async def test_pause_and_resume(tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    async with (
        open_providers(SLOW) as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=500) as stage,
        running_roles(stage, processes, "planner", "sender") as roles,
    ):
        await until_sent(stage, 60)
        await stage.stentor.campaigns.pause(stage.campaign_id)
        paused = time.time()
        await asyncio.sleep(WATCHED)
        resumed = time.time()
        assert stage.pushes < 400
        await stage.stentor.campaigns.resume(stage.campaign_id)
        await until_final(stage)
        assert last_push(stage, resumed) - paused < SOON
        assert [await role.stop() for role in roles] == [0, 0]
        assert not repeats(await prove(stage))


async def test_cancel(tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    async with (
        open_providers(SLOW) as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=500) as stage,
        running_roles(stage, processes, "planner", "sender") as roles,
    ):
        await until_sent(stage, 60)
        await stage.stentor.campaigns.cancel(stage.campaign_id)
        cancelled = time.time()
        await until_final(stage)
        assert [await role.stop() for role in roles] == [0, 0]
        assert not repeats(await prove(stage, state=CampaignState.CANCELLED))
        assert last_push(stage, float("inf")) - cancelled < SOON
        outcomes = list((await stage.outcomes()).values())
        assert outcomes.count(Outcome.CANCELLED) > 100


async def test_a_cancel_of_what_nobody_runs_sends_nothing(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    async with (
        open_providers() as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=100) as stage,
    ):
        await stage.stentor.campaigns.cancel(stage.campaign_id)
        async with running_roles(stage, processes, "planner", "sender"):
            await until_final(stage)
        assert await prove(stage, state=CampaignState.CANCELLED) == {}


async def test_a_graceful_stop_repeats_nothing(tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    """What is in flight is awaited, what isn't is given back, again and again."""
    async with (
        open_providers(SLOW) as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=400, lease=30.0, stop_within=1.0) as stage,
    ):
        for _ in range(3):
            async with running_roles(stage, processes, "planner", "sender") as roles:
                await until_sent(stage, stage.pushes + 30)
                assert [await role.stop() for role in roles] == [0, 0]
            depths = await stage.queue.depths(stage.lanes)
            assert not any(depth.leased for depth in depths.values()), "given back at once, not when the lease ends"
        async with running_roles(stage, processes, "planner", "sender"):
            await until_final(stage)
        assert not repeats(await prove(stage))


async def test_a_checkpoint_bounds_what_is_sent_twice(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    """Batches that take many seconds: who was accepted a while before the kill isn't sent to again."""
    async with (
        open_providers(SLOW) as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=400, page=400, batch=400) as stage,
    ):
        async with running_roles(stage, processes, "planner", "sender") as (_, sender):
            await until_sent(stage, 250)
            await sender.kill()
            killed = time.time()
        settled = await stage.settled()
        assert len(settled) > 50, "no checkpoint was made"
        async with running_roles(stage, processes, "planner", "sender"):
            await until_final(stage)
        counts = await prove(stage)
        assert repeats(counts)
        for key, entries in stage.sends().items():
            assert len(entries) == 1 or key not in settled
            assert len(entries) == 1 or killed - entries[0].time < 2.5
