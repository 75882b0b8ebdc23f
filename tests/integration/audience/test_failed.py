"""Those whom a campaign did not reach, as an audience."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from stentor.audience.contract import Page, Range, Selection, Wanted
from stentor.audience.failed import FailedAudience
from stentor.outcome import Outcome
from stentor.planning.planner import Step
from stentor.states import CampaignState
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import chains, failures
from tests.integration.planning.world import ANDROID, IOS, People
from tests.integration.recording.rows import Rows

encode = msgspec.msgpack.encode
KEYS = [f"k{number:02}" for number in range(12)]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database.open(database_url)
    await migrate(found)
    rows = Rows(found)
    await rows.campaign()
    await rows.campaign("c2")
    await rows.batch(0, "a" * 12, keys=[key.encode() for key in KEYS])
    await rows.batch(1, "r", campaign="c2", keys=[b"elsewhere"])
    for position, key in enumerate(KEYS):
        await fail(rows, position, key)
    yield found
    await found.aclose()


async def fail(rows: Rows, position: int, key: str) -> None:
    """The first half are dead; of the others every other one expired."""
    dead = position < 6
    row: dict[str, Any] = rows.failure("c1/apns/ios/0.0.7.0", position, Outcome.REJECTED, [b""] * 12)
    reason = "Unregistered" if dead else "Lifetime" if position % 2 else "InternalServerError"
    await rows.insert(failures, {**row, "installation": key, "dead": dead, "reason": reason})


def audience(database: Database, people: People, **selection: Any) -> FailedAudience:
    return FailedAudience(database, people, Selection(source="people", failed_of="c1", **selection))


async def read(found: FailedAudience, limit: int, lanes: list[str] | None = None) -> list[str]:
    keys: list[str] = []
    for part in await found.ranges(4):
        cursor = part.after
        while True:
            page: Page = await found.page(msgspec.structs.replace(part, after=cursor), limit, Wanted(), lanes)
            keys += [key.decode() for key in page.keys]
            assert len(page) <= limit
            if (cursor := page.cursor) is None:
                break
    return keys


@pytest.fixture
def people() -> People:
    """All but one of those who failed, and others; one is on another lane since."""
    return People({**dict.fromkeys([*KEYS, "elsewhere", "reached"], IOS), "k07": ANDROID})


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 100])
async def test_all_but_the_dead_are_read_page_by_page(database: Database, people: People, limit: int) -> None:
    found = audience(database, people)
    assert await read(found, limit) == KEYS[6:]
    assert await found.count() == {IOS: 5, ANDROID: 1}


async def test_the_dead_are_read_where_their_reason_is_named(database: Database, people: People) -> None:
    assert await read(audience(database, people, reasons=["Unregistered"]), 4) == KEYS[:6]
    named = audience(database, people, reasons=["Lifetime", "InternalServerError"])
    assert await read(named, 4) == KEYS[6:]
    assert await read(audience(database, people, reasons=["Lifetime"]), 4) == ["k07", "k09", "k11"]


async def test_who_is_gone_is_left_out_even_where_a_page_is_left_empty(database: Database, people: People) -> None:
    for key in ("k06", "k07", "k08"):
        del people.rows[key]
    found = audience(database, people)
    assert await read(found, 3) == ["k09", "k10", "k11"]
    assert await found.count() == {IOS: 3}


async def test_only_some_lanes_are_read_where_they_are_asked_for(database: Database, people: People) -> None:
    found = audience(database, people)
    assert await read(found, 2, [ANDROID]) == ["k07"]
    assert await read(found, 2, [IOS]) == ["k06", "k08", "k09", "k10", "k11"]


async def test_nobody_failed(database: Database, people: People) -> None:
    found = audience(database, people, reasons=["Nothing"])
    assert await found.ranges(4) == []
    assert await found.count() == {}


async def test_people_can_be_looked_up(database: Database, people: People) -> None:
    assert (await audience(database, people).find(["k01", "nobody"], Wanted())).keys == [b"k01"]


async def test_who_was_cancelled_or_never_read_is_in_it_too(database: Database, people: People) -> None:
    """But not where reasons are named; of what was left on some lanes, only who is on these."""
    rows = Rows(database)
    await rows.campaign("c3", state=CampaignState.CANCELLED, read=4)
    await rows.batch(0, "aacx", campaign="c3", keys=[b"p0", b"p1", b"p2", b"p3"])
    people.rows = dict.fromkeys([f"p{number}" for number in range(8)], IOS) | {"p7": ANDROID, "p8": ANDROID}
    left = [
        Step(chain="0", number=1, part=Range(after="p3", upto="p7"), lanes=[IOS]),
        Step(chain="1", number=0, part=Range(after="p7", upto="p8")),
    ]
    await rows.change(chains.delete().where(chains.c.campaign_id == "c3"))
    await rows.insert(
        chains,
        *(
            {"campaign_id": "c3", "chain": step.chain, "step": step.number, "done": True, "next": encode(step)}
            for step in left
        ),
        {"campaign_id": "c3", "chain": "2", "step": 4, "done": True, "next": None},
    )
    whole = FailedAudience(database, people, Selection(source="people", failed_of="c3"))
    assert await whole.count() == {IOS: 5, ANDROID: 1}
    for limit in (4, 100):
        assert await read(whole, limit) == ["p3", "p2", "p4", "p5", "p6", "p8"]
    assert await read(whole, 100, [ANDROID]) == ["p8"]
    named = FailedAudience(database, people, Selection(source="people", failed_of="c3", reasons=["Unregistered"]))
    assert await read(named, 100) == []


async def test_their_zones(database: Database) -> None:
    places = {KEYS[6]: "Asia/Tokyo", KEYS[7]: "Asia/Tokyo", KEYS[8]: "Europe/Berlin", KEYS[9]: "UTC", KEYS[0]: "UTC"}
    people = People(dict.fromkeys(KEYS[:9], IOS) | {KEYS[9]: "", KEYS[10]: ANDROID}, places=places)
    found = audience(database, people)
    assert await found.zones() == {"Asia/Tokyo": 2, "Europe/Berlin": 1, None: 1}, "of those on a lane"
    (part,) = [each for each in await found.ranges(1) if not each.section]
    page = await found.page(part, 100, Wanted(zone=True), [IOS])
    assert dict(zip(page.keys, page.zones or [], strict=True)) == {
        KEYS[6].encode(): "Asia/Tokyo",
        KEYS[7].encode(): "Asia/Tokyo",
        KEYS[8].encode(): "Europe/Berlin",
    }
