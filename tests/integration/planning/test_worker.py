"""The planner's loop: what it does where an audience, the store, or a step itself is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Page, Range, Selection, Wanted
from stentor.errors import AudienceUnavailable, InvalidAudience, InvalidMessage, StoreRefused
from stentor.pipeline import call_off
from stentor.planning.planner import Step, start_task, step_task
from stentor.planning.worker import AUDIENCE_PAUSE, TRY_PAUSE
from stentor.queue.contract import PLAN, Task
from stentor.recording.audit import audit
from stentor.recording.recorder import Recorder
from stentor.states import FINAL, CampaignState
from stentor.store import campaigns
from stentor.store.tables import campaigns as table
from stentor.store.tables import chains
from tests.integration.planning.world import ANDROID, CAMPAIGN, HOLD, IOS, People, World, crowd, run, world


@pytest.fixture
async def planning(database_url: str) -> AsyncIterator[World]:
    async with world(database_url, crowd(IOS, ANDROID, size=60)) as found:
        yield found


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    while not await is_so():  # noqa: ASYNC110 - what another task writes to a database sets no event
        await asyncio.sleep(0.01)


async def is_planned(planning: World, campaign_id: str = CAMPAIGN) -> bool:
    return (await planning.campaign(campaign_id)).planned


async def is_over(planning: World) -> bool:
    """No step of it is left."""
    return (await planning.campaign()).state in FINAL and all((await planning.chains()).values())


async def is_planned_and_sent(planning: World, campaign_id: str) -> bool:
    planning.clock.move(1.0)
    await planning.send()
    return await is_planned(planning, campaign_id)


async def is_read_by_all(planning: World) -> bool:
    return await planning.read() == (len(planning.people.rows), len(planning.people.rows))


async def test_it_plans_to_the_end_and_stops_when_told(planning: World) -> None:
    await planning.start()
    async with planning.worker() as worker:
        await until(lambda: is_planned(planning))
    assert worker.trouble is None
    assert await planning.planned() == {lane: planning.everybody(lane) for lane in (IOS, ANDROID)}


async def test_nothing_of_a_start_that_was_taken_back_is_used(planning: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The draft may be for others by now, so its audience is opened anew; the step that was left behind is dropped."""
    opened: list[Selection] = []

    def open_audience(world: World, selection: Selection) -> People:
        opened.append(selection)
        return world.people

    async def is_opened() -> bool:
        return bool(opened)

    async def is_cleared() -> bool:
        planning.clock.move(61.0)
        return (await planning.queue.depths([PLAN]))[PLAN].total == 0

    async def again(connection: AsyncConnection) -> None:
        await campaigns.unschedule(connection, CAMPAIGN)
        times = {"starts_at": planning.clock(), "expires_at": planning.clock() + 3600}
        await campaigns.move(connection, CAMPAIGN, CampaignState.RUNNING, problem=None, now=None, **times)

    monkeypatch.setattr(World, "open", open_audience)
    await planning.start(state=CampaignState.SCHEDULED, starts_at=planning.clock() + 3000)
    async with planning.worker():
        await until(is_opened)
        await planning.database.write(again)
        await planning.queue.settle(put=[start_task(CAMPAIGN, revision=1)])
        await until(lambda: is_planned_and_sent(planning, CAMPAIGN))
        await until(is_cleared)
    assert len(opened) == 2
    assert await is_read_by_all(planning)


