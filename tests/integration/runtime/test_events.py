"""What watchers of campaigns are told, on both stores: all from one look, whatever becomes of them or the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from stentor import BlockingStentor
from stentor.audience.contract import Selection
from stentor.config import Config, StoreConfig
from stentor.errors import UnknownCampaign
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime import hub as hubs
from stentor.runtime.changes import (
    CampaignEnded,
    CampaignEvent,
    CampaignsNow,
    LaneRecovered,
    LaneTrouble,
    ProgressMade,
    ReportReady,
    Snapshot,
    StateChanged,
    StoreAway,
)
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.campaigns import new_id
from stentor.store.database import Database
from stentor.store.tables import batches, campaigns, lanes
from stentor.testing.postgres import Postgres, run_postgres
from tests.integration.recording.rows import Rows
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

IOS = "apns/ios"
WATCHERS = 500
AN_HOUR = 3600.0


@pytest.fixture
async def stentor(database_url: str) -> AsyncIterator[Stentor]:
    async with Stentor(Config(store=StoreConfig(url=database_url))) as made:
        yield made


@pytest.fixture
async def rows(stentor: Stentor, database_url: str) -> AsyncIterator[Rows]:
    """Of that store, as another process would write them."""
    database = Database.open(database_url)
    yield Rows(database)
    await database.aclose()


@pytest.fixture
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first one the next is an hour away."""
    monkeypatch.setattr(hubs, "BUSY", AN_HOUR)
    monkeypatch.setattr(hubs, "LONGEST", AN_HOUR)


async def until(kind: type[CampaignEvent], events: AsyncIterator[CampaignEvent]) -> list[CampaignEvent]:
    """What is told up to the first of this kind."""
    told = []
    async for event in events:
        told.append(event)
        if isinstance(event, kind):
            return told
    raise AssertionError(f"it ended with {told}")


def looking() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "look for events"]


@asynccontextmanager
async def statements(stentor: Stentor) -> AsyncIterator[list[str]]:
    """Those that its database is given meanwhile."""
    engine = stentor._resources.database._engine.sync_engine
    given: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        given.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield given
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


async def test_a_campaign_from_its_whole_state_to_its_end(stentor: Stentor, rows: Rows) -> None:
    await rows.campaign(planned=True)
    batch = await rows.batch(0, "pppp")
    async with aclosing(stentor.events("c1")) as events:
        first = await anext(events)
        assert isinstance(first, Snapshot)
        assert (first.progress.total.queued, first.progress.state) == (4, CampaignState.RUNNING)
        await rows.problem(IOS, "the key was refused", "fix it")
        told = await until(ProgressMade, events)
        assert [(event.lane, event.problem.problem) for event in told if isinstance(event, LaneTrouble)] == [
            (IOS, "the key was refused")
        ]
        await rows.change(lanes.update().values(problem=None))
        await until(LaneRecovered, events)
        await rows.change(batches.update().where(batches.c.id == batch).values(pending=0, accepted=4))
        await rows.change(campaigns.update().values(state="completed", finished_at=time.time()))
        told += await until(CampaignEnded, events)
        report = next(event.report for event in told if isinstance(event, ReportReady))
        assert report.total.accepted == 4
        assert [event.state for event in told if isinstance(event, StateChanged)] == [CampaignState.COMPLETED]
        assert [event.id for event in told] == sorted(event.id for event in told)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


@pytest.mark.usefixtures("one_look")
async def test_500_watchers_cost_one_look_at_the_store(stentor: Stentor, rows: Rows) -> None:
    await rows.campaign()
    await rows.batch(0, "pa")
    async with statements(stentor) as of_one, aclosing(stentor.events("c1")) as events:
        await anext(events)
    async with statements(stentor) as of_all:
        watchers = [stentor.events("c1") for _ in range(WATCHERS)]
        first = await asyncio.gather(*(anext(each) for each in watchers))
        assert len({id(event) for event in first}) == 1
        for each in watchers:
            await each.aclose()
    assert of_one
    counted = [statement for statement in of_one if "clock_timestamp" not in statement]  # read every ten seconds
    assert [statement for statement in of_all if "clock_timestamp" not in statement] == counted


