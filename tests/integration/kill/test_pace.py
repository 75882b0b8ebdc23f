"""A project's budget over several sender processes, held against a provider that counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from stentor.simulators.faults import Faults
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.fcm.quota import Window
from tests.integration.kill.running import running_roles, until_final, until_sent
from tests.integration.kill.stage import Providers, copy_of, open_providers, open_stage, prove, repeats

RATE = 200
PERIOD = 2.0
"""Seconds over which the project's quota is counted here: FCM's minute is too long for a test."""
QUOTA = 1.5 * RATE * PERIOD
"""Of such a period. Two senders that each thought all of the budget theirs would send twice as much; how exactly it is
kept is tested where no slow machine can delay what was sent in time."""


@dataclass(slots=True)
class Paced(Providers):
    def apps(self) -> dict[str, dict[str, Any]]:
        apps = Providers.apps(self)
        apps["android"]["rate"] = RATE
        return apps


@asynccontextmanager
async def counting_providers() -> AsyncIterator[Paced]:
    async with open_providers(Faults()) as providers:
        fcm = providers.simulators["fcm"]
        assert isinstance(fcm, FcmSimulator)
        fcm.fcm._minute = Window(round(QUOTA), PERIOD, 0.0)
        yield Paced(providers.simulators)


async def test_two_senders_within_a_budget_never_hear_that_they_are_too_fast(
    tmp_path: Path, blank: Path, processes: ForkServerContext
) -> None:
    async with (
        counting_providers() as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=2000, page=200, batch=50) as stage,
        running_roles(stage, processes, "planner", "sender", "sender") as roles,
    ):
        await until_final(stage)
        assert [await role.stop() for role in roles] == [0, 0, 0]
        assert not repeats(await prove(stage))
        assert set(providers.simulators["fcm"].summary()["rejected"]) == set()


async def test_neither_do_they_when_one_is_killed(tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    async with (
        counting_providers() as providers,
        open_stage(copy_of(blank, tmp_path / "s.db"), providers, recipients=1600, page=200, batch=50) as stage,
        running_roles(stage, processes, "planner", "sender", "sender") as roles,
    ):
        await until_sent(stage, 850)  # all of the other lane's, and some of this one's
        await roles[1].kill()
        await until_final(stage)
        assert [await role.stop() for role in (roles[0], roles[2])] == [0, 0]
        await prove(stage)
        assert set(providers.simulators["fcm"].summary()["rejected"]) == set()
