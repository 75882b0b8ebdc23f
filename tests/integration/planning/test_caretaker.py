"""The caretaker: a queue that lost a campaign's steps gets them again, and nothing is done twice for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, update

from stentor.planning.caretaker import Caretaker
from stentor.states import CampaignState
from stentor.store.tables import campaigns, tasks
from tests.integration.planning.world import ANDROID, HOLD, IOS, World, crowd, run, world


@pytest.fixture
async def planning(database_url: str) -> AsyncIterator[World]:
    async with world(database_url, crowd(IOS, ANDROID, size=60)) as found:
        yield found


async def lose(planning: World) -> None:
    await run(planning.database, delete(tasks).where(tasks.c.lane == "plan"))


async def test_steps_that_were_lost_are_put_again_and_done_once(planning: World) -> None:
    caretaker = Caretaker(planning.database, planning.queue)
    await planning.start()
    await lose(planning)
    await caretaker.look()  # the first step
    await planning.do_one()
    await lose(planning)
    await caretaker.look()
    await planning.do_one()
    await lose(planning)
    await caretaker.look()
    await caretaker.look()
    await planning.do_all()
    assert (await planning.campaign()).planned
    assert await planning.planned() == {lane: planning.everybody(lane) for lane in (IOS, ANDROID)}


async def test_what_is_there_is_left_as_it_is(planning: World) -> None:
    await planning.start()
    await Caretaker(planning.database, planning.queue).look()
    assert await planning.count(tasks) == 1
    await planning.do_one()
    steps = await planning.count(tasks)
    held = await planning.take(1)
    await Caretaker(planning.database, planning.queue).look()
    assert await planning.count(tasks) == steps
    await planning.queue.extend(held, HOLD)


@pytest.mark.parametrize("state", [CampaignState.DRAFT, CampaignState.COMPLETED, CampaignState.FAILED])
async def test_of_a_campaign_that_is_not_under_way_nothing_is_put(planning: World, state: CampaignState) -> None:
    await planning.start()
    await lose(planning)
    await run(planning.database, update(campaigns).values(state=state.value))
    await Caretaker(planning.database, planning.queue).look()
    assert await planning.count(tasks) == 0


async def test_of_a_campaign_that_is_planned_nothing_is_put(planning: World) -> None:
    await planning.start()
    await planning.do_all()
    await planning.send()
    await Caretaker(planning.database, planning.queue).look()
    assert await planning.count(tasks) == 0