async def test_who_leaves_however_they_leave_is_forgotten(stentor: Stentor, rows: Rows) -> None:
    await rows.campaign()

    async def watch(seen: asyncio.Event) -> None:
        async for _ in stentor.events("c1"):
            seen.set()

    tasks, all_seen = [], [asyncio.Event() for _ in range(3)]
    for seen in all_seen:
        tasks.append(asyncio.create_task(watch(seen)))
        await seen.wait()
    async for _ in stentor.events("c1"):
        break  # without closing it
    closed = stentor.events("c1")
    await anext(closed)
    await closed.aclose()
    hub = stentor._events._hubs["c1"]
    while hub.watchers > len(tasks):  # noqa: ASYNC110 - the loop itself forgets it
        await asyncio.sleep(0)
    for left in (2, 1, 0):
        task = tasks.pop()
        task.cancel()
        await asyncio.wait({task})
        assert hub.watchers == left
    assert stentor._events._hubs == {}
    await asyncio.wait(looking() or [asyncio.create_task(asyncio.sleep(0))])
    assert looking() == []


@pytest.mark.usefixtures("one_look")
async def test_a_watcher_that_is_cancelled_while_it_is_closed_leaves_nothing(stentor: Stentor, rows: Rows) -> None:
    """As servers do it where a client hangs up: the first `await` of the clean-up is cancelled."""
    await rows.campaign()
    begun = asyncio.Event()

    async def serve() -> None:
        events = stentor.events("c1")
        await anext(events)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await events.aclose()

    serving = asyncio.create_task(serve())
    await begun.wait()
    serving.cancel()
    await asyncio.wait({serving})
    assert stentor._events._hubs == {}


async def test_a_stentor_that_is_closed_ends_its_events(database_url: str) -> None:
    async with Stentor(Config(store=StoreConfig(url=database_url))) as stentor:
        events = stentor.events()
        assert isinstance(await anext(events), CampaignsNow)
        waiting = asyncio.create_task(anext(events, None))
        await asyncio.sleep(0)
    assert await waiting is None
    assert looking() == []


async def test_an_unknown_campaign_is_an_error_and_none_later(stentor: Stentor, rows: Rows) -> None:
    for _ in range(2):
        with pytest.raises(UnknownCampaign):
            await anext(stentor.events("c1"))
    assert stentor._events._hubs == {}
    await rows.campaign()
    async with aclosing(stentor.events("c1")) as events:
        assert isinstance(await anext(events), Snapshot)


async def test_a_campaign_that_is_deleted_meanwhile(stentor: Stentor, rows: Rows) -> None:
    await rows.campaign()
    async with aclosing(stentor.events("c1")) as events:
        await anext(events)
        await rows.change(campaigns.delete())
        with pytest.raises(UnknownCampaign):
            await until(CampaignEnded, events)


async def test_all_campaigns_and_lanes(stentor: Stentor, rows: Rows) -> None:
    await rows.campaign("c1")
    await rows.campaign("c2", state=CampaignState.DRAFT)
    await rows.campaign("00old", state=CampaignState.COMPLETED, finished_at=1.0)
    await rows.problem("fcm/android", "the provider is down")
    async with aclosing(stentor.events()) as events:
        first = await anext(events)
        assert isinstance(first, CampaignsNow)
        assert {name: each.state for name, each in first.campaigns.items()} == {"c1": CampaignState.RUNNING}
        assert first.problems["fcm/android"].problem == "the provider is down"

        async def becomes(name: str, state: CampaignState, **values: object) -> StateChanged:
            await rows.change(campaigns.update().where(campaigns.c.id == name).values(state=state.value, **values))
            (*_, event) = await until(StateChanged, events)
            assert isinstance(event, StateChanged)
            return event

        started = await becomes("c2", CampaignState.RUNNING)
        assert (started.campaign_id, started.before, started.state) == ("c2", None, CampaignState.RUNNING)
        paused = await becomes("c1", CampaignState.PAUSED, problem="no key")
        assert (paused.campaign_id, paused.before, paused.problem) == ("c1", CampaignState.RUNNING, "no key")
        ended = await becomes("c1", CampaignState.CANCELLED)
        assert (ended.before, ended.state) == (CampaignState.PAUSED, CampaignState.CANCELLED)
        await rows.change(lanes.update().values(problem=None))
        (recovered,) = await until(LaneRecovered, events)
        assert isinstance(recovered, LaneRecovered)
        assert recovered.lane == "fcm/android"


