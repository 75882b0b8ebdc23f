"""Series: each run is made and started once, when it is due, whoever dies; and what is not sent is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from stentor.audience.contract import Selection
from stentor.config import Config, ReportTarget
from stentor.errors import (
    AudienceUnavailable,
    ChangedMeanwhile,
    InvalidAudience,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    UnknownSeries,
)
from stentor.model import Message
from stentor.planning.content import Content
from stentor.planning.contract import Timing
from stentor.recording.shapes import selection_of
from stentor.reporting.events import EventKind, decode_event
from stentor.reporting.letter import letter_of
from stentor.runtime.draft import Draft
from stentor.runtime.resources import Resources
from stentor.runtime.series import SeriesDraft
from stentor.runtime.series_maker import CampaignMaker
from stentor.runtime.series_runner import AGAIN, LATE, LEASE, SeriesRunner
from stentor.runtime.stentor import Stentor
from stentor.runtime.worker import work
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.along import Along
from stentor.store.campaigns import Campaign
from stentor.store.series import Missed, RunState, Series, SeriesRun, run_id
from stentor.store.tables import report_events, series_runs, tasks
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, rehearse

DAY = 86_400.0
NEWS = Content(message=Message(title="News", ttl=3600))
DRAFT = Draft(NEWS, Selection(source=AUDIENCE))
DAILY = SeriesDraft(name="Daily news", draft=DRAFT, cron="0 18 * * *", zone="Europe/Berlin")
NOON = datetime.fromisoformat("2026-11-30T12:00:00+01:00").timestamp()
EVENING = NOON + 6 * 3600


@dataclass(slots=True)
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


class World:
    """A store, an app's database with 20 phones, and any number of schedulers."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.clock = Clock()
        self.stentor = Stentor(config, self.clock)
        self._opened: list[Resources] = []

    def scheduler(self, maker: type[CampaignMaker] = CampaignMaker) -> SeriesRunner:
        """One with connections of its own."""
        resources = Resources.open(self.config, self.clock)
        self._opened.append(resources)
        return SeriesRunner(resources.database, lambda: maker(resources), self.config.reports, self.clock)

    async def look(self, *schedulers: SeriesRunner) -> None:
        """Have them look, all at once, and make what they begin to make."""
        await asyncio.gather(*(each.look() for each in schedulers))
        await asyncio.gather(*(each.made() for each in schedulers))

    async def states(self, series: Series) -> list[tuple[float, RunState]]:
        """What became of its runs, the newest first."""
        return [(run.due, run.state) for run in await self.stentor.series.runs(series.id)]

    async def started(self) -> list[Campaign]:
        """All campaigns, the newest first; each is started, and has one plan step."""
        found = await self.stentor.campaigns.newest()
        async with self._opened[0].database.read() as connection:
            queued = (await connection.execute(sa.select(tasks.c.campaign_id))).scalars().all()
        assert sorted(queued) == sorted(each.id for each in found)
        assert {each.state for each in found} <= {CampaignState.RUNNING}
        return found

    async def end(self, campaign: Campaign) -> None:
        await self._opened[0].database.write(
            lambda connection: campaigns.move(connection, campaign.id, CampaignState.FAILED)
        )

    async def told(self) -> list[str]:
        """The titles of what people are told."""
        async with self._opened[0].database.read() as connection:
            rows = (await connection.execute(sa.select(report_events.c.document).order_by(report_events.c.at))).all()
        events = [decode_event(bytes(row.document)) for row in rows]
        assert {each.kind for each in events} <= {EventKind.RUN_NOT_SENT}
        return [letter_of(each).title for each in events]

    async def aclose(self) -> None:
        for each in self._opened:
            await each.aclose()


