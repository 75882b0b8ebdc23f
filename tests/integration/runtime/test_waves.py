"""Campaigns whose recipients get the message at different times, with real roles: held, sent, released, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from stentor.audience.contract import Selection
from stentor.config import FILE, load
from stentor.errors import InvalidState
from stentor.model import Message
from stentor.planning.content import Content
from stentor.planning.contract import Timing
from stentor.recording.report import Progress
from stentor.runtime.draft import Draft
from stentor.runtime.sentences import waits
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, write

Until = Callable[[Callable[[Progress], bool]], Awaitable[Progress]]
DRAFT = Draft(Content(message=Message(title="News", ttl=3600)), Selection(source=AUDIENCE))
pytestmark = pytest.mark.timeout(150)


@pytest.fixture
async def stentor(tmp_path: Path, facts: Facts) -> AsyncIterator[Stentor]:
    """40 phones: 20 in Berlin, 20 in Tokyo."""
    file = write(tmp_path, facts)
    change(tmp_path, "ALTER TABLE devices ADD COLUMN tz TEXT")
    for condition, zone in (("<= 20", "Europe/Berlin"), ("> 20", "Asia/Tokyo")):
        change(tmp_path, f"UPDATE devices SET tz = '{zone}' WHERE id {condition}")
    text = file.read_text()
    file.write_text(text.replace('language = "language"\n', 'language = "language"\ntime_zone = "tz"\n'))
    async with Stentor(load(tmp_path / FILE, {})) as found:
        yield found


@asynccontextmanager
async def running(stentor: Stentor, campaign_id: str) -> AsyncIterator[Until]:
    """Roles are at work meanwhile; `until` waits for what is shown of the campaign."""
    stop = asyncio.Event()
    at_work = asyncio.create_task(stentor.roles.run(campaign_id, stop=stop))

    async def until(enough: Callable[[Progress], bool]) -> Progress:
        while not enough(now := await stentor.outcomes.progress(campaign_id)):
            assert not at_work.done(), at_work.result()
            await asyncio.sleep(0.1)
        return now

    try:
        yield until
    finally:
        stop.set()
        await at_work


async def test_each_zone_gets_it_at_its_time_and_the_rest_can_be_called_off(stentor: Stentor) -> None:
    at = datetime.now(ZoneInfo("Asia/Tokyo")) + timedelta(seconds=3)
    draft = replace(DRAFT, timing=Timing(local_at=f"{at:%Y-%m-%dT%H:%M:%S}"))
    campaign = await stentor.campaigns.send(draft)
    async with running(stentor, campaign.id) as until:
        held = await until(lambda now: now.total.read == 40 and now.next_wave is not None)
        assert held.total.accepted == 0 or held.at >= at.timestamp()
        now = await until(lambda now: now.total.accepted == 20)
        assert now.at >= int(at.timestamp())
        assert (now.total.held, len(now.waves), now.resting) == (20, 1, True)
        assert now.waves[0].at == int(at.timestamp()) + 8 * 3600
        assert waits(now).startswith("20 recipients wait for the right time. The next: 20 recipients at ")
        found = await stentor.outcomes.explain(campaign.id, "1")
        assert (found.events[-1].at, found.events[-1].text) == (
            now.waves[0].at,
            "It is held until its wave begins at this time; then it is sent.",
        )
        assert (await stentor.outcomes.audit(campaign.id)).exact
    cancelled = await stentor.campaigns.cancel(campaign.id)
    assert cancelled.state is CampaignState.CANCELLED, "nobody holds it, so it ends at once"
    report = await stentor.outcomes.report(campaign.id)
    assert (report.total.accepted, report.total.cancelled, report.total.pending) == (20, 20, 0)
    assert (await stentor.outcomes.audit(campaign.id)).exact


async def test_a_canary_goes_first_and_the_others_when_they_are_released(stentor: Stentor) -> None:
    with pytest.raises(InvalidState, match="neither a canary nor a hold"):
        await stentor.campaigns.release((await stentor.campaigns.create(DRAFT)).id)
    campaign = await stentor.campaigns.send(replace(DRAFT, timing=Timing(canary=0.25)))
    async with running(stentor, campaign.id) as until:
        first = await until(lambda now: now.total.read == 40 and now.total.pending == now.gated)
        assert 0 < first.total.accepted < 25
        assert first.gated == 40 - first.total.accepted
        assert waits(first) == f"{first.gated} recipients wait until somebody releases the campaign."
        assert first.resting
        released = await stentor.campaigns.release(campaign.id)
        assert released.released_at is not None
        assert (await stentor.campaigns.release(campaign.id)).released_at == released.released_at
        await until(lambda now: now.state is CampaignState.COMPLETED)
    report = await stentor.outcomes.report(campaign.id)
    assert (report.total.accepted, report.total.read) == (40, 40)
    assert (await stentor.outcomes.audit(campaign.id)).exact


async def test_a_person_is_erased_while_held(stentor: Stentor) -> None:
    campaign = await stentor.campaigns.send(replace(DRAFT, timing=Timing(hold=True)))
    async with running(stentor, campaign.id) as until:
        await until(lambda now: now.total.read == 40 and now.gated == 40)
        await stentor.installations.erase("7")
        await stentor.campaigns.release(campaign.id)
        await until(lambda now: now.state is CampaignState.COMPLETED)
    report = await stentor.outcomes.report(campaign.id)
    assert (report.total.accepted, report.total.cancelled) == (39, 1)
    assert (await stentor.outcomes.audit(campaign.id)).exact
