"""Segments of campaigns: given as text or by name, kept as they were, counted exactly or about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stentor.audience.contract import Selection
from stentor.audience.sql import SqlAudience
from stentor.errors import InvalidAudience, InvalidInput, InvalidSegment, Unconfirmed, UnknownSegment
from stentor.model import Message
from stentor.planning.content import Content
from stentor.recording.shapes import selection_of
from stentor.runtime.confirmation import Expectation
from stentor.runtime.draft import Draft
from stentor.runtime.segments import LONGEST
from stentor.runtime.stentor import Stentor
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, rehearse

PHONES = 40
NEWS = Content(message=Message(title="News", ttl=3600))


@pytest.fixture
async def stentor(tmp_path: Path, facts: Facts) -> AsyncIterator[Stentor]:
    """40 phones, numbered from 1: every third speaks German, every fourth says nothing of its language."""
    config = rehearse(tmp_path, facts, PHONES)
    change(tmp_path, "UPDATE devices SET language = 'en'")
    change(tmp_path, "UPDATE devices SET language = 'de' WHERE id % 3 = 0")
    change(tmp_path, "UPDATE devices SET language = NULL WHERE id % 4 = 0")
    async with Stentor(config) as found:
        yield found


def draft(**selection: Any) -> Draft:
    return Draft(NEWS, Selection(source=AUDIENCE, **selection))


async def test_a_campaign_is_sent_to_its_segment_alone(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(draft(segment="language != de"))
    assert preview.recipients == 20
    made = await stentor.campaigns.send(
        draft(segment="language!=de"), expect=Expectation(confirmation=preview.confirmation)
    )
    report = await stentor.roles.run(made.id)
    assert report.total.read == 20
    assert selection_of(made).segment == "language != de"


async def test_a_campaign_keeps_the_segment_that_it_was_made_with(stentor: Stentor) -> None:
    await stentor.segments.save("german", "language = de")
    preview = await stentor.campaigns.prepare(draft(segment_name="german"))
    made = await stentor.campaigns.create(draft(segment_name="german"))
    await stentor.segments.save("german", "language = en")
    assert selection_of(await stentor.campaigns.get(made.id)) == Selection(
        source=AUDIENCE, segment="language = de", segment_name="german"
    )
    assert (await stentor.campaigns.check(made.id)).recipients == 10
    expect = Expectation(confirmation=preview.confirmation)
    with pytest.raises(Unconfirmed):  # by the name, it would be for others than were counted
        await stentor.campaigns.send(draft(segment_name="german"), expect=expect)
    await stentor.segments.delete("german")
    assert (await stentor.campaigns.start(made.id, expect=expect)).id == made.id
    assert (await stentor.roles.run(made.id)).total.read == 10


async def test_what_now_means_is_the_start_of_the_campaign(stentor: Stentor, tmp_path: Path) -> None:
    """However long it waits or is sent, and whoever reads a page of it."""
    change(tmp_path, "UPDATE devices SET language = NULL")
    change(tmp_path, "UPDATE devices SET language = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', id || ' minutes')")
    made = await stentor.campaigns.send(draft(segment="language <= now + 10m30s"))
    starts_at = (await stentor.campaigns.get(made.id)).starts_at
    assert starts_at is not None
    assert (await stentor.roles.run(made.id)).total.read == 10
    asked = msgspec.structs.replace(selection_of(made), segment_at=starts_at + 300)
    assert asked == selection_of(made).at(starts_at + 300)


async def test_what_cannot_be_a_segment_is_refused(stentor: Stentor) -> None:
    with pytest.raises(InvalidSegment, match="column 10: expected a comparison"):
        await stentor.campaigns.create(draft(segment="language is de"))
    with pytest.raises(InvalidSegment, match="segment: there is no segment 'german'"):
        await stentor.campaigns.prepare(draft(segment_name="german"))
    with pytest.raises(InvalidAudience, match="no column or attribute 'langage'; the nearest is language"):
        await stentor.campaigns.prepare(draft(segment="langage = de"))
    with pytest.raises(InvalidAudience, match=f"nobody in the audience {AUDIENCE} matches the segment"):
        await stentor.campaigns.prepare(draft(segment="language = xx"))
    for name in ("count", "two words", ""):
        with pytest.raises(InvalidSegment):
            await stentor.segments.save(name, "language = de")


async def test_segments_are_saved_listed_and_deleted(stentor: Stentor) -> None:
    saved = await stentor.segments.save("german", {"language": {"$in": ["de", "de-AT"]}})
    assert saved.segment == "language in [de, de-AT]"
    again = await stentor.segments.save("german", "language = de")
    assert (again.segment, again.created_at) == ("language = de", saved.created_at)
    await stentor.segments.save("asleep", [{"field": "last_session", "relation": ">", "hours_ago": "24"}])
    assert [each.name for each in await stentor.segments.list()] == ["asleep", "german"]
    assert [each.name for each in await stentor.segments.list(after="asleep", limit=1)] == ["german"]
    with pytest.raises(UnknownSegment, match="did you mean german"):
        await stentor.segments.get("germna")
    await stentor.segments.delete("german")
    with pytest.raises(UnknownSegment):
        await stentor.segments.delete("german")


async def test_a_segment_is_counted_with_some_of_it(stentor: Stentor) -> None:
    found = await stentor.segments.count(AUDIENCE, "language = en")
    assert (found.count, found.exact) == (20, True)
    assert len(found.samples) == 20
    assert found.samples[0].installation == "1"
    assert found.samples[0].values == {"language": "en"}
    assert (await stentor.segments.count(AUDIENCE, "not (language = en)")).count == 20
    assert (await stentor.segments.count(AUDIENCE, "language = xx")).samples == []
    for within in (0.0, LONGEST + 1):
        with pytest.raises(InvalidInput, match="within"):
            await stentor.segments.count(AUDIENCE, "language = en", within=within)
    with pytest.raises(InvalidAudience, match="langage"):
        await stentor.segments.count(AUDIENCE, "langage = en")
    with pytest.raises(InvalidSegment, match="there is no segment 'german'"):
        await stentor.segments.count(AUDIENCE, "german")


async def test_a_count_that_takes_too_long_is_an_estimate(stentor: Stentor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: SqlAudience) -> dict[str, int]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(SqlAudience, "count", never)
    found = await stentor.segments.count(AUDIENCE, "language = en", within=1.0)
    assert not found.exact
    assert found.count == 20  # of so few, all are looked at
