"""How much a planner takes on at once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from stentor.config import SendingConfig
from stentor.planning.worker import PlanWorker
from stentor.queue.contract import Lease


class FakeQueue:
    """Says how many steps it was asked for, and has none."""

    def __init__(self) -> None:
        self.limits: list[int] = []
        self.worker: PlanWorker | None = None

    async def take(self, lane: str, limit: int, lease: float) -> list[Lease]:
        self.limits.append(limit)
        assert self.worker is not None
        self.worker.stop()
        return []


@pytest.mark.parametrize(("at_once", "limit"), [(None, 6), (2, 2), (9, 9)])
async def test_as_many_as_it_is_told_or_as_an_audience_has_ranges(at_once: int | None, limit: int) -> None:
    queue = FakeQueue()
    anything = cast("Any", None)
    queue.worker = PlanWorker(
        anything, cast("Any", queue), anything, SendingConfig(ranges=6), anything, at_once=at_once
    )
    await queue.worker.run()
    assert queue.limits == [limit]
