"""The roles' processes for tests."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from stentor.config import Config
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.roles import RoleProcess, context, start_role

STATES = Path("/proc/self/stat")


@pytest.mark.parametrize("begun", [0.0, 0.003, 0.01, 0.03, 0.1, 0.3])
async def test_one_that_is_stopped_however_early_ends_well(begun: float, tmp_path: Path) -> None:
    """Before it listens to signals, while it starts, and at work: which of them it is is the machine's affair."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    database = Database.open(url)
    await migrate(database)
    await database.aclose()
    role = start_role(context(), "planner", Config.model_validate({"store": {"url": url}}))
    await asyncio.sleep(begun)
    assert await role.stop() == 0


@pytest.mark.skipif(not STATES.exists(), reason="this system doesn't tell whether a process is stopped")
async def test_one_that_was_told_to_stand_still_does() -> None:
    """Not a moment later: what its threads are about to do may be to take a lock."""
    role = RoleProcess(context().Process(target=_be_busy), "busy")
    try:
        for _ in range(50):
            role.suspend()
            assert _state(role.pid) == "T"
            role.go_on()
            await asyncio.sleep(0.001)
    finally:
        await role.kill()


def _state(pid: int) -> str:
    """A letter; proc(5)."""
    return (STATES.parents[1] / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]


def _be_busy() -> None:
    while True:
        time.monotonic()
