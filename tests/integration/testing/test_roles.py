"""The roles' processes for tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stentor.config import Config
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.roles import context, start_role


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