@pytest.fixture
async def world(tmp_path: Path, facts: Facts, database_url: str) -> AsyncIterator[World]:
    config = rehearse(tmp_path, facts, 40, store=database_url)
    change(tmp_path, "DELETE FROM devices WHERE platform != 'ios'")
    found = World(tmp_path, config)
    async with found.stentor:
        yield found
    await found.aclose()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite's, unless a test asks for both."""
    return f"sqlite:///{tmp_path / 'stentor.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
async def either(request: pytest.FixtureRequest, tmp_path: Path, facts: Facts, postgres: str) -> AsyncIterator[World]:
    """A world in either kind of store."""
    url = postgres if request.param == "postgresql" else f"sqlite:///{tmp_path / 'stentor.db'}"
    config = rehearse(tmp_path, facts, 40, store=url)
    change(tmp_path, "DELETE FROM devices WHERE platform != 'ios'")
    found = World(tmp_path, config)
    async with found.stentor:
        yield found
    await found.aclose()


# -- on time, once ----------------------------------------------------------------------------------------------------


async def test_a_run_is_a_campaign_that_starts_when_it_is_due(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    assert made.next_at == EVENING
    scheduler = world.scheduler()
    world.clock.now = EVENING - 1
    await world.look(scheduler)
    assert await world.started() == []
    world.clock.now = EVENING + 0.5
    await world.look(scheduler)
    await world.look(scheduler)
    (campaign,) = await world.started()
    assert campaign.id == run_id(made.id, EVENING)
    assert (campaign.title, campaign.starts_at) == ("Daily news, 2026-11-30 18:00", EVENING + 0.5)
    assert campaign.collapse_id == campaign.id
    assert await world.stentor.campaigns.content(campaign.id) == NEWS
    assert await world.states(made) == [(EVENING, RunState.STARTED)]
    assert (await world.stentor.series.get(made.id)).next_at == EVENING + DAY
    assert await world.told() == []


async def test_however_many_schedulers_look_a_run_is_started_once(either: World) -> None:
    made = await either.stentor.series.add(DAILY)
    schedulers = [either.scheduler() for _ in range(4)]
    either.clock.now = EVENING
    await either.look(*schedulers)
    await either.look(*schedulers)
    assert [each.id for each in await either.started()] == [run_id(made.id, EVENING)]
    assert await either.states(made) == [(EVENING, RunState.STARTED)]


class Slow(CampaignMaker):
    """Makes the campaign of a run, and starts it when it may."""

    reached: asyncio.Event
    may_go_on: asyncio.Event

    async def send(self, series: Series, run: SeriesRun, along: Along[Campaign]) -> None:
        await self.make(series, run)
        await self.wait()
        await self._campaigns.start(run.campaign_id, along=along)

    async def make(self, series: Series, run: SeriesRun) -> None:
        draft = await self._campaigns.draft(series.id)
        await self._campaigns.create(replace(draft, title="slow"), campaign_id=run.campaign_id)

    async def wait(self) -> None:
        self.reached.set()
        await self.may_go_on.wait()


class DiesBefore(Slow):
    """Dies before it makes anything."""

    async def make(self, series: Series, run: SeriesRun) -> None: ...


class DiesAfter(Slow):
    """Dies when the campaign is started, before it can go on."""

    async def send(self, series: Series, run: SeriesRun, along: Along[Campaign]) -> None:
        await CampaignMaker.send(self, series, run, along)
        await self.wait()


@pytest.fixture(autouse=True)
def fresh_events(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("reached", "may_go_on"):
        monkeypatch.setattr(Slow, name, asyncio.Event(), raising=False)


@pytest.mark.parametrize("dying", [DiesBefore, Slow, DiesAfter])
async def test_a_run_whose_scheduler_died_is_taken_over(either: World, dying: type[Slow]) -> None:
    made = await either.stentor.series.add(DAILY)
    either.clock.now = EVENING
    first, second = either.scheduler(dying), either.scheduler()
    looking = asyncio.create_task(first.run())
    await Slow.reached.wait()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await either.look(second)
    assert len([each for each in await either.states(made) if each[1] is RunState.STARTED]) == (dying is DiesAfter)
    either.clock.now += LEASE + 1
    await either.look(second)
    await either.look(second)
    assert [each.id for each in await either.started()] == [run_id(made.id, EVENING)]
    assert await either.states(made) == [(EVENING, RunState.STARTED)]


class LeavesTheDraft(CampaignMaker):
    """Dies before it deletes what was made of a run that it gives up."""

    async def discard(self, run: SeriesRun) -> None: ...


async def test_a_run_that_was_given_up_is_not_started_by_a_slow_scheduler(either: World) -> None:
    """It may have been counted as failed by another, which told people so."""
    made = await either.stentor.series.add(DAILY)
    either.clock.now = EVENING
    slow = either.scheduler(Slow)
    await slow.look()
    await Slow.reached.wait()
    change(either.folder, "DROP TABLE devices")
    either.clock.now += LEASE + 1
    await either.look(either.scheduler(LeavesTheDraft))
    assert await either.states(made) == [(EVENING, RunState.FAILED)]
    Slow.may_go_on.set()
    await slow.made()
    assert await either.started() == []
    assert await either.states(made) == [(EVENING, RunState.FAILED)]


# -- what each run is made of -----------------------------------------------------------------------------------------


async def test_a_segments_name_is_looked_up_at_each_run(world: World) -> None:
    change(world.folder, "UPDATE devices SET language = CASE WHEN id % 3 = 0 THEN 'de' ELSE 'en' END")
    await world.stentor.segments.save("readers", "language = de")
    by_name = Draft(NEWS, Selection(source=AUDIENCE, segment_name="readers"))
    made = await world.stentor.series.add(replace(DAILY, draft=by_name))
    await world.stentor.segments.save("readers", "language = en")
    scheduler = world.scheduler()
    world.clock.now = EVENING
    await world.look(scheduler)
    (campaign,) = await world.started()
    assert selection_of(campaign).segment == "language = en"
    await world.end(campaign)
    await world.stentor.segments.delete("readers")
    world.clock.now += DAY
    await world.look(scheduler)
    run = (await world.stentor.series.runs(made.id))[0]
    assert run.state is RunState.FAILED
    assert run.reason is not None
    assert "there is no segment 'readers'" in run.reason


async def test_now_in_a_segment_is_the_time_of_the_run(world: World) -> None:
    at = datetime.fromtimestamp(EVENING).astimezone().isoformat()
    change(world.folder, f"UPDATE devices SET language = '{at}'")
    recent = Draft(NEWS, Selection(source=AUDIENCE, segment="language > now - 1h"))
    await world.stentor.series.add(replace(DAILY, draft=recent))
    scheduler = world.scheduler()
    world.clock.now = EVENING
    await world.look(scheduler)
    (campaign,) = await world.started()
    assert campaign.expected_recipients > 0
    await world.end(campaign)
    world.clock.now += DAY
    await world.look(scheduler)
    assert len(await world.stentor.campaigns.newest()) == 1, "a day later nobody is in it any more"


async def test_a_run_is_made_of_the_series_as_it_is_then(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    seen = await world.stentor.series.draft(made.id)
    assert seen == DAILY
    better = replace(DAILY, draft=replace(DRAFT, content=Content(message=Message(title="Better"))), cron="30 18 * * *")
    changed = await world.stentor.series.change(made.id, better, revision=made.revision)
    assert (changed.next_at, changed.revision) == (EVENING + 1800, 1)
    with pytest.raises(ChangedMeanwhile):
        await world.stentor.series.change(made.id, DAILY, revision=made.revision)
    world.clock.now = EVENING + 1800
    await world.look(world.scheduler())
    (campaign,) = await world.started()
    assert (await world.stentor.campaigns.content(campaign.id)).message.title == "Better"


async def test_a_change_loses_no_run_that_is_due_just_now(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    world.clock.now = EVENING + 0.2
    changed = await world.stentor.series.change(made.id, replace(DAILY, name="Evening news"))
    assert changed.next_at == EVENING
    await world.look(world.scheduler())
    assert [each.title for each in await world.started()] == ["Evening news, 2026-11-30 18:00"]


# -- what is not sent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "late", "states"),
    [
        (Missed.SKIP, LATE - 1, [(2, RunState.STARTED), (0, RunState.MISSED)]),
        (Missed.SKIP, LATE + 1, [(0, RunState.MISSED)]),
        (Missed.ONE, LATE + 1, [(2, RunState.STARTED), (0, RunState.MISSED)]),
    ],
)
async def test_runs_that_nobody_made_are_left_out_or_the_newest_is_sent_late(
    world: World, missed: Missed, late: float, states: list[tuple[int, RunState]]
) -> None:
    """For more than two days no scheduler runs."""
    made = await world.stentor.series.add(replace(DAILY, missed=missed))
    world.clock.now = EVENING + 2 * DAY + late
    scheduler = world.scheduler()
    await world.look(scheduler)
    assert await world.states(made) == [(EVENING + days * DAY, state) for days, state in states]
    assert len(await world.started()) == len(states) - 1
    oldest = (await world.stentor.series.runs(made.id))[-1]
    assert oldest.runs == 4 - len(states)
    assert oldest.reason == f"{oldest.runs} runs missed, from Mon 2026-11-30 18:00 CET on: no scheduler ran"
    assert await world.told() == ["A run of “Daily news” was missed"]
    assert (await world.stentor.series.get(made.id)).next_at == EVENING + 3 * DAY


async def test_a_run_is_left_out_while_the_one_before_is_sent(world: World, caplog: pytest.LogCaptureFixture) -> None:
    made = await world.stentor.series.add(DAILY)
    scheduler = world.scheduler()
    world.clock.now = EVENING
    await world.look(scheduler)
    (campaign,) = await world.started()
    await world.stentor.campaigns.pause(campaign.id)
    world.clock.now += DAY
    await world.look(scheduler)
    run = (await world.stentor.series.runs(made.id))[0]
    said = f"the run of Mon 2026-11-30 18:00 CET is not over yet: campaign {campaign.id}"
    assert (run.due, run.state, run.reason) == (EVENING + DAY, RunState.SKIPPED, said)
    assert await world.told() == ["A run of “Daily news” was left out"]
    assert f"series Daily news: a run is skipped ({said})" in caplog.messages
    await world.end(campaign)
    world.clock.now += DAY
    await world.look(scheduler)
    assert [state for _, state in await world.states(made)] == [RunState.STARTED, RunState.SKIPPED, RunState.STARTED]


async def test_a_run_that_cannot_be_made_is_told_and_the_series_goes_on(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    other = await world.stentor.series.add(replace(DAILY, name="Other", draft=replace(DRAFT, title="Fine")))
    change(world.folder, "ALTER TABLE devices RENAME TO gone")
    scheduler = world.scheduler()
    world.clock.now = EVENING
    await world.look(scheduler)
    for each in (made, other):
        (run,) = await world.stentor.series.runs(each.id)
        assert run.state is RunState.FAILED
        assert run.reason is not None
        assert "devices" in run.reason
    assert await world.stentor.campaigns.newest() == []
    assert sorted(await world.told()) == [
        "A run of “Daily news” could not be sent",
        "A run of “Other” could not be sent",
    ]
    change(world.folder, "ALTER TABLE gone RENAME TO devices")
    world.clock.now += DAY
    await world.look(scheduler)
    assert sorted(each.title for each in await world.started()) == [
        "Daily news, 2026-12-01 18:00",
        "Fine, 2026-12-01 18:00",
    ]


class Unreachable(CampaignMaker):
    """While the app's database is down."""

    async def send(self, series: Series, run: SeriesRun, along: Along[Campaign]) -> None:
        raise AudienceUnavailable


async def test_a_run_is_tried_again_for_a_while(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    down, up = world.scheduler(Unreachable), world.scheduler()
    world.clock.now = EVENING
    await world.look(down)
    (run,) = await world.stentor.series.runs(made.id)
    assert (run.state, run.reason) == (RunState.DUE, f"{AudienceUnavailable()}; it is tried again")
    world.clock.now += AGAIN
    await world.look(up)
    assert len(await world.started()) == 1
    assert (await world.stentor.series.runs(made.id))[0].reason is None


async def test_a_run_is_given_up_in_the_end(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    down = world.scheduler(Unreachable)
    world.clock.now = EVENING
    await world.look(down)
    world.clock.now += LATE
    await world.look(down)
    (run,) = await world.stentor.series.runs(made.id)
    assert (run.state, run.reason) == (RunState.FAILED, f"{AudienceUnavailable()} (tried for 10 minutes)")


class Broken(CampaignMaker):
    """Fails in a way that nobody thought of."""

    async def send(self, series: Series, run: SeriesRun, along: Along[Campaign]) -> None:
        raise ZeroDivisionError("division by zero")


async def test_a_series_that_breaks_its_maker_stops_no_other(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    world.clock.now = EVENING
    scheduler = world.scheduler(Broken)
    await world.look(scheduler)
    (run,) = await world.stentor.series.runs(made.id)
    assert (run.state, run.reason) == (RunState.FAILED, "ZeroDivisionError: division by zero")


# -- changing them ----------------------------------------------------------------------------------------------------


async def test_a_paused_series_makes_no_runs_and_makes_up_for_none(world: World) -> None:
    made = await world.stentor.series.add(replace(DAILY, missed=Missed.ONE))
    paused = await world.stentor.series.pause(made.id)
    assert (paused.paused, paused.next_at) == (True, None)
    assert await world.stentor.series.pause(made.id) == paused
    world.clock.now = EVENING + 60
    scheduler = world.scheduler()
    await world.look(scheduler)
    resumed = await world.stentor.series.resume(made.id)
    assert (resumed.paused, resumed.next_at) == (False, EVENING + DAY)
    await world.look(scheduler)
    assert await world.states(made) == []


async def test_a_deleted_series_leaves_its_campaigns_and_nothing_else(either: World) -> None:
    made = await either.stentor.series.add(DAILY)
    scheduler = either.scheduler()
    either.clock.now = EVENING
    await either.look(scheduler)
    await either.stentor.series.delete(made.id)
    with pytest.raises(UnknownSeries):
        await either.stentor.series.delete(made.id)
    with pytest.raises(UnknownSeries):
        await either.stentor.series.get(made.id)
    either.clock.now += DAY
    await either.look(scheduler)
    assert len(await either.started()) == 1
    async with either._opened[0].database.read() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(series_runs))).scalar_one() == 0


async def test_a_series_that_is_deleted_meanwhile_starts_nothing(either: World) -> None:
    made = await either.stentor.series.add(DAILY)
    either.clock.now = EVENING
    slow = either.scheduler(Slow)
    await slow.look()
    await Slow.reached.wait()
    await either.stentor.series.delete(made.id)
    Slow.may_go_on.set()
    await slow.made()
    assert await either.started() == []


async def test_what_cannot_be_a_series_is_refused_before_anything_is_saved(world: World) -> None:
    add = world.stentor.series.add
    with pytest.raises(InvalidInput, match="cron: has 2 fields instead of 5"):
        await add(replace(DAILY, cron="daily 18:00"))
    with pytest.raises(InvalidInput, match="zone: "):
        await add(replace(DAILY, zone="Berlin"))
    with pytest.raises(InvalidInput, match="starts_at: "):
        await add(replace(DAILY, draft=replace(DRAFT, starts_at=EVENING)))
    with pytest.raises(InvalidInput, match=r"timing.local_at: is one day"):
        await add(replace(DAILY, draft=replace(DRAFT, timing=Timing(local_at="2030-01-31T18:00"))))
    with pytest.raises(InvalidInput, match="audience: is what another campaign left"):
        await add(replace(DAILY, draft=Draft(NEWS, Selection(source=AUDIENCE, failed_of="x"))))
    with pytest.raises(InvalidInput, match="name: must have 1 to 100 characters"):
        await add(replace(DAILY, name=" "))
    with pytest.raises(InvalidMessage):
        await add(replace(DAILY, draft=replace(DRAFT, content=Content(message=Message(title="{{ x")))))
    with pytest.raises(InvalidAudience):
        await add(replace(DAILY, draft=Draft(NEWS, Selection(source="nobody"))))
    assert await world.stentor.series.list() == []
    await add(DAILY)
    with pytest.raises(InvalidInput, match="there is a series 'Daily news' already"):
        await add(DAILY)
    assert len(await world.stentor.series.list()) == 1


async def test_the_draft_of_a_series_is_no_campaign(world: World) -> None:
    made = await world.stentor.series.add(DAILY)
    assert await world.stentor.campaigns.newest() == []
    for act in (
        world.stentor.campaigns.start(made.id),
        world.stentor.campaigns.cancel(made.id),
        world.stentor.campaigns.discard(made.id),
        world.stentor.campaigns.change(made.id, DRAFT),
    ):
        with pytest.raises(InvalidState):
            await act
    assert await world.stentor.series.get(made.id) == made


async def test_a_series_is_found_by_its_name_its_id_or_a_part_of_it(world: World) -> None:
    made = await world.stentor.series.add(DAILY, series_id="01ab")
    other = await world.stentor.series.add(replace(DAILY, name="01"), series_id="01ac")
    find = world.stentor.series.find
    assert await world.stentor.series.add(replace(DAILY, name="again"), series_id="01ab") == made
    assert [await find("Daily news"), await find("01ab"), await find("1ab"), await find("01")] == [
        *(made, made, made),
        other,
    ]
    with pytest.raises(UnknownSeries, match="several"):
        await find("1a")
    with pytest.raises(UnknownSeries, match="there is no series 'x'"):
        await find("x")
    assert await world.stentor.series.list(limit=1) == [other]
    assert await world.stentor.series.list(after="01") == [made]


async def test_the_next_times_are_shown_before_it_is_saved(world: World) -> None:
    found = world.stentor.series.next_times("0 18 * * mon-fri", "Europe/Berlin")
    assert found.times[0] == EVENING
    assert found.written == [
        f"{day} 18:00 CET"
        for day in (*("Mon 2026-11-30", "Tue 2026-12-01", "Wed 2026-12-02", "Thu 2026-12-03", "Fri 2026-12-04"),)
    ]
    assert found.explained == "At 18:00 on Monday through Friday"


async def test_a_scheduler_process_makes_the_runs(world: World) -> None:
    """By the store's clock, in which it is the evening in a second."""
    made = await world.stentor.series.add(DAILY)
    offset = EVENING - 1 - time.time()
    stop = asyncio.Event()
    working = asyncio.create_task(work("scheduler", world.config, stop, clock=lambda: time.time() + offset))
    try:
        async with asyncio.timeout(60):
            while not await world.states(made):  # noqa: ASYNC110 - another process' work, as it were
                await asyncio.sleep(0.1)
            while (await world.states(made))[0][1] is RunState.DUE:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        stop.set()
        await working
    assert await world.states(made) == [(EVENING, RunState.STARTED)]


def test_reports_can_be_told_of_runs_alone() -> None:
    target = ReportTarget(url="json://localhost", events=("run_not_sent",))
    assert EventKind.RUN_NOT_SENT.setting in target.events
