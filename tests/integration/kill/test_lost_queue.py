"""The queue loses what it had, or is another than before: everybody ends in one outcome all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from multiprocessing.context import ForkServerContext

import pytest
import sqlalchemy as sa

from stentor.config import QueueConfig
from stentor.outcome import Outcome
from stentor.recording.audit import Audit
from stentor.runtime.child import Role
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.tables import failures, tasks
from tests.integration.kill.lost import delete_streams, jetstream, scheduling
from tests.integration.kill.running import LOOK, running_roles, until_final, until_sent
from tests.integration.kill.stage import SLOW, Providers, Stage, open_providers, open_stage, prove, repeats

ROLES: tuple[Role, ...] = ("planner", "sender", "recorder")
LARGE = 320
"""Recipients: those of some seconds, so that there is a middle."""


async def all_recorded(stage: Stage) -> None:
    """Until everybody who was sent to has an outcome on record."""

    while not stage.sends().keys() <= await stage.settled():  # noqa: ASYNC110 - it happens in other processes
        await asyncio.sleep(LOOK)


async def pause_in_the_middle(stage: Stage) -> None:
    await until_sent(stage, 40)
    await stage.stentor.campaigns.pause(stage.campaign_id)
    await all_recorded(stage)
    assert stage.pushes < LARGE * 0.9


async def lose_all_while_paused(stage: Stage, processes: ForkServerContext) -> None:
    async with running_roles(stage, processes, *ROLES):
        await pause_in_the_middle(stage)
    await delete_streams(stage)


@asynccontextmanager
async def at_work(stage: Stage, processes: ForkServerContext) -> AsyncIterator[None]:
    """All roles, which bring the campaign to its end and then stop as they should."""
    async with running_roles(stage, processes, *ROLES) as roles, scheduling(stage):
        yield
        await until_final(stage)
        assert [await role.stop() for role in roles] == [0, 0, 0]


async def audit(stage: Stage) -> Audit:
    return await stage.stentor.outcomes.audit(stage.campaign_id)


async def until_exact(stage: Stage) -> None:
    """Until nothing is lost any more."""
    while not (await audit(stage)).exact:  # noqa: ASYNC110 - it happens in other processes
        await asyncio.sleep(LOOK)


def of(keys: Iterable[str], counts: Mapping[str, int]) -> dict[str, int]:
    """How often each of these was sent to; who never was isn't in it."""
    return {key: counts[key] for key in keys if key in counts}


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with open_providers(SLOW) as found:
        yield found


@pytest.fixture
def queue(nats_url: str, queue_name: str) -> dict[str, str]:
    return {"url": nats_url, "name": queue_name}


@pytest.fixture
async def stage(postgres: str, providers: Providers, queue: dict[str, str]) -> AsyncIterator[Stage]:
    """A campaign that is started, and that nobody runs."""
    async with open_stage(postgres, providers, recipients=LARGE, queue=queue) as found:
        yield found


async def test_the_audit_of_a_campaign_in_the_middle(
    stage: Stage, queue: dict[str, str], processes: ForkServerContext
) -> None:
    async with running_roles(stage, processes, *ROLES):
        await until_sent(stage, 30)
        while stage.pushes < 100:
            found = await audit(stage)
            assert found.exact, found.checks
            await asyncio.sleep(LOOK)
        await pause_in_the_middle(stage)
        found = await audit(stage)
        assert found.exact, found.checks
        total = (await stage.stentor.outcomes.progress(stage.campaign_id)).total
        assert (total.in_flight, total.read) == (0, total.queued + total.retrying + total.settled)
        assert total.pending > 50

        async with jetstream(queue["url"]) as context:
            stream = f"{queue['name']}_batches"
            message = await context.get_msg(stream, (await context.stream_info(stream)).state.first_seq)
            await context.delete_msg(stream, message.seq or 0)
        found = await audit(stage)
        (check,) = [check for check in found.checks if not check.ok]
        assert check.name == "queue"
        assert check.detail.endswith("has pending recipients and is lost")


async def test_all_streams_are_lost_while_it_is_paused(stage: Stage, processes: ForkServerContext) -> None:
    await lose_all_while_paused(stage, processes)
    async with at_work(stage, processes):
        await until_exact(stage)
        assert await stage.state() is CampaignState.PAUSED
        await stage.stentor.campaigns.resume(stage.campaign_id)
    assert not repeats(await prove(stage))


