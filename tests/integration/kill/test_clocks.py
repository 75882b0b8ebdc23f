"""Clocks step while senders are at work: what is another's stays another's, and nobody gets anything twice."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from stentor.testing.roles import MachineClock
from tests.integration.kill.running import running_roles, until_final
from tests.integration.kill.stage import SLOW, copy_of, open_providers, open_stage, prove, repeats
from tests.integration.kill.stepping import LEASE, idle_sender, many_chats, step_in_the_midst

MINUTE = 60.0


async def test_chats_get_it_once_though_the_machines_clock_steps(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    async with many_chats(copy_of(blank, tmp_path / "s.db")) as stage:
        await step_in_the_midst(stage, processes, one_machine=True)


async def test_chats_get_it_once_though_one_machines_clock_steps(postgres: str, processes: ForkServerContext) -> None:
    async with many_chats(postgres) as stage:
        await step_in_the_midst(stage, processes, one_machine=False)


async def test_a_machine_whose_clock_steps_takes_no_live_lease(postgres: str, processes: ForkServerContext) -> None:
    wrong = MachineClock(processes)
    large: dict[str, Any] = {"page": 400, "batch": 400, "ranges": 1, "lease": LEASE}
    async with (
        open_providers(SLOW) as providers,
        open_stage(postgres, providers, recipients=400, **large) as stage,
        idle_sender(stage, wrong) as until_it_looked,
        running_roles(stage, processes, "planner", "sender") as roles,
    ):
        await until_it_looked()
        assert stage.pushes < 200
        wrong.step(MINUTE)
        await until_final(stage)
        assert {await role.stop() for role in roles} == {0}
        assert not repeats(await prove(stage))
