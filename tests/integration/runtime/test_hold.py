"""A start that is held, or waits for its time: it can be taken back until it happens, and never half."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.config import Config, StoreConfig
from stentor.errors import AlreadySent, ChangedMeanwhile, InvalidInput, InvalidState
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.confirmation import Expectation
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.migrate import migrate
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, providers, rehearse

LATER = 30.0
DRAFT = Draft(Content(message=Message(title="News", ttl=3600)), Selection(source=AUDIENCE))


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


@pytest.fixture
async def stentor(tmp_path: Path, facts: Facts) -> AsyncIterator[Stentor]:
    async with Stentor(rehearse(tmp_path, facts)) as found:
        yield found


async def test_a_held_start_is_taken_back(stentor: Stentor) -> None:
    made = await stentor.campaigns.create(DRAFT)
    held = await stentor.campaigns.start(made.id, hold=LATER)
    assert (held.state, held.starts_at) == (CampaignState.SCHEDULED, held.held_until)
    assert held.starts_at is not None
    assert held.expires_at == held.starts_at + 3600
    again = await stentor.campaigns.unschedule(made.id)
    assert (again.state, again.starts_at, again.held_until, again.expires_at) == (CampaignState.DRAFT, None, None, None)
    assert again.revision == made.revision + 1
    assert (await stentor.campaigns.unschedule(made.id)).revision == again.revision  # a second click
    changed = await stentor.campaigns.change(made.id, replace(DRAFT, title="Better news"))
    assert (await stentor.campaigns.start(changed.id)).state is CampaignState.RUNNING


async def test_a_time_that_was_asked_for_is_kept(stentor: Stentor) -> None:
    made = await stentor.campaigns.create(DRAFT)
    at = made.created_at + 3600
    made = await stentor.campaigns.change(made.id, replace(DRAFT, starts_at=at))
    held = await stentor.campaigns.start(made.id, hold=LATER)
    assert held.starts_at == at
    assert (await stentor.campaigns.unschedule(made.id)).starts_at == at


async def test_a_time_that_came_before_the_hold_ended_is_kept_too(stentor: Stentor) -> None:
    at = time.time() + LATER / 3
    made = await stentor.campaigns.create(replace(DRAFT, starts_at=at))
    for _ in range(2):
        held = await stentor.campaigns.start(made.id, hold=LATER)
        assert (held.starts_at, held.state) == (held.held_until, CampaignState.SCHEDULED)
        assert held.starts_at is not None
        assert held.starts_at > at
        assert (await stentor.campaigns.unschedule(made.id)).starts_at == at
    later = await stentor.campaigns.change(made.id, replace(DRAFT, starts_at=None))
    await stentor.campaigns.start(later.id, hold=LATER)
    assert (await stentor.campaigns.unschedule(made.id)).starts_at is None, "nothing is left of the time before"


async def test_a_key_is_free_again_when_the_draft_is_deleted(stentor: Stentor) -> None:
    """Until then it is the draft's, for its next start: what has the key is sent once at most."""
    made, other = [await stentor.campaigns.create(DRAFT) for _ in range(2)]
    await stentor.campaigns.start(made.id, once="news", hold=LATER)
    await stentor.campaigns.unschedule(made.id)
    with pytest.raises(AlreadySent):
        await stentor.campaigns.start(other.id, once="news")
    await stentor.campaigns.start(made.id, once="news", hold=LATER)
    await stentor.campaigns.unschedule(made.id)
    await stentor.campaigns.discard(made.id)
    assert (await stentor.campaigns.start(other.id, once="news")).state is CampaignState.RUNNING


async def test_what_is_sent_then_is_what_the_draft_became(stentor: Stentor) -> None:
    """A planner that saw the start which was taken back uses nothing of it."""
    made = await stentor.campaigns.create(DRAFT)
    async with stentor.roles.at_work():
        await stentor.campaigns.start(made.id, hold=LATER)
        await stentor.campaigns.unschedule(made.id)
        [one] = [key async for key in _keys(stentor, 1)]
        fewer = replace(DRAFT, selection=Selection(source=AUDIENCE, only=[one]))
        await stentor.campaigns.change(made.id, fewer)
        await stentor.campaigns.start(made.id)
        report = await stentor.roles.watch(made.id)
    assert report.campaign.state is CampaignState.COMPLETED
    assert report.total.read == 1


async def _keys(stentor: Stentor, some: int) -> AsyncIterator[str]:
    preview = await stentor.campaigns.prepare(DRAFT)
    assert preview.recipients
    for number in range(1, some + 1):
        yield str(number)


