"""Answers of push services are lost, or late, and the message ends: who may have it is ambiguous, never expired."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from stentor.outcome import Outcome
from stentor.simulators.faults import Devices, Drop, Faults, Latency
from stentor.testing.roles import MachineClock
from tests.integration.kill.answers_lost import LOSSES, RECIPIENTS, SHORT, see_that_nobody_expired_who_has_it
from tests.integration.kill.running import run_to_the_end, running_roles, until_final, until_sent
from tests.integration.kill.stage import copy_of, open_providers, open_stage, prove
from tests.integration.kill.stepping import LEASE, idle_sender

SOME = Faults(drop=Drop(after_accept_every=5))
LATE = Faults(latency=Latency(median_s=4.0, p99_s=4.0))
UNPACED = {"webpush": {"max_connections": 3}}


async def test_the_life_ends_before_the_next_try(tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    async with (
        open_providers(LOSSES, channels=["webpush"]) as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, **SHORT) as stage,
    ):
        await run_to_the_end(stage, processes)
        await see_that_nobody_expired_who_has_it(stage)


async def test_who_is_gone_when_tried_again_may_have_it_all_the_same(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    """A refusal says nothing of the try before."""
    async with (
        open_providers(SOME, channels=["webpush"]) as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=RECIPIENTS, longest_backoff=5.0) as stage,
        running_roles(stage, processes, "planner", "sender"),
    ):
        await until_sent(stage, RECIPIENTS // 3)
        providers.simulators["webpush"].world.set_faults(Faults(devices=Devices(unregistered=1.0)))
        await until_final(stage)
        await prove(stage, unsure=stage.addresses.keys())
        assert Outcome.REJECTED in (await stage.outcomes()).values()


async def test_a_clock_steps_over_the_end_while_answers_are_awaited(
    database_url: str, processes: ForkServerContext
) -> None:
    """That of the whole machine, or of another one's that has nothing to do."""
    wrong = MachineClock(processes)
    right = wrong if database_url.startswith("sqlite") else MachineClock(processes)
    whole: dict[str, Any] = {"page": RECIPIENTS, "batch": RECIPIENTS, "ranges": 1, "lease": LEASE, "lifetime": 60.0}
    async with (
        open_providers(LATE, channels=["webpush"], rates=UNPACED) as providers,
        open_stage(database_url, providers, recipients=RECIPIENTS, **whole) as stage,
        idle_sender(stage, wrong) as until_it_looked,
        running_roles(stage, processes, "planner", "sender", clock=right),
    ):
        await until_it_looked()
        wrong.step(61.0)
        await until_final(stage)
        await prove(stage, unsure=stage.addresses.keys())
