"""Draining, and moving the queue: nothing begins, what runs comes to its end, nothing is lost and nothing doubled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Literal

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.config import Config, QueueConfig
from stentor.errors import InvalidState
from stentor.queue.contract import PLAN, Depth
from stentor.runtime.child import Role
from stentor.runtime.draft import Draft
from stentor.runtime.ports import open_backend
from stentor.runtime.preview import Preview
from stentor.runtime.queue_control import Backlog
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.tables import campaigns
from stentor.testing import roles
from tests.integration.kill.running import running_roles, until, until_final, until_sent
from tests.integration.kill.stage import CONTENT, SLOW, Stage, open_providers, open_stage, prove, repeats

Kind = Literal["sql", "jetstream"]
EVERYBODY = Selection(source="users")
NOT_COUNTED = Preview(title="News", lanes={}, unroutable=0, seconds=0.0, confirmation="")
SOON = 1.0
"""Seconds after which a scheduled campaign would begin."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    return roles.context()


@asynccontextmanager
async def at_work(stage: Stage, config: Config, processes: ForkServerContext, *wanted: Role) -> AsyncIterator[None]:
    """All roles that this configuration's queue needs, or those wanted; stopped at the end."""
    everybody: list[Role] = ["planner", "sender", "scheduler"]
    if config.queue.url is not None:
        everybody.append("recorder")
    started = [roles.start_role(processes, role, config) for role in wanted or everybody]
    try:
        yield
        assert [await process.stop() for process in started] == [0] * len(started)
    finally:
        for process in started:
            if process.runs:
                await process.kill()


async def depth(stage: Stage, config: Config) -> Depth:
    """Of the lane of plan steps."""
    backend = open_backend(config, stage.database, time.time)
    try:
        return (await backend.queue.depths([PLAN]))[PLAN]
    finally:
        await backend.aclose()


async def schedule(stage: Stage, stentor: Stentor, starts_at: float) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(sa.update(campaigns).values(starts_at=starts_at))

    await stage.database.write(change)
    assert (await stentor.campaigns.start(stage.campaign_id)).state is CampaignState.SCHEDULED


@pytest.mark.parametrize("way", [("sql", "jetstream"), ("jetstream", "sql"), ("sql", "jetstream", "sql")])
async def test_a_scheduled_campaign_moves_with_the_queue(
    way: tuple[Kind, ...], postgres: str, nats_url: str, queue_name: str, processes: ForkServerContext
) -> None:
    async with open_providers() as providers, open_stage(postgres, providers, recipients=200, start=False) as stage:
        nats = QueueConfig(url=nats_url, name=queue_name)
        configs = {"sql": stage.config, "jetstream": stage.config.model_copy(update={"queue": nats})}
        starts_at = time.time() + SOON
        async with Stentor(configs[way[0]]) as stentor:
            await schedule(stage, stentor, starts_at)
            assert (await stentor.queue.drain()).empty

        for place, kind in enumerate(way, 1):
            config = configs[kind]

            async def was_looked_at(config: Config = config) -> bool:
                """Somebody has taken its first step after its time, and put it back."""
                return time.time() > starts_at and (await depth(stage, config)).delayed == 1

            async with at_work(stage, config, processes), Stentor(config) as stentor:
                await until(was_looked_at)
                assert await stage.state() is CampaignState.SCHEDULED
                assert (await stentor.queue.drain()).empty
                assert providers.accepted == 0
                if place == len(way):
                    await stentor.queue.end_drain()
                    await until_final(stage)
        counts = await prove(stage)
        assert not repeats(counts)

        for kind in set(way):  # what was left in the queues that it passed through is of no effect

            async def is_empty(config: Config = configs[kind]) -> bool:
                return not (await depth(stage, config)).total

            async with at_work(stage, configs[kind], processes):
                await until(is_empty)
        assert await prove(stage) == counts


@pytest.fixture
async def stage(tmp_path: Path, processes: ForkServerContext) -> AsyncIterator[Stage]:
    """A campaign that is under way, on SQLite."""
    async with (
        open_providers(SLOW) as providers,
        open_stage(f"sqlite:///{tmp_path / 's.db'}", providers, recipients=200) as stage,
        running_roles(stage, processes, "planner", "sender"),
    ):
        await until_sent(stage, 20)
        yield stage


async def test_what_runs_comes_to_its_end_and_nothing_else_begins(stage: Stage) -> None:
    seen: list[Backlog] = []
    draining = asyncio.create_task(stage.stentor.queue.drain(on_progress=seen.append))
    await until(stage.stentor.queue.draining)
    draft = await stage.stentor.campaigns.create(Draft(CONTENT, EVERYBODY), preview=NOT_COUNTED)
    with pytest.raises(InvalidState, match="`stentor drain --end`"):
        await stage.stentor.campaigns.start(draft.id)
    with pytest.raises(InvalidState, match="being drained"):
        await stage.stentor.campaigns.send(Draft(CONTENT, EVERYBODY), preview=NOT_COUNTED)
    assert len(await stage.stentor.campaigns.newest()) == 2, "nothing is made that can't be started"

    assert (await draining).empty
    assert await stage.state() is CampaignState.COMPLETED
    assert seen[0].campaigns == {stage.campaign_id: CampaignState.RUNNING}
    assert seen[0].recipients > 0
    assert seen[0].batches > 0
    assert not repeats(await prove(stage))
    await stage.stentor.queue.end_drain()
    assert (await stage.stentor.campaigns.start(draft.id)).state is CampaignState.RUNNING


async def test_a_campaign_that_is_paused_in_the_midst_of_it_keeps_it_waiting(stage: Stage) -> None:
    await stage.stentor.campaigns.pause(stage.campaign_id)
    stop = asyncio.Event()

    def look(left: Backlog) -> None:
        if left.campaigns == {stage.campaign_id: CampaignState.PAUSED}:
            stop.set()

    left = await stage.stentor.queue.drain(on_progress=look, stop=stop)
    assert not left.empty
    assert await stage.stentor.queue.draining()
    await stage.stentor.campaigns.resume(stage.campaign_id)
    assert (await stage.stentor.queue.drain()).empty
    assert not repeats(await prove(stage))
