"""The roles' processes for tests."""

from __future__ import annotations

from pathlib import Path

from stentor.config import Config
from stentor.testing.roles import context, start_role


async def test_one_that_is_stopped_before_it_has_begun_ends_well(tmp_path: Path) -> None:
    config = Config.model_validate({"store": {"url": f"sqlite:///{tmp_path / 's.db'}"}})
    processes = context()
    assert [await start_role(processes, "planner", config).stop() for _ in range(3)] == [0, 0, 0]