async def test_it_ends_as_a_draft_or_started_and_never_between(stentor: Stentor) -> None:
    """The start and its taking back meet: one of them wins, whole."""
    started = 0
    async with stentor.roles.at_work():
        for round_ in range(12):
            made = await stentor.campaigns.create(DRAFT)
            await stentor.campaigns.start(made.id, hold=0.3)
            await asyncio.sleep(0.2 + round_ * 0.02)
            with suppress(InvalidState):
                await stentor.campaigns.unschedule(made.id)
            now = await stentor.campaigns.get(made.id)
            if now.state is CampaignState.DRAFT:
                assert (await stentor.outcomes.progress(made.id)).total.read == 0
                continue
            started += 1
            report = await stentor.roles.watch(made.id)
            assert report.campaign.state is CampaignState.COMPLETED
            assert report.total.read == report.campaign.expected_recipients
    drafts = await stentor.campaigns.newest(state=CampaignState.DRAFT)
    assert len(drafts) + started == 12
    for draft in drafts:  # no step that was left behind has begun any of them
        assert (await stentor.outcomes.progress(draft.id)).total.read == 0
        assert (draft.planned, draft.planning_over) == (False, False)


async def test_what_starts_is_what_was_confirmed(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody changes the draft while its start is being written down."""
    config = Config(store=StoreConfig(url=postgres))
    await _migrated(postgres)
    changing: list[asyncio.Task[Campaign]] = []
    read_content = campaigns.content

    async with Stentor(config) as ours, Stentor(config) as theirs:

        async def content(connection: AsyncConnection, campaign_id: str) -> bytes:
            found = await read_content(connection, campaign_id)
            if not changing:
                other = replace(DRAFT, content=Content(message=Message(title="Other news")))
                changing.append(asyncio.create_task(theirs.campaigns.change(campaign_id, other, count=False)))
                while not (changing[0].done() or await _somebody_waits(theirs)):  # noqa: ASYNC110 - no event says so
                    await asyncio.sleep(0.01)
            return found

        made = await ours.campaigns.create(DRAFT, count=False)
        await ours._resources.database.write(lambda c: campaigns.keep_count(c, made.id, 0, {"apns/ios": 5}))
        expect = Expectation(confirmation=await ours.campaigns.confirmation(made.id))
        monkeypatch.setattr(campaigns, "content", content)
        started = await ours.campaigns.start(made.id, expect=expect)
        with pytest.raises(InvalidState, match="only a draft can be changed"):
            await changing[0]
        assert (started.state, started.revision) == (CampaignState.RUNNING, made.revision)
        assert (await ours.campaigns.draft(made.id)).content == DRAFT.content


async def _migrated(url: str) -> None:
    database = Database.open(url)
    try:
        await migrate(database)
    finally:
        await database.aclose()


async def _somebody_waits(stentor: Stentor) -> bool:
    """Whether a transaction waits for another one's lock."""
    return bool(await stentor._resources.database.rows(text("SELECT 1 FROM pg_locks WHERE NOT granted")))


async def test_what_has_started_is_not_taken_back(stentor: Stentor) -> None:
    made = await stentor.campaigns.create(DRAFT)
    await stentor.campaigns.start(made.id)
    with pytest.raises(InvalidState, match="only one that still waits for its start can be made a draft again"):
        await stentor.campaigns.unschedule(made.id)


@pytest.mark.parametrize("hold", [-1.0, 3601.0, float("nan"), float("inf")])
async def test_nobody_holds_for_so_long(stentor: Stentor, hold: float) -> None:
    made = await stentor.campaigns.create(DRAFT)
    with pytest.raises(InvalidInput, match="hold"):
        await stentor.campaigns.start(made.id, hold=hold)


async def test_a_draft_that_was_not_counted_is_counted_before_its_start(stentor: Stentor) -> None:
    made = await stentor.campaigns.create(DRAFT, count=False)
    assert made.expected == {}
    preview = await stentor.campaigns.check(made.id)
    counted = await stentor.campaigns.get(made.id)
    assert (counted.expected, counted.revision) == (preview.expected, made.revision)
    changed = await stentor.campaigns.change(made.id, DRAFT, count=False)
    assert changed.expected == {}
    expect = Expectation(confirmation=preview.confirmation)
    assert (await stentor.campaigns.start(made.id, expect=expect)).expected == preview.expected


async def test_who_changes_a_draft_while_it_is_counted_is_told_of(
    stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await stentor.campaigns.create(DRAFT, count=False)
    prepare = stentor.campaigns.prepare

    async def slow(*args: object, **named: object) -> object:
        found = await prepare(*args, **named)  # type: ignore[arg-type]
        await stentor.campaigns.change(made.id, replace(DRAFT, title="Other news"), count=False)
        return found

    monkeypatch.setattr(stentor.campaigns, "prepare", slow)
    with pytest.raises(ChangedMeanwhile):
        await stentor.campaigns.check(made.id)
