"""The queue on a real NATS JetStream: the contract's suite, with what differs, and what only this queue promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from stentor.config import QueueConfig
from stentor.queue.contract import Lease, Queue
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.nats import Nats
from stentor.queue.streams import Streams
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.queue import LANE, Clock, QueueContract

DIFFERENCES = {
    "test_a_campaign_is_withdrawn_from_all_lanes_but_what_is_held": "nobody can take the tasks of one campaign alone",
    "test_no_more_than_the_limit_is_withdrawn": "nobody can take the tasks of one campaign alone",
    "test_what_was_done_may_be_put_again": "a task that is done is known for two minutes",
    "test_what_is_buried_twice_is_one_letter_with_the_later_reason": "a task that is done is known for two minutes",
    "test_a_lease_that_ended_but_was_taken_by_nobody_still_holds": "a lease that ended is lost",
    "test_a_clock_set_back_loses_nothing": "the server tells the time, by a clock that isn't set",
    "test_depths_tell_ready_delayed_and_leased_by_lane": "a lease that ended counts until somebody takes the task",
}


LATE = 0.4
"""Seconds by which the server may be late to see that a lease has ended, or that something was put."""
LOOKS = 4


@asynccontextmanager
async def open_queue(config: QueueConfig, url: str) -> AsyncIterator[JetStreamQueue]:
    database = Database.open(url)
    nats = Nats(config)
    try:
        yield JetStreamQueue(nats, Streams(nats, config.name, config.replicas), database)
    finally:
        await nats.aclose()
        await database.aclose()


class TestJetStreamQueue(QueueContract):
    HOLD: ClassVar[float] = 3.0
    DIFFERENCES: ClassVar[Mapping[str, str]] = DIFFERENCES

    async def elapse(self, clock: Clock, seconds: float) -> None:
        await asyncio.sleep(seconds + LATE)

    async def take(self, queue: Queue, lane: str = LANE, limit: int = 10) -> list[Lease]:
        """A consumer hears of what was put a moment after the stream has it."""
        for _ in range(LOOKS):
            if leases := await super().take(queue, lane, limit):
                return leases
            await asyncio.sleep(LATE / LOOKS)
        return []

    @pytest.fixture
    def clock(self) -> Clock:
        return time.time

    @pytest.fixture
    async def stack(self) -> AsyncIterator[AsyncExitStack]:
        async with AsyncExitStack() as stack:
            yield stack

    @pytest.fixture
    def config(self, nats_url: str, queue_name: str) -> QueueConfig:
        return QueueConfig(url=nats_url, name=queue_name)

    @pytest.fixture
    async def queue(self, config: QueueConfig, tmp_path: Path, stack: AsyncExitStack) -> Queue:
        url = f"sqlite:///{tmp_path / 'stentor.db'}"
        database = Database.open(url)
        await migrate(database)
        await database.aclose()
        return await stack.enter_async_context(open_queue(config, url))

    @pytest.fixture
    async def other_queue(self, config: QueueConfig, tmp_path: Path, queue: Queue, stack: AsyncExitStack) -> Queue:
        return await stack.enter_async_context(open_queue(config, f"sqlite:///{tmp_path / 'stentor.db'}"))


def test_what_differs_is_counted() -> None:
    assert len(DIFFERENCES) == 7
    assert all(hasattr(QueueContract, name) for name in DIFFERENCES)
