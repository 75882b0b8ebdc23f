"""What a preview says: what real people would get, in which language, who lacks which value, how long it takes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stentor.audience.contract import Selection
from stentor.audience.registry import Registration, register
from stentor.cli import stage
from stentor.config import FILE, load
from stentor.errors import InvalidAudience
from stentor.model import Message
from stentor.planning.content import Content, Translation
from stentor.runtime.draft import Draft
from stentor.runtime.samples import Texts
from stentor.runtime.stentor import Stentor
from stentor.store.database import Database
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, write

USERS = Selection(source=AUDIENCE)
IOS, ANDROID = "apns/ios", "fcm/android"
GREETING = Content(
    message=Message(title="Hello {{ name }}", ttl=3600),
    translations={
        "de": Translation(title="Hallo {{ name }}"),
        "fr": Translation(title="Salut {{ name | default('toi') }}"),
    },
)
LACKING = 12


@pytest.fixture
async def stentor(tmp_path: Path, facts: Facts) -> AsyncIterator[Stentor]:
    """40 phones, numbered from 1: every third speaks German, every fifth French, and the first few lack a name."""
    file = write(tmp_path, facts)
    with closing(sqlite3.connect(tmp_path / stage.DATABASE)) as database:
        database.execute("ALTER TABLE devices ADD COLUMN name TEXT")
        database.execute("UPDATE devices SET name = '{{ ' || id, language = 'en'")
        database.execute("UPDATE devices SET language = 'de-AT' WHERE id % 3 = 0")
        database.execute("UPDATE devices SET language = 'fr' WHERE id % 5 = 0")
        database.execute("UPDATE devices SET name = NULL WHERE id <= ?", (LACKING,))
        database.commit()
    text = file.read_text()
    file.write_text(text.replace('language = "language"\n', 'language = "language"\nattributes = ["name"]\n'))
    async with Stentor(load(tmp_path / FILE, {})) as found:
        yield found


def titles(preview_lane: object) -> dict[str, tuple[int, str]]:
    found = {}
    for each in preview_lane.examples:  # type: ignore[attr-defined]
        payload = json.loads(each.payload)
        alert = payload["aps"]["alert"] if "aps" in payload else payload["message"]["notification"]
        found[each.language] = (int(each.installation), alert["title"])
    return found


async def test_numbers_are_written_for_real_people(stentor: Stentor) -> None:
    content = Content(message=Message(title="{{ 1234.5 | number }} {{ 0 | time }}"))
    preview = await stentor.campaigns.prepare(Draft(content, USERS))
    assert not preview.lanes[IOS].lacking
    assert any("doesn't say its `language`" in each for each in preview.warnings)
    shown = {}
    for language in ("en", "de-AT", "fr"):
        chosen = Selection(source=AUDIENCE, filters={"language": [language]})
        seen = await stentor.campaigns.prepare(Draft(content, chosen))
        payload = next(each for lane in seen.lanes.values() for each in lane.examples).payload
        shown[language] = json.loads(payload)
    assert "1,234.5 12:00" in str(shown["en"]).replace("\u202f", " ")
    assert "1.234,5 00:00" in str(shown["de-AT"])
    said = replace(content, language="en")
    preview = await stentor.campaigns.prepare(Draft(said, USERS))
    assert not any("language" in each for each in preview.warnings)


async def test_moments_are_written_in_the_zone_of_each(stentor: Stentor, tmp_path: Path) -> None:
    content = Content(message=Message(title="{{ at | datetime('short') }}", ttl=3600), language="en")
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
    at = '{"at": "2030-01-31T23:00:00Z"}'
    zones = {"a": ("en-GB", "Asia/Tokyo"), "b": (None, "no zone"), "c": ("de", None)}
    people = [
        Registration(id=key, channel="apns", address=key * 64, language=tag, time_zone=zone, attributes=at)
        for key, (tag, zone) in zones.items()
    ]
    await register(database, people)
    await database.aclose()
    shown = {}
    for key in zones:
        preview = await stentor.campaigns.prepare(Draft(content, Selection(source="registry")), sample=key)
        shown[key] = json.loads(preview.sample[IOS])["aps"]["alert"]["title"].replace("\u202f", " ")
    assert shown == {"a": "01/02/2030, 08:00", "b": "1/31/30, 11:00 PM", "c": "1/31/30, 11:00 PM"}


async def test_examples_are_of_real_people_in_each_language(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(Draft(GREETING, USERS))
    assert preview.lanes.keys() == {IOS, ANDROID}
    for lane in preview.lanes.values():
        shown = titles(lane)
        assert shown.keys() == {"", "de", "fr"}
        number, title = shown["de"]
        assert title == f"Hallo {{{{ {number}"  # a brace in a value is one
        assert number % 3 == 0
        assert shown["fr"][1] == ("Salut toi" if shown["fr"][0] <= LACKING else f"Salut {{{{ {shown['fr'][0]}")
        assert lane.looked_at == lane.recipients == 20
    languages = [sum(lane.languages[each] for lane in preview.lanes.values()) for each in ("", "de", "fr")]
    assert languages == [21, 11, 8]
    tags: Counter[tuple[str, str]] = Counter()
    for lane in preview.lanes.values():
        tags.update({(each.tag, each.language): each.installations for each in lane.tags})
        assert [each.installations for each in lane.tags] == sorted(
            (each.installations for each in lane.tags), reverse=True
        )
    assert tags == {("en", ""): 21, ("de-AT", "de"): 11, ("fr", "fr"): 8}


async def test_who_lacks_a_value_is_counted_and_told(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(Draft(GREETING, USERS))
    assert sum(lane.lacking["name"] for lane in preview.lanes.values()) == LACKING
    said = " ".join(preview.warnings)
    unfilled = [sum(number % 5 != 0 for number in range(1, LACKING + 1))]
    told = [int(each.split(": ")[1].split()[0]) for each in preview.warnings]
    assert [sum(told)] == unfilled
    assert "of 20 installations looked at would be rejected" in said
    assert "title: needs `name`, which this installation doesn't have" in said


async def test_a_value_over_a_column_is_told(stentor: Stentor, tmp_path: Path) -> None:
    content = Content(message=Message(title="{{ name }} {{ show }}", ttl=3600), values={"name": "x", "show": "y"})
    preview = await stentor.campaigns.prepare(Draft(content, USERS))
    assert preview.warnings == ["`name` is set for everybody, so the column or attribute `name` of users isn't read"]
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
    await register(database, [Registration(id="a", channel="apns", address="a" * 64, attributes='{"show": "z"}')])
    await database.aclose()
    preview = await stentor.campaigns.prepare(Draft(content, Selection(source="registry")))
    assert ["`show` is set for everybody" in each for each in preview.warnings] == [True]


async def test_a_sample_is_of_whom_one_asks_for(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(Draft(GREETING, USERS), sample="36")
    (found,) = [titles(lane) for lane in preview.lanes.values() if lane.examples]
    assert found == {"de": (36, "Hallo {{ 36")}
    preview = await stentor.campaigns.prepare(Draft(GREETING, USERS), sample="1")
    assert not preview.sample
    assert any("1 would be rejected: title: needs `name`" in each for each in preview.warnings)
    with pytest.raises(InvalidAudience, match="the audience users has no installation 4711 to show a sample of"):
        await stentor.campaigns.prepare(Draft(GREETING, USERS), sample="4711")


async def test_a_sample_that_would_be_rejected_or_left_out_is_said_to_be(stentor: Stentor, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / stage.DATABASE)) as database:
        database.execute("UPDATE devices SET platform = 'ios', token = 'x' WHERE id = 36")
        database.execute("UPDATE devices SET platform = 'ios', token = NULL WHERE id = 37")
        database.execute("UPDATE devices SET platform = 'windows' WHERE id = 38")
        database.commit()
    news = Content(message=Message(title="News", ttl=3600))
    for content in (GREETING, news):
        told = (await stentor.campaigns.prepare(Draft(content, USERS), sample="36")).warnings
        assert [each for each in told if each.startswith("36 would be rejected: it has a malformed address: ")]
        told = (await stentor.campaigns.prepare(Draft(content, USERS), sample="37")).warnings
        assert "37 would be rejected: it has a missing address: it is empty or NULL" in told
        with pytest.raises(
            InvalidAudience, match=r"installation 38, which would be rejected: it is on no configured app"
        ):
            await stentor.campaigns.prepare(Draft(content, USERS), sample="38")
        told = (await stentor.campaigns.prepare(Draft(content, USERS), sample="39")).warnings
        assert not [each for each in told if each.startswith("39 ")]
    choices: list[dict[str, Any]] = [{"filters": {"language": ["fr"]}}, {"only": ["40"]}]
    for chosen in choices:
        selection = Selection(source=AUDIENCE, **chosen)
        told = (await stentor.campaigns.prepare(Draft(news, selection), sample="39")).warnings
        assert "39 is not selected, and would not get the message" in told
        told = (await stentor.campaigns.prepare(Draft(news, selection), sample="40")).warnings
        assert not [each for each in told if each.startswith("40 ")]


async def test_a_text_that_is_too_long_for_somebody_is_told(stentor: Stentor) -> None:
    long = Content(message=Message(title="{{ 'x' * (id * 1000) }}", ttl=3600))
    preview = await stentor.campaigns.prepare(Draft(long, USERS), sample="40")
    assert any("40 would be rejected: " in each and "bytes" in each for each in preview.warnings)


async def test_the_size_is_that_of_the_longest_message_looked_at_in_each_language(stentor: Stentor) -> None:
    personal = Content(
        message=Message(title="{{ 'x' * (id * 10) }}", ttl=3600),
        translations={"de": Translation(title="{{ 'y' * (id * 10) }}"), "it": Translation(title="Ciao {{ id }}")},
    )
    preview = await stentor.campaigns.prepare(Draft(personal, USERS))
    for name, lane in preview.lanes.items():
        assert [each.language for each in lane.sizes] == ["", "de", "it"]
        largest, german, italian = lane.sizes
        assert int(largest.installation) % 3 != 0
        assert int(german.installation) % 3 == 0
        assert min(int(largest.installation), int(german.installation)) > 30, "the longest, not the first"
        assert (largest.size.limit, largest.size.unit, largest.problem) == (4096, "bytes", "")
        constant = b'{"aps":{"alert":{"title":""}}}' if name == IOS else b'{"notification":{"title":""}}'
        assert 0 <= largest.size.size - 10 * int(largest.installation) - len(constant) < 60
        assert italian.installation == "", "nobody looked at reads it"
        assert italian.size.left > 3900
    assert preview.warnings == []


async def test_without_personal_texts_the_size_is_everybodys(stentor: Stentor) -> None:
    news = Content(message=Message(title="News", body="ü", ttl=3600))
    preview = await stentor.campaigns.prepare(Draft(news, USERS))
    (ios,) = preview.lanes[IOS].sizes
    assert (ios.language, ios.installation) == ("", "")
    assert ios.size.size == len('{"aps":{"alert":{"title":"News","body":"xx"}}}')


async def test_what_is_the_same_for_everybody_is_not_made_for_each(
    stentor: Stentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(Texts, "see", lambda texts, lane, *told: made.append(lane))
    preview = await stentor.campaigns.prepare(Draft(Content(message=Message(title="Hello")), USERS))
    assert [lane.recipients for lane in preview.lanes.values()] == [20, 20]
    assert made == []


async def test_a_message_that_is_too_large_for_somebody_but_the_one_shown_is_told(stentor: Stentor) -> None:
    long = Content(message=Message(title="{{ 'x' * (id * 110) }}", ttl=3600))
    preview = await stentor.campaigns.prepare(Draft(long, USERS))
    over = [each for lane in preview.lanes.values() for each in lane.sizes if each.size.left < 0]
    assert over
    for each in over:
        assert "4,096 are allowed" in each.problem
        assert any(f"{each.installation} would be rejected: " in said for said in preview.warnings)


async def test_without_languages_nobody_gets_a_translation(stentor: Stentor, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / stage.DATABASE)) as database:
        database.execute("UPDATE devices SET language = NULL")
        database.commit()
    content = Content(message=Message(title="Hello", ttl=60), translations={"de": Translation(title="Hallo")})
    preview = await stentor.campaigns.prepare(Draft(content, USERS))
    assert preview.warnings == [
        "none of the installations looked at has a language, so all get the message itself; see `columns.language`"
    ]


async def test_a_rate_of_its_own_counts(stentor: Stentor) -> None:
    news = Content(message=Message(title="News", ttl=3600))
    preview = await stentor.campaigns.prepare(Draft(news, USERS, max_rate=2.0))
    assert preview.seconds == 20.0
    assert {name: (lane.ceiling, lane.seconds) for name, lane in preview.lanes.items()} == {
        IOS: (2.0, 10.0),
        ANDROID: (2.0, 10.0),
    }
