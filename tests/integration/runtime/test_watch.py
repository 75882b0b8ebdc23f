"""Looking on: who is missing is named, role by role, until the last one comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from stentor.config import QueueConfig
from stentor.errors import InvalidState
from stentor.queue.contract import PLAN
from stentor.recording.report import Progress
from stentor.runtime import roles as looking
from stentor.runtime import standstill
from stentor.runtime.child import Role
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.testing import roles
from tests.integration.kill.stage import open_providers, open_stage, prove, repeats


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    return roles.context()


@pytest.fixture(params=["sql", "jetstream"])
def queue(request: pytest.FixtureRequest) -> Iterator[QueueConfig]:
    if request.param == "sql":
        yield QueueConfig()
    else:
        yield QueueConfig(url=request.getfixturevalue("nats_url"), name=request.getfixturevalue("queue_name"))


async def test_each_role_that_is_missing_is_named(
    tmp_path: Path, queue: QueueConfig, processes: ForkServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standstill, "STILL", 0.5)
    monkeypatch.setattr(standstill, "LOOK_AGAIN", 0.1)
    expected: list[tuple[str, Role]] = [(PLAN, "planner"), ("apns/ios", "sender")]
    if queue.url is not None:
        expected.append(("apns/ios", "recorder"))
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers() as providers, open_stage(url, providers, recipients=100, start=False) as stage:
        config = stage.config.model_copy(update={"queue": queue})
        with ExitStack() as stack:
            missing = iter(expected)
            lane, role = next(missing)
            started: list[Role] = []

            def look(progress: Progress) -> None:
                """Start the role that is missed, as soon as it is."""
                nonlocal lane, role
                problem = str(progress.problems.get(lane, ""))
                if role in started or not problem or any(f"worker {each}`" in problem for each in started):
                    return  # a role that was started takes longer than `STILL` to be at work
                assert f"`stentor worker {role}`" in problem
                process = roles.start_role(processes, role, config)
                stack.callback(process.terminate)
                started.append(role)
                lane, role = next(missing, (lane, role))

            async with Stentor(config) as stentor:
                await stentor.campaigns.start(stage.campaign_id)
                report = await stentor.roles.watch(stage.campaign_id, on_progress=look)
            assert started == [role for _, role in expected]
        assert report.campaign.state is CampaignState.COMPLETED
        assert not repeats(await prove(stage))


async def test_a_draft_never_moves(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers() as providers, open_stage(url, providers, recipients=1, start=False) as stage:
        with pytest.raises(InvalidState, match="is a draft; start it first"):
            await stage.stentor.roles.watch(stage.campaign_id)


async def test_who_stops_looking_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers() as providers, open_stage(url, providers, recipients=1) as stage:
        stop = asyncio.Event()
        report = await stage.stentor.roles.watch(stage.campaign_id, on_progress=lambda _: stop.set(), stop=stop)
        assert report.campaign.state is CampaignState.RUNNING
        assert (await stage.stentor.outcomes.progress(stage.campaign_id)).total.read == 0


async def test_a_glance_says_that_nobody_works_on_it(
    tmp_path: Path, queue: QueueConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "GLANCE", 0.3)
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with (
        open_providers() as providers,
        open_stage(url, providers, recipients=1, start=False) as stage,
        Stentor(stage.config.model_copy(update={"queue": queue})) as stentor,
    ):
        assert not (await stentor.roles.glance(stage.campaign_id)).still, "a draft never moves"
        await stentor.campaigns.start(stage.campaign_id)
        seen = await stentor.roles.glance(stage.campaign_id)
        assert seen.still
        told = str(seen.problems[PLAN])
        assert told.startswith("No planner takes the work that is ready. Nothing is working on it: ")
        assert f"`stentor campaign resume {stage.campaign_id}`" in told
        await stentor.campaigns.pause(stage.campaign_id)
        seen = await stentor.roles.glance(stage.campaign_id)
        assert (seen.still, seen.problems) == (False, {})


async def test_a_glance_ends_when_something_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "GLANCE", 3600.0)
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with open_providers() as providers, open_stage(url, providers, recipients=1) as stage:
        glancing = asyncio.create_task(stage.stentor.roles.glance(stage.campaign_id))
        await asyncio.sleep(0)
        report = await stage.stentor.roles.run(stage.campaign_id)
        assert report.campaign.state is CampaignState.COMPLETED
        assert not (await glancing).still