async def test_several_steps_learn_at_once_that_a_start_was_taken_back(
    planning: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """This planner saw the start that was taken back, and another one began the campaign after it."""
    opened: list[Closing] = []

    class Closing(People):
        closed = False

        async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
            assert not self.closed
            return await super().page(part, limit, wanted, lanes)

        async def aclose(self) -> None:
            self.closed = True
            await asyncio.sleep(0)

    def open_audience(world: World, selection: Selection) -> People:
        opened.append(Closing(world.people.rows))
        return opened[-1]

    async def is_opened() -> bool:
        return bool(opened)

    parts = await planning.people.ranges(3)
    steps = [Step(chain=f"0.{number}", part=part) for number, part in enumerate(parts)]

    async def begin_again(connection: AsyncConnection) -> None:
        await campaigns.unschedule(connection, CAMPAIGN)
        times = {"starts_at": planning.clock(), "expires_at": planning.clock() + 3600}
        await campaigns.move(connection, CAMPAIGN, CampaignState.RUNNING, problem=None, now=None, **times)
        rows = [
            {"campaign_id": CAMPAIGN, "chain": each.chain, "step": 0, "next": msgspec.msgpack.encode(each)}
            for each in steps
        ]
        await connection.execute(chains.insert(), rows)

    monkeypatch.setattr(World, "open", open_audience)
    await planning.start(state=CampaignState.SCHEDULED, starts_at=planning.clock() + 3000)
    async with planning.worker():
        await until(is_opened)
        await planning.queue.settle(begin_again, put=[step_task(CAMPAIGN, each) for each in steps])
        await until(lambda: is_planned_and_sent(planning, CAMPAIGN))
    assert await is_read_by_all(planning)
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []
    assert [each.closed for each in opened] == [True, False]


async def test_trouble_with_a_start_that_was_taken_back_is_not_the_next_ones(
    planning: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken back, and began anew with another audience, while the old one was still being looked at."""
    looked_at: list[str] = []

    class Wrong(People):
        async def ranges(self, parts: int) -> list[Range]:
            if looked_at:
                return await super().ranges(parts)
            looked_at.append("the old one")
            await planning.database.write(again)
            await planning.queue.settle(put=[start_task(CAMPAIGN, revision=1)])
            raise InvalidAudience("there is no such column")

    async def again(connection: AsyncConnection) -> None:
        await campaigns.unschedule(connection, CAMPAIGN)
        times = {"starts_at": planning.clock(), "expires_at": planning.clock() + 3600}
        await campaigns.move(connection, CAMPAIGN, CampaignState.RUNNING, problem=None, now=None, **times)

    async def is_planned_or_paused() -> bool:
        is_paused = (await planning.campaign()).state is CampaignState.PAUSED
        return is_paused or await is_planned_and_sent(planning, CAMPAIGN)

    monkeypatch.setattr(World, "open", lambda world, selection: Wrong(world.people.rows))
    await planning.start(state=CampaignState.SCHEDULED)
    async with planning.worker():
        await until(is_planned_or_paused)
    campaign = await planning.campaign()
    assert (campaign.state, campaign.problem) == (CampaignState.RUNNING, None)
    assert await is_read_by_all(planning)


async def test_a_step_of_a_start_that_was_taken_back_plans_nothing(planning: World) -> None:
    async def is_dropped() -> bool:
        planning.clock.move(61.0)
        return (await planning.queue.depths([PLAN]))[PLAN].total == 0

    await planning.start(state=CampaignState.SCHEDULED, starts_at=planning.clock() + 3000)
    await planning.database.write(lambda connection: campaigns.unschedule(connection, CAMPAIGN))
    async with planning.worker():
        await until(is_dropped)
    campaign = await planning.campaign()
    assert (campaign.state, campaign.planned, campaign.planning_over) == (CampaignState.DRAFT, False, False)
    assert await planning.chains() == {}


async def test_an_audience_error_pauses_the_campaign_which_goes_on_when_it_is_mended(planning: World) -> None:
    problem = "audiences.people: the database says: no such column: token"

    def fail(part: Range) -> None:
        if part.after is not None and part.after > "000025":
            raise InvalidAudience(problem)

    async def is_paused() -> bool:
        return (await planning.campaign()).state is CampaignState.PAUSED

    planning.people.before_page = fail
    await planning.start()
    async with planning.worker():
        await until(is_paused)
    campaign = await planning.campaign()
    assert (campaign.problem, campaign.finished_at, campaign.planned) == (problem, None, False)
    assert 0 < (await planning.read())[0] < 60
    planning.people.before_page = lambda _: None
    await planning.move(CampaignState.RUNNING)
    async with planning.worker():
        await until(lambda: is_planned_and_sent(planning, CAMPAIGN))
    assert (await planning.campaign()).problem is None
    assert await is_read_by_all(planning)


async def test_a_message_that_cannot_be_read_fails_the_campaign_and_the_account_is_right(
    planning: World,
) -> None:
    def fail(part: Range) -> None:
        if part.after is not None and part.after > "000025":
            raise InvalidMessage("title", "it is none")

    planning.people.before_page = fail
    await planning.start()
    async with planning.worker():
        await until(lambda: is_over(planning))
    campaign = await planning.campaign()
    assert campaign.state is CampaignState.FAILED
    assert campaign.problem == "title: it is none"
    assert campaign.finished_at == planning.clock()
    assert 0 < (await planning.read())[0] < 60
    recorder = Recorder(planning.database, planning.queue)
    await call_off(planning.queue, recorder, planning.planner(), CAMPAIGN, planning.clock)
    async with planning.database.read() as connection:
        found = await audit(connection, CAMPAIGN, planning.clock())
    assert found.exact, found.checks
    assert (await planning.queue.depths([IOS, ANDROID, PLAN]))[IOS].total == 0


async def test_an_audience_that_is_away_for_a_while_is_waited_for(planning: World) -> None:
    away = True

    def fail(part: Range) -> None:
        if away and part.after is not None:
            raise AudienceUnavailable("audiences.people: the PostgreSQL database app on db cannot be reached.")

    async def is_in_trouble() -> bool:
        return worker.trouble is not None and "cannot be reached" in worker.trouble

    planning.people.before_page = fail
    await planning.start()
    async with planning.worker() as worker:
        await until(is_in_trouble)
        away = False
        planning.clock.move(AUDIENCE_PAUSE)
        await until(lambda: is_planned(planning))
    assert worker.trouble is None
    assert await is_read_by_all(planning)


@pytest.mark.parametrize("ends", [CampaignState.PAUSED, CampaignState.CANCELLING, None])
async def test_an_audience_that_nobody_reads_any_more_is_no_trouble(
    planning: World, ends: CampaignState | None
) -> None:
    """Its campaign was paused, cancelled or deleted while it was away."""

    def fail(part: Range) -> None:
        raise AudienceUnavailable("audiences.people: the PostgreSQL database app on db cannot be reached.")

    async def is_in_trouble() -> bool:
        return worker.trouble is not None

    async def is_at_rest() -> bool:
        planning.clock.move(AUDIENCE_PAUSE)
        return worker.trouble is None

    planning.people.before_page = fail
    await planning.start()
    async with planning.worker() as worker:
        await until(is_in_trouble)
        if ends is None:
            await run(planning.database, table.delete())
        else:
            await planning.move(ends)
        await until(is_at_rest)


async def test_a_step_that_kills_its_planners_pauses_its_campaign_and_no_other(planning: World) -> None:
    await planning.start()
    for _ in range(planning.settings.deliveries):
        (poison,) = await planning.take()
        assert poison.campaign_id == CAMPAIGN
        planning.clock.move(HOLD)
    await planning.start("c2")

    async def is_over() -> bool:
        return (await planning.campaign("c2")).planned and (await planning.campaign()).problem is not None

    async with planning.worker():
        await until(is_over)
    campaign = await planning.campaign()
    assert campaign.state is CampaignState.PAUSED
    assert campaign.problem == f"{planning.settings.deliveries} planner processes died at the start of the audience"
    await planning.move(CampaignState.RUNNING)
    planning.clock.move(1.0)
    await planning.send()
    async with planning.worker():
        await until(lambda: is_planned(planning))


@pytest.mark.parametrize("error", [OverflowError("can't\nserialize"), KeyError("v"), StoreRefused(), AssertionError()])
async def test_a_step_that_fails_unforeseen_pauses_its_campaign_and_no_other(
    planning: World, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """It says why and where; resumed when that is mended, the campaign is planned to its end."""

    def fail(part: Range) -> None:
        if part.after is not None and "000019" <= part.after < "000039":
            raise error

    async def is_paused() -> bool:
        planning.clock.move(TRY_PAUSE)
        return (await planning.campaign()).state is CampaignState.PAUSED

    planning.people.before_page = fail
    await planning.start()
    async with planning.worker():
        await until(is_paused)
        campaign = await planning.campaign()
        where, what = "at the installations after 000019 up to 000039", str(error).partition("\n")[0]
        assert campaign.problem == f"planning failed {where}: {type(error).__name__}: {what}"
        assert "Traceback" in caplog.text
        planning.people.before_page = lambda _: None
        await planning.start("c2")
        await until(lambda: is_planned_and_sent(planning, "c2"))
        await planning.move(CampaignState.RUNNING)
        await until(lambda: is_planned_and_sent(planning, CAMPAIGN))


async def test_a_failure_that_passes_pauses_nothing(planning: World) -> None:
    failures = iter([OSError("once"), RecursionError("twice")])

    def fail(part: Range) -> None:
        planning.clock.move(TRY_PAUSE)
        if (error := next(failures, None)) is not None:
            raise error

    planning.people.before_page = fail
    await planning.start()
    async with planning.worker():
        await until(lambda: is_planned(planning))
    assert (await planning.campaign()).problem is None
    assert await is_read_by_all(planning)


async def test_a_step_that_nobody_can_read_pauses_its_campaign(planning: World) -> None:
    await planning.start()
    await planning.queue.settle(put=[Task(id="c1/x/0", lane=PLAN, campaign_id=CAMPAIGN, payload=b"\xc1")])

    async def is_paused() -> bool:
        planning.clock.move(TRY_PAUSE)
        return (await planning.campaign()).state is CampaignState.PAUSED

    async with planning.worker():
        await until(is_paused)
    assert "at the unreadable step c1/x/0" in str((await planning.campaign()).problem)


async def test_steps_of_a_campaign_that_was_deleted_are_done_with(planning: World) -> None:
    await planning.start()
    await run(planning.database, table.delete())
    await planning.queue.settle(put=[start_task("never")])

    async def is_empty() -> bool:
        return (await planning.queue.depths([PLAN]))[PLAN].total == 0

    async with planning.worker():
        await until(is_empty)