async def test_a_campaign_that_is_over_before_anybody_looks_is_told(stentor: Stentor, rows: Rows) -> None:
    async with aclosing(stentor.events()) as events:
        await anext(events)
        campaign = await rows.campaign(new_id(time.time()), state=CampaignState.COMPLETED, finished_at=time.time())
        (ended,) = await until(StateChanged, events)
        assert isinstance(ended, StateChanged)
        assert (ended.campaign_id, ended.before, ended.state) == (campaign.id, None, CampaignState.COMPLETED)


async def test_ids_are_of_the_stores_clock_in_every_process(postgres: str) -> None:
    """So that who comes back to another process can tell what is newer, whatever that machine's clock says."""
    config = Config(store=StoreConfig(url=postgres))
    async with Stentor(config) as here, Stentor(config, lambda: time.time() + AN_HOUR) as there:
        for stentor in (here, there, here):
            async with aclosing(stentor.events()) as events:
                assert abs((await anext(events)).at - time.time()) < AN_HOUR / 2


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server that nobody else misses while it is stopped."""
    with run_postgres() as server:
        yield server


async def test_an_absent_store_is_an_event_and_goes_on_by_itself(own_postgres: Postgres) -> None:
    async with (
        own_postgres.database() as url,
        Stentor(Config(store=StoreConfig(url=url))) as stentor,
        aclosing(stentor.events()) as events,
    ):
        assert isinstance(await anext(events), CampaignsNow)
        await asyncio.to_thread(own_postgres.stop)
        (away,) = await until(StoreAway, events)
        assert isinstance(away, StoreAway)
        assert "PostgreSQL" in away.problem
        await asyncio.to_thread(own_postgres.start)
        await until(CampaignsNow, events)


async def test_a_campaign_that_is_really_sent(tmp_path: Path, facts: Facts) -> None:
    async with Stentor(rehearse(tmp_path, facts)) as stentor:
        content, everybody = Content(message=Message(title="News")), Selection(source=AUDIENCE)
        campaign = await stentor.campaigns.create(Draft(content, everybody))
        async with aclosing(stentor.events(campaign.id)) as events, asyncio.TaskGroup() as group:
            first = await anext(events)
            assert isinstance(first, Snapshot)
            assert first.progress.state is CampaignState.DRAFT
            await stentor.campaigns.start(campaign.id)
            running = group.create_task(stentor.roles.run(campaign.id))
            told = await until(CampaignEnded, events)
        report = running.result()
        assert [event.report.total for event in told if isinstance(event, ReportReady)] == [report.total]
        wholes = [event.progress for event in told if isinstance(event, ProgressMade)]
        assert wholes[-1].total == report.total
        assert all(each.total.read == each.total.settled + each.total.pending for each in wholes)


def test_programs_without_a_loop_are_told_the_same(tmp_path: Path, facts: Facts) -> None:
    with BlockingStentor(rehearse(tmp_path, facts)) as twin:
        draft = twin.campaigns.create(Draft(Content(message=Message(title="Hi")), Selection(source=AUDIENCE)))
        events = twin.events(draft.id)
        assert next(events).kind == "snapshot"
        twin.campaigns.cancel(draft.id)
        assert [event.kind for event in events] == ["state", "progress", "report", "end"]
        assert next(twin.events()).kind == "campaigns"
