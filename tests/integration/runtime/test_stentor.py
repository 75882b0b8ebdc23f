"""The facade: every operation, what it refuses, and how campaigns end."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stentor import pipeline
from stentor.audience.contract import Selection
from stentor.config import FILE, Config, load
from stentor.errors import (
    AlreadySent,
    CredentialError,
    InvalidAudience,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    StoreOutdated,
    UnknownCampaign,
    WorkerFailed,
)
from stentor.meter import Meter
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.providers.apns.channel import ApnsApp
from stentor.queue.contract import PLAN
from stentor.queue.sql import SqlQueue
from stentor.recording.report import Progress
from stentor.runtime import supervisor
from stentor.runtime.campaigns import NOW_OR_NEVER
from stentor.runtime.draft import Draft
from stentor.runtime.ports import open_backend, ports_for
from stentor.runtime.sources import ConfiguredSources
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign
from stentor.store.database import SQLITE, Database
from stentor.store.migrate import VERSION_TABLE
from stentor.store.tables import tasks
from stentor.testing.queue import ManualClock
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, rehearse

NEWS = Content(message=Message(title="News", ttl=3600))
USERS = Selection(source=AUDIENCE)
IOS, ANDROID = "apns/ios", "fcm/android"


@pytest.fixture
def config(tmp_path: Path, facts: Facts) -> Config:
    return rehearse(tmp_path, facts)


@pytest.fixture
async def stentor(config: Config) -> AsyncIterator[Stentor]:
    async with Stentor(config) as found:
        yield found


async def plan(config: Config, clock: Callable[[], float]) -> None:
    """Plan all there is, as the planner's process would."""
    database = Database.open(config.store.url)
    sources, stop = ConfiguredSources(config, database), asyncio.Event()
    ports = ports_for(config, database, open_backend(config, database, clock), sources, meter=Meter(), clock=clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.plan(ports, stop))
        while (await ports.queue.depths([PLAN]))[PLAN].total:  # noqa: ASYNC110 - it is the database that says so
            await asyncio.sleep(0.01)
        stop.set()
    await sources.aclose()
    await database.aclose()


