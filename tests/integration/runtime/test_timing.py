"""When each recipient gets a campaign: kept with it, previewed by zone, and refused where it says not enough."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stentor.audience.contract import Selection
from stentor.config import FILE, load
from stentor.errors import InvalidInput
from stentor.model import Message
from stentor.planning.content import Content
from stentor.planning.contract import ANYTIME, Timing, decode_timing
from stentor.runtime.draft import Draft
from stentor.runtime.preview import Preview
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, providers, write

DRAFT = Draft(Content(message=Message(title="News", ttl=3600)), Selection(source=AUDIENCE))
SOON = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%dT18:00}"
LONG_AGO = "2026-01-01T18:00"


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


@pytest.fixture
async def stentor(tmp_path: Path, facts: Facts) -> AsyncIterator[Stentor]:
    """40 phones: 20 in Berlin, 10 in Tokyo, 6 with junk and 4 without a word of their zone."""
    file = write(tmp_path, facts)
    change(tmp_path, "ALTER TABLE devices ADD COLUMN tz TEXT")
    for condition, zone in (("<= 20", "Europe/Berlin"), ("> 20", "Asia/Tokyo"), ("> 30", "Asia"), ("> 36", "")):
        change(tmp_path, f"UPDATE devices SET tz = '{zone}' WHERE id {condition}")
    text = file.read_text()
    file.write_text(text.replace('language = "language"\n', 'language = "language"\ntime_zone = "tz"\n'))
    async with Stentor(load(tmp_path / FILE, {})) as found:
        yield found


def timed(**values: Any) -> Draft:
    return replace(DRAFT, timing=Timing(**values))


def zones(preview: Preview) -> list[tuple[str, int]]:
    assert preview.forecast is not None
    return [(each.zone, each.recipients) for each in preview.forecast.zones]


async def test_it_is_kept_with_the_campaign(stentor: Stentor) -> None:
    draft = timed(local_at=SOON, no_zone="Europe/Berlin", past="skip", quiet_hours="22:00-08:00", canary=0.05)
    made = await stentor.campaigns.create(draft)
    assert (await stentor.campaigns.draft(made.id)).timing == draft.timing
    changed = await stentor.campaigns.change(made.id, timed(spread=600.0))
    assert decode_timing(changed.timing) == Timing(spread=600.0)
    plain = await stentor.campaigns.change(made.id, DRAFT)
    assert plain.timing is None
    assert (await stentor.campaigns.draft(made.id)).timing == ANYTIME


async def test_a_preview_shows_each_zone(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(timed(local_at=SOON, no_zone="skip", past="skip"))
    assert zones(preview) == [("Asia/Tokyo", 10), ("Europe/Berlin", 20), ("", 10)]
    assert preview.forecast is not None
    tokyo, berlin, _ = preview.forecast.zones
    assert tokyo.first is not None
    assert berlin.first is not None
    assert berlin.first - tokyo.first in {7 * 3600, 8 * 3600}
    assert preview.warnings[-1] == "10 recipients have no time zone that is known and will get nothing (NoZone)"
    assert (await stentor.campaigns.prepare(DRAFT)).forecast is None
    spread = await stentor.campaigns.prepare(timed(spread=7200.0))
    assert zones(spread) == [("", 40)]
    assert not spread.warnings


async def test_a_preview_of_an_audience_without_zones_says_what_to_do(tmp_path: Path, facts: Facts) -> None:
    write(tmp_path, facts)
    async with Stentor(load(tmp_path / FILE, {})) as stentor:
        preview = await stentor.campaigns.prepare(timed(quiet_hours="22:00-08:00", no_zone="now"))
    assert preview.warnings[-1] == "none of the recipients has a time zone that is known; see `columns.time_zone`"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"local_at": SOON},
            r"^timing.no_zone: 10 recipients \(25.0 %\) have no time zone that is known; say what happens",
        ),
        ({"quiet_hours": "22:00-08:00"}, r"^timing.no_zone: 10 recipients"),
        (
            {"local_at": LONG_AGO, "no_zone": "skip"},
            r"^timing.past: 30 recipients \(75.0 %\) have a clock that is past",
        ),
    ],
)
async def test_a_start_without_a_rule_is_refused(stentor: Stentor, values: dict[str, Any], says: str) -> None:
    preview = await stentor.campaigns.prepare(timed(**values))
    assert any(each.startswith("it cannot be started so: ") for each in preview.warnings)
    made = await stentor.campaigns.create(timed(**values), preview=preview)
    with pytest.raises(InvalidInput, match=says):
        await stentor.campaigns.start(made.id)
    assert (await stentor.campaigns.get(made.id)).state is CampaignState.DRAFT
    rule = {"past": "now"} if "no_zone" in values else {"no_zone": "now"}
    later = await stentor.campaigns.change(made.id, timed(**values, **rule))
    assert (await stentor.campaigns.start(later.id, hold=60.0)).state is CampaignState.SCHEDULED


async def test_what_is_sent_at_once_is_refused_before_a_campaign_is_made(stentor: Stentor) -> None:
    with pytest.raises(InvalidInput, match=r"^timing.no_zone: 10 recipients"):
        await stentor.campaigns.send(timed(local_at=SOON))
    assert await stentor.campaigns.newest() == []


async def test_a_draft_that_cannot_be_meant_is_refused(stentor: Stentor) -> None:
    for values, field in (
        ({"local_at": "2070-01-01T18:00"}, "local_at"),
        ({"local_at": "18:00"}, "local_at"),
        ({"quiet_hours": "22-8"}, "quiet_hours"),
        ({"canary": 2.0}, "canary"),
    ):
        with pytest.raises(InvalidInput) as found:
            await stentor.campaigns.create(timed(**values))
        assert found.value.field == f"timing.{field}"


async def test_a_retry_keeps_the_quiet_hours_alone(stentor: Stentor) -> None:
    timing = Timing(local_at=SOON, past="skip", no_zone="now", quiet_hours="00:00-23:59", spread=60.0)
    made = await stentor.campaigns.create(replace(DRAFT, timing=timing, starts_at=time.time() + 3600))
    await stentor.campaigns.start(made.id)
    assert (await stentor.campaigns.cancel(made.id)).state is CampaignState.CANCELLED
    again = await stentor.campaigns.retry(made.id)
    assert decode_timing(again.timing) == timing.afterwards == Timing(quiet_hours="00:00-23:59", no_zone="now")
    preview = await stentor.campaigns.check(again.id)
    assert sorted(zones(preview)) == [("", 10), ("Asia/Tokyo", 10), ("Europe/Berlin", 20)]