async def test_all_is_lost_in_full_flight(stage: Stage, processes: ForkServerContext) -> None:
    """The servers and every role at once; who was sent to and isn't on record is sent to again, with the same id."""
    async with running_roles(stage, processes, *ROLES) as roles:
        await until_sent(stage, 60)
        await asyncio.gather(*(role.kill() for role in roles))
    await delete_streams(stage)
    settled, before = await stage.settled(), await stage.counts()
    async with at_work(stage, processes):
        pass
    after = await prove(stage)
    assert of(settled, after) == of(settled, before)
    assert repeats(after).keys() <= before.keys() - settled


async def test_all_streams_are_lost_under_roles_that_go_on(stage: Stage, processes: ForkServerContext) -> None:
    async with at_work(stage, processes):
        await until_sent(stage, 60)
        settled, before = await stage.settled(), await stage.counts()
        await delete_streams(stage)
    after = await prove(stage)
    assert of(settled, after) == of(settled, before)


async def test_outcomes_are_lost_that_nobody_had_recorded(stage: Stage, processes: ForkServerContext) -> None:
    """Nobody knows any more what came of those: they are sent to once more, and nobody else is."""
    async with running_roles(stage, processes, "planner", "sender") as roles:
        await until_sent(stage, 60)
        await stage.stentor.campaigns.pause(stage.campaign_id)
        assert [await role.stop() for role in roles] == [0, 0]
    before, settled = await stage.counts(), await stage.settled()
    # The batches' as well: it remembers those that were done, and for two minutes refuses to take them again.
    await delete_streams(stage, "outcomes", "batches")
    async with at_work(stage, processes):
        await stage.stentor.campaigns.resume(stage.campaign_id)
    again = repeats(await prove(stage))
    assert again
    assert again.keys() <= before.keys() - settled  # what was given back with a note is known all the same
    assert set(again.values()) == {2}


async def test_a_paused_campaign_moves_to_another_queue(
    postgres: str, providers: Providers, queue: dict[str, str], processes: ForkServerContext
) -> None:
    async with open_stage(postgres, providers, recipients=LARGE) as stage:
        async with running_roles(stage, processes, "planner", "sender"):
            await pause_in_the_middle(stage)
        assert (await audit(stage)).exact
        config = stage.config.model_copy(update={"queue": QueueConfig.model_validate(queue)})
        async with Stentor(config) as stentor:
            moved = replace(stage, stentor=stentor, config=config)
            assert not (await audit(moved)).exact
            async with at_work(moved, processes):
                await until_exact(moved)
                await stentor.campaigns.resume(moved.campaign_id)
            assert not repeats(await prove(moved))
        assert await stage.database.rows(sa.select(tasks.c.id).limit(1))  # what is left of the other queue harms nobody


async def test_who_went_meanwhile_ends_as_ambiguous(stage: Stage, processes: ForkServerContext) -> None:
    await lose_all_while_paused(stage, processes)
    planned = await stage.outcomes()
    pending = {key for key, outcome in planned.items() if outcome == Outcome.PENDING}
    gone = sorted(pending - stage.unroutable)[::7]
    assert len(gone) > 5
    await stage.database.write(
        lambda connection: connection.execute(
            sa.text("DELETE FROM users WHERE id = :id"), [{"id": key} for key in gone]
        )
    )
    async with at_work(stage, processes):
        await until_exact(stage)
        await stage.stentor.campaigns.resume(stage.campaign_id)
    assert not repeats(await prove(stage, lost=gone))
    rows = await stage.database.rows(sa.select(failures.c.installation).where(failures.c.reason == "Gone"))
    assert sorted(row.installation for row in rows) == sorted(gone)


async def test_a_campaign_is_cancelled_whose_queue_was_lost(stage: Stage, processes: ForkServerContext) -> None:
    await lose_all_while_paused(stage, processes)
    async with Stentor(stage.config) as another:
        await another.campaigns.cancel(stage.campaign_id)
    async with at_work(stage, processes):
        pass
    outcomes = await stage.outcomes()
    unsure = {key for key, outcome in outcomes.items() if outcome is Outcome.AMBIGUOUS}
    assert not repeats(await prove(stage, state=CampaignState.CANCELLED, unsure=unsure))
    assert len(unsure) > 50  # nobody knows any more whom a sender had begun
    assert Outcome.CANCELLED not in outcomes.values()