async def test_a_campaign_from_its_preview_to_its_audit(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(Draft(NEWS, USERS))
    assert {lane: each.recipients for lane, each in preview.lanes.items()} == {IOS: 20, ANDROID: 20}
    assert (preview.recipients, preview.unroutable, preview.warnings) == (40, 0, [])
    assert preview.seconds == max(each.seconds for each in preview.lanes.values()) > 0
    assert all(b"News" in sample for sample in preview.sample.values())

    assert preview.title == "News"
    campaign = await stentor.campaigns.send(Draft(NEWS, USERS, title="The news"), preview=preview)
    assert (campaign.title, campaign.state) == ("The news", CampaignState.RUNNING)
    seen: list[Progress] = []
    report = await stentor.roles.run(campaign.id, on_progress=seen.append)
    assert report.campaign.state is CampaignState.COMPLETED
    assert (report.total.read, report.total.accepted) == (40, 40)
    assert seen[-1].state is CampaignState.COMPLETED
    assert sorted(closing.role for closing in stentor.roles.closings) == ["planner", "sender"]
    assert all(closing.cpu_seconds > 0 and closing.peak_mb > 1 for closing in stentor.roles.closings)

    assert (await stentor.outcomes.audit(campaign.id)).exact
    assert (await stentor.outcomes.progress(campaign.id)).total.accepted == 40
    assert (await stentor.outcomes.explain(campaign.id, "1")).outcome is Outcome.ACCEPTED
    assert [each.id for each in await stentor.campaigns.newest()] == [campaign.id]
    assert await stentor.campaigns.newest(state=CampaignState.RUNNING) == []
    assert [row async for row in stentor.outcomes.failures(campaign.id)] == []
    again = await stentor.roles.run(campaign.id)  # has ended already
    assert again.total == report.total


async def test_a_preview_says_what_the_campaign_is_called(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(Draft(NEWS, USERS, title="The news"))
    assert preview.title == "The news"
    assert (await stentor.campaigns.create(Draft(NEWS, USERS), preview=preview)).title == "The news"
    assert (
        await stentor.campaigns.create(Draft(NEWS, USERS, title="Other news"), preview=preview)
    ).title == "Other news"


@pytest.mark.parametrize(
    ("content", "selection", "options", "error", "says"),
    [
        (NEWS, Selection(source="user"), {}, InvalidAudience, "did you mean `users`"),
        (NEWS, Selection(source="zzz"), {}, InvalidAudience, "there are: users, registry"),
        (NEWS, Selection(source="registry"), {}, InvalidAudience, "`stentor import` fills it; nothing was sent"),
        (
            NEWS,
            Selection(source=AUDIENCE, filters={"language": ["xx"]}),
            {},
            InvalidAudience,
            "matches the filters",
        ),
        (NEWS, Selection(source=AUDIENCE, only=["1", "4711"]), {}, InvalidAudience, "no installation 4711"),
        (NEWS, USERS, {"starts_at": 1e9}, InvalidInput, "in the past"),
        (NEWS, USERS, {"starts_at": 1e12}, InvalidInput, "more than 10 years from now"),
        (NEWS, USERS, {"starts_at": math.nan}, InvalidInput, "more than 10 years from now"),
        (Content(message=Message(title="", ttl=60)), USERS, {}, InvalidMessage, "message: says nothing"),
        (NEWS, USERS, {"title": "a\0b"}, InvalidInput, "title: has a NUL character"),
        (
            Content(message=Message(title="{{ 'x' * 10 ** 12 }}")),
            USERS,
            {},
            InvalidMessage,
            "title: the template makes",
        ),
        (NEWS, USERS, {"max_rate": 0.0}, InvalidInput, "a number of pushes a second above 0"),
        (Content(message=Message(title="{{ name")), USERS, {}, InvalidMessage, "title: broken template"),
        (Content(message=Message(title="{{ nam }}")), USERS, {}, InvalidAudience, "nam"),
        (Content(message=Message(title="x" * 5000)), USERS, {}, InvalidMessage, "bytes"),
        (Content(message=Message()), USERS, {}, InvalidMessage, ""),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_leaves_nothing(
    stentor: Stentor, content: Content, selection: Selection, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    for operation in (stentor.campaigns.prepare, stentor.campaigns.create, stentor.campaigns.send):
        with pytest.raises(error) as refused:
            await operation(Draft(content, selection, **options))
        assert says in str(refused.value)
    assert await stentor.campaigns.newest() == []


async def test_a_key_file_that_was_broken_since_is_refused(tmp_path: Path, config: Config) -> None:
    """The lanes by which drafts are checked are kept, and what they have read of their files is not."""
    ios = config.apps["ios"]
    assert isinstance(ios, ApnsApp)
    key = tmp_path / "own.p8"
    shutil.copy(str(ios.key_file), key)
    file = tmp_path / FILE
    file.write_text(file.read_text().replace(str(ios.key_file), str(key)))
    async with Stentor(load(file, {})) as stentor:
        await stentor.campaigns.create(Draft(NEWS, USERS))
        key.write_text("no key")
        with pytest.raises(CredentialError, match=r"apps\.ios"):
            await stentor.campaigns.create(Draft(NEWS, USERS))
        with pytest.raises(CredentialError, match=r"apps\.ios"):
            await stentor.campaigns.prepare(Draft(NEWS, USERS))


async def test_a_wrong_key_file_is_refused(tmp_path: Path, config: Config) -> None:
    (tmp_path / "wrong.p8").write_text("no key")
    file = tmp_path / FILE
    ios = config.apps["ios"]
    assert isinstance(ios, ApnsApp)
    file.write_text(file.read_text().replace(str(ios.key_file), "wrong.p8"))
    async with Stentor(load(file, {})) as stentor:
        with pytest.raises(CredentialError, match=r"wrong\.p8"):
            await stentor.campaigns.send(Draft(NEWS, USERS))
        assert await stentor.campaigns.newest() == []


async def test_unknown_campaigns_are_refused(stentor: Stentor) -> None:
    operations: list[Callable[[str], Awaitable[object]]] = [
        stentor.campaigns.start,
        stentor.campaigns.retry,
        stentor.roles.run,
        stentor.campaigns.pause,
        stentor.campaigns.resume,
        stentor.campaigns.cancel,
        stentor.campaigns.get,
        stentor.outcomes.progress,
        stentor.outcomes.report,
        stentor.outcomes.audit,
        lambda name: stentor.outcomes.explain(name, "1"),
    ]
    for operation in operations:
        with pytest.raises(UnknownCampaign, match="nope"):
            await operation("nope")


async def test_only_a_draft_can_be_started_and_only_what_was_started_run(stentor: Stentor) -> None:
    draft = await stentor.campaigns.create(Draft(NEWS, USERS))
    with pytest.raises(InvalidState, match="is a draft; start it first"):
        await stentor.roles.run(draft.id)
    with pytest.raises(InvalidState):
        await stentor.campaigns.pause(draft.id)
    with pytest.raises(InvalidState):
        await stentor.campaigns.resume(draft.id)
    with pytest.raises(InvalidState, match="wait for its end"):
        await stentor.campaigns.retry(draft.id)
    assert (await stentor.campaigns.start(draft.id)).state is CampaignState.RUNNING
    with pytest.raises(InvalidState, match="only a draft can be started"):
        await stentor.campaigns.start(draft.id)


async def test_a_key_is_for_one_campaign_and_one_that_could_not_start_leaves_it_free(stentor: Stentor) -> None:
    draft = await stentor.campaigns.create(Draft(NEWS, USERS))
    await stentor.campaigns.cancel(draft.id)
    with pytest.raises(InvalidState):
        await stentor.campaigns.start(draft.id, once="news")
    sent = await stentor.campaigns.send(Draft(NEWS, USERS), once="news")
    said = rf"'news' was sent already, as campaign {sent.id} on .*; nothing was sent"
    with pytest.raises(AlreadySent, match=said) as no:
        await stentor.campaigns.send(Draft(NEWS, USERS), once="news")
    assert no.value.campaign_id == sent.id
    assert [each.id for each in await stentor.campaigns.newest()] == [sent.id, draft.id]
    await stentor.campaigns.send(Draft(NEWS, USERS), once="other news")
    for key in ("", "x" * 201, "a\0b"):
        with pytest.raises(InvalidInput, match=r"^once: "):
            await stentor.campaigns.send(Draft(NEWS, USERS), once=key)


async def test_of_two_that_send_with_a_key_at_once_one_does(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(Draft(NEWS, USERS))

    async def send() -> Campaign | AlreadySent:
        try:
            return await stentor.campaigns.send(Draft(NEWS, USERS), preview=preview, once="news")
        except AlreadySent as sent:
            return sent

    found = await asyncio.gather(*(send() for _ in range(5)))
    (campaign,) = [each for each in found if isinstance(each, Campaign)]
    assert {each.campaign_id for each in found if isinstance(each, AlreadySent)} == {campaign.id}
    states = [each.state for each in await stentor.campaigns.newest()]
    assert states.count(CampaignState.RUNNING) == 1
    assert set(states) <= {CampaignState.RUNNING, CampaignState.CANCELLED}


async def test_a_draft_is_cancelled_at_once(stentor: Stentor) -> None:
    draft = await stentor.campaigns.create(Draft(NEWS, USERS))
    assert (await stentor.campaigns.cancel(draft.id)).state is CampaignState.CANCELLED
    with pytest.raises(InvalidState):
        await stentor.campaigns.start(draft.id)


@pytest.mark.parametrize(("ttl", "tried"), [(20, 20.0), (1, 1.0), (0, NOW_OR_NEVER)])
async def test_a_short_lifetime_is_kept(stentor: Stentor, ttl: int, tried: float) -> None:
    at = time.time() + 3600
    campaign = await stentor.campaigns.send(Draft(Content(message=Message(title="Now", ttl=ttl)), USERS, starts_at=at))
    assert campaign.expires_at == at + tried


async def test_a_campaign_with_a_time_is_scheduled(stentor: Stentor) -> None:
    at = time.time() + 3600
    campaign = await stentor.campaigns.send(Draft(NEWS, USERS, starts_at=at))
    assert (campaign.state, campaign.starts_at, campaign.expires_at) == (CampaignState.SCHEDULED, at, at + 3600)
    assert (await stentor.campaigns.pause(campaign.id)).state is CampaignState.PAUSED
    assert (await stentor.campaigns.resume(campaign.id)).state is CampaignState.SCHEDULED
    assert (await stentor.campaigns.cancel(campaign.id)).state is CampaignState.CANCELLED


async def test_a_run_returns_when_paused_or_stopped_and_goes_on_later(stentor: Stentor) -> None:
    campaign = await stentor.campaigns.send(Draft(NEWS, USERS))
    await stentor.campaigns.pause(campaign.id)
    assert (await stentor.roles.run(campaign.id)).campaign.state is CampaignState.PAUSED
    assert (await stentor.campaigns.resume(campaign.id)).state is CampaignState.RUNNING
    stop = asyncio.Event()
    stop.set()
    assert (await stentor.roles.run(campaign.id, stop=stop)).campaign.state is CampaignState.RUNNING
    report = await stentor.roles.run(campaign.id)
    assert (report.campaign.state, report.total.accepted) == (CampaignState.COMPLETED, 40)
    for refused in (
        stentor.campaigns.pause,
        stentor.campaigns.resume,
        stentor.campaigns.cancel,
        stentor.campaigns.start,
    ):
        with pytest.raises(InvalidState, match="is completed"):
            await refused(campaign.id)


async def test_a_campaign_to_some_alone(stentor: Stentor) -> None:
    campaign = await stentor.campaigns.send(Draft(NEWS, Selection(source=AUDIENCE, only=["3", "4"])))
    assert campaign.expected == {IOS: 1, ANDROID: 1}
    report = await stentor.roles.run(campaign.id)
    assert (report.total.read, report.total.accepted) == (2, 2)
    assert (await stentor.outcomes.explain(campaign.id, "3")).outcome is Outcome.ACCEPTED
    assert (await stentor.outcomes.explain(campaign.id, "5")).outcome is None


async def test_who_was_never_read_is_counted_and_can_be_tried_again(stentor: Stentor) -> None:
    campaign = await stentor.campaigns.send(Draft(NEWS, Selection(source=AUDIENCE, filters={"channel": ["apns"]})))
    cancelled = await stentor.campaigns.cancel(campaign.id)
    assert (cancelled.state, cancelled.planned) == (CampaignState.CANCELLED, False)
    everybody = campaign.expected[IOS]
    assert campaign.expected == {IOS: everybody}
    report = await stentor.outcomes.report(campaign.id)
    assert (report.total.read, report.unread) == (0, everybody)
    audit = await stentor.outcomes.audit(campaign.id)
    assert audit.exact
    assert f"0 were read, about {everybody} were not" in audit.checks[-2].detail
    again = await stentor.campaigns.retry(campaign.id)
    assert again.expected == campaign.expected
    await stentor.campaigns.start(again.id)
    report = await stentor.roles.run(again.id)
    assert (report.total.read, report.total.accepted, report.unread) == (everybody, everybody, 0)


async def test_those_not_reached_are_tried_again_and_nobody_else(tmp_path: Path, stentor: Stentor) -> None:
    change(tmp_path, "UPDATE devices SET platform = NULL WHERE id IN (1, 2, 3)")
    preview = await stentor.campaigns.prepare(Draft(NEWS, USERS))
    assert preview.unroutable == 3
    assert "3 installations" in preview.warnings[0]
    campaign = await stentor.campaigns.send(Draft(NEWS, USERS), preview=preview)
    report = await stentor.roles.run(campaign.id)
    assert (report.total.accepted, report.total.rejected) == (37, 3)
    assert {row.installation async for row in stentor.outcomes.failures(campaign.id, reason="NoLane")} == {
        "1",
        "2",
        "3",
    }
    with pytest.raises(InvalidAudience, match="nobody to try again"):
        await stentor.campaigns.retry(campaign.id, reasons=["Lifetime"])
    with pytest.raises(InvalidAudience, match="users has 3 installations, none on a configured app"):
        await stentor.campaigns.retry(campaign.id)
    # One is on an app now, one is gone, one is as it was.
    change(tmp_path, "UPDATE devices SET platform = 'ios' WHERE id = 1")
    change(tmp_path, "DELETE FROM devices WHERE id = 2")
    again = await stentor.campaigns.retry(campaign.id)
    assert (again.state, again.title, again.collapse_id) == (CampaignState.DRAFT, "News (again)", campaign.collapse_id)
    assert again.expected == {IOS: 1, "": 1}
    await stentor.campaigns.start(again.id)
    report = await stentor.roles.run(again.id)
    assert (report.total.accepted, report.total.rejected) == (1, 1)
    assert (await stentor.outcomes.explain(again.id, "1")).outcome is Outcome.ACCEPTED
    assert (await stentor.outcomes.audit(again.id)).exact


async def test_a_campaign_keeps_to_its_own_rate(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(Draft(NEWS, USERS, max_rate=20.0))
    assert preview.seconds == 2.0
    campaign = await stentor.campaigns.send(Draft(NEWS, USERS, max_rate=20.0), preview=preview)
    assert campaign.max_rate == 20.0
    report = await stentor.roles.run(campaign.id)
    assert report.total.accepted == 40
    assert report.campaign.finished_at is not None
    assert report.campaign.starts_at is not None
    assert report.campaign.finished_at - report.campaign.starts_at >= 1.5  # 40 at 20 a second, never sooner


async def cancelled_totals(stentor: Stentor, campaign_id: str) -> tuple[int, int, bool]:
    total = (await stentor.outcomes.report(campaign_id)).total
    return total.cancelled, total.pending, (await stentor.outcomes.audit(campaign_id)).exact


async def end_leases(database: Database, clock: ManualClock, seconds: float) -> None:
    """Have so much time pass for the queue: PostgreSQL tells it by its own clock."""
    clock.move(seconds)
    if database.dialect != SQLITE:
        change = sa.update(tasks).values(ready_at=tasks.c.ready_at - seconds).where(tasks.c.lease.is_not(None))
        await database.write(lambda connection: connection.execute(change))


async def test_a_cancel_settles_what_is_queued_though_nothing_runs(
    tmp_path: Path, facts: Facts, database_url: str
) -> None:
    config = rehearse(tmp_path, facts, store=database_url, more="batch = 5\n")
    clock = ManualClock(time.time())
    async with Stentor(config, clock) as stentor:
        unplanned = await stentor.campaigns.send(Draft(NEWS, USERS))
        assert (await stentor.campaigns.cancel(unplanned.id)).state is CampaignState.CANCELLED
        other = await stentor.campaigns.send(Draft(NEWS, USERS))
        campaign = await stentor.campaigns.send(Draft(NEWS, USERS))
        await plan(config, clock)
        database = Database.open(config.store.url)
        queue = SqlQueue(database, clock if database.dialect == SQLITE else None)
        leases = await queue.take(IOS, 100, 30.0)
        mine = [lease for lease in leases if lease.campaign_id == campaign.id]
        held, later = mine[0], mine[1]
        await queue.settle(release=[(lease, 900.0 if lease is later else 0.0) for lease in leases if lease is not held])

        assert (await stentor.campaigns.cancel(campaign.id)).state is CampaignState.CANCELLING
        assert await cancelled_totals(stentor, campaign.id) == (35, 5, True)
        assert (await stentor.campaigns.cancel(campaign.id)).state is CampaignState.CANCELLING
        await end_leases(database, clock, 30.0)  # whoever held the last one is dead, and may have begun it
        assert (await stentor.campaigns.cancel(campaign.id)).state is CampaignState.CANCELLED
        assert await cancelled_totals(stentor, campaign.id) == (35, 0, True)
        assert (await stentor.outcomes.report(campaign.id)).total.ambiguous == 5
        assert (await stentor.campaigns.cancel(campaign.id)).state is CampaignState.CANCELLED
        assert (await stentor.campaigns.get(other.id)).state is CampaignState.RUNNING
        assert await cancelled_totals(stentor, other.id) == (0, 40, True)
        await database.aclose()


async def test_a_cancel_from_elsewhere_ends_a_run(tmp_path: Path, facts: Facts) -> None:
    config = rehearse(tmp_path, facts, phones=20_000)
    async with Stentor(config) as stentor, Stentor(config) as elsewhere:
        campaign = await stentor.campaigns.send(Draft(NEWS, USERS))
        begun = asyncio.Event()

        def look(progress: Progress) -> None:
            if progress.total.accepted:
                begun.set()

        async def cancel() -> None:
            await begun.wait()
            await elsewhere.campaigns.cancel(campaign.id)

        report, _ = await asyncio.gather(stentor.roles.run(campaign.id, on_progress=look), cancel())
        assert report.campaign.state in (CampaignState.CANCELLED, CampaignState.COMPLETED)
        assert report.total.pending == 0
        assert (await stentor.outcomes.audit(campaign.id)).exact


async def test_workers_that_never_get_to_work_are_told_of_and_end_the_run(
    tmp_path: Path, stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nread settings\necho 'no such module: stentor' >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.2)
    campaign = await stentor.campaigns.send(Draft(NEWS, USERS))
    seen: list[Progress] = []
    with pytest.raises(WorkerFailed, match="ended with exit code 3: no such module: stentor"):
        await stentor.roles.run(campaign.id, on_progress=seen.append)
    assert "no such module" in str(seen[-1].problems["sender"])
    assert "started again" in str(seen[-1].problems["planner"])
    assert (await stentor.campaigns.get(campaign.id)).state is CampaignState.RUNNING


async def test_a_newer_store_is_refused_and_nothing_stays_open(config: Config) -> None:
    async with Stentor(config):
        pass
    database = Database.open(config.store.url)

    async def make_newer(connection: Any) -> None:
        await connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = 'zzz9'"))
        await connection.execute(sa.text("UPDATE stentor_schema SET compatible = 'zzz9'"))

    await database.write(make_newer)
    await database.aclose()
    with pytest.raises(StoreOutdated, match="this Stentor is too old, upgrade it"):
        async with Stentor(config):
            pass
