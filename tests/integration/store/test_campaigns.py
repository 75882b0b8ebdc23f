"""Campaigns as rows: made once, moved only as the table of moves allows, and ended exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidState, UnknownCampaign
from stentor.states import FINAL, MOVES, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign, new_id
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import batches

NOW = 1_800_000_000.0
CAMPAIGN = Campaign(
    id="c1",
    title="News",
    state=CampaignState.RUNNING,
    audience=b'{"source":"users"}',
    collapse_id="c0",
    created_at=NOW,
    starts_at=NOW + 1,
    expires_at=NOW + 2,
    expected={"apns/ios": 7},
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database.open(database_url, connections=8)
    await migrate(found)
    yield found
    await found.aclose()


async def add(database: Database, **values: Any) -> Campaign:
    campaign = replace(CAMPAIGN, **values)
    await database.write(lambda connection: campaigns.add(connection, campaign, b"content"))
    return campaign


async def add_batch(database: Database, *, pending: int) -> None:
    row = {"id": "b1", "campaign_id": "c1", "lane": "l", "size": 2, "pending": pending, "planned_at": NOW}
    await database.write(lambda connection: connection.execute(batches.insert().values(**row, recipients=b"\x90")))


async def get(database: Database, name: str = "c1") -> Campaign:
    async with database.read() as connection:
        return await campaigns.get(connection, name)


async def find(database: Database, name: str) -> str:
    async with database.read() as connection:
        return (await campaigns.find(connection, name)).id


async def test_a_campaign_is_found_by_its_id_its_title_or_a_part_of_its_id(database: Database) -> None:
    for name, title in (("7k2m9x1qab", "Spring sale"), ("7k2m9x1qcd", "News"), ("7k2", "9x1"), ("50%", "c_d")):
        await add(database, id=name, title=title)
    for said, meant in (
        ("7k2", "7k2"),  # although it is in others
        ("ab", "7k2m9x1qab"),
        ("1qc", "7k2m9x1qcd"),
        ("spring SALE", "7k2m9x1qab"),
        ("9x1", "7k2"),  # its title, although it is in others' ids
        ("%", "50%"),
        ("c_d", "50%"),
    ):
        assert await find(database, said) == meant, said


async def test_a_name_that_means_none_or_several_is_refused(database: Database) -> None:
    for number in range(7):
        await add(database, id=f"7k2m{number}", title="News" if number < 2 else "Sale", created_at=NOW + number)
    for said, problem in (
        ("nothing", "there is no campaign of the id or title 'nothing'"),
        ("", "there is no campaign of the id or title ''"),
        ("m_", "there is no campaign"),
        ("news", "'news' is the title of 2 campaigns: 7k2m1, 7k2m0; name one by its id"),
        ("k2", "'k2' is in the ids of more than 5 campaigns: 7k2m6, 7k2m5"),
    ):
        with pytest.raises(UnknownCampaign, match=problem):
            await find(database, said)


async def test_a_campaign_comes_back_as_it_was_stored(database: Database) -> None:
    campaign = await add(database)
    assert await get(database) == campaign
    await add(database, title="Another")  # the same again, after its commit was not heard of
    assert await get(database) == campaign
    async with database.read() as connection:
        assert await campaigns.content(connection, "c1") == b"content"
        assert await campaigns.states(connection, ["c1", "c2"]) == {"c1": CampaignState.RUNNING}


async def test_unknown_ones_are_refused(database: Database) -> None:
    calls: list[Callable[[Any], Awaitable[Any]]] = [
        lambda connection: campaigns.get(connection, "nope"),
        lambda connection: campaigns.content(connection, "nope"),
        lambda connection: campaigns.move(connection, "nope", CampaignState.PAUSED),
    ]
    for call in calls:
        with pytest.raises(UnknownCampaign, match="'nope'"):
            await database.write(call)


async def test_the_newest_come_first(database: Database) -> None:
    for number in range(3):
        state = CampaignState.PAUSED if number == 1 else CampaignState.RUNNING
        await add(database, id=f"c{number}", created_at=NOW + number, state=state)
    async with database.read() as connection:
        assert [each.id for each in await campaigns.newest(connection)] == ["c2", "c1", "c0"]
        assert [each.id for each in await campaigns.newest(connection, limit=1)] == ["c2"]
        paused = await campaigns.newest(connection, states=[CampaignState.PAUSED])
        assert [each.id for each in paused] == ["c1"]


async def test_only_the_moves_of_the_table_are_allowed(database: Database) -> None:
    for before in CampaignState:
        for after in CampaignState:
            name = f"{before}-{after}"
            await add(database, id=name, state=before)

            def move(connection: Any, name: str = name, after: CampaignState = after) -> Awaitable[bool]:
                return campaigns.move(connection, name, after, problem="why", now=NOW + 9)

            if after in MOVES[before]:
                assert await database.write(move)
                moved = await get(database, name)
                assert (moved.state, moved.problem) == (after, "why")
                assert moved.finished_at == (NOW + 9 if after in FINAL else None)
            elif after is before:
                assert not await database.write(move)
            else:
                with pytest.raises(InvalidState, match=f"is {before}"):
                    await database.write(move)
                assert (await get(database, name)).state is before


async def test_pauses_after_the_start_add_up(database: Database) -> None:
    await add(database, starts_at=NOW + 100, state=CampaignState.SCHEDULED)

    async def move(to: CampaignState, after: float) -> Campaign:
        await database.write(lambda connection: campaigns.move(connection, "c1", to, now=NOW + after))
        return await get(database)

    paused, running, scheduled = CampaignState.PAUSED, CampaignState.RUNNING, CampaignState.SCHEDULED
    assert (await move(paused, 10)).paused_at == NOW + 10
    assert (await move(scheduled, 20)).paused == 0.0  # its time hadn't come
    await move(paused, 30)
    again = await move(running, 105)
    assert (again.paused, again.paused_at) == (5.0, None)
    assert (await move(paused, 200)).paused == 5.0
    assert (await move(running, 190)).paused == 5.0  # by a clock that is behind
    await move(paused, 300)
    assert (await move(CampaignState.CANCELLING, 310)).paused == 15.0


@pytest.mark.parametrize(
    ("before", "after"),
    [(CampaignState.RUNNING, CampaignState.COMPLETED), (CampaignState.CANCELLING, CampaignState.CANCELLED)],
)
async def test_a_campaign_ends_once_whoever_asks(
    database: Database, before: CampaignState, after: CampaignState
) -> None:
    await add(database, state=before, planned=True)
    ends = await asyncio.gather(
        *(database.write(lambda connection: campaigns.finish(connection, ["c1"], NOW)) for _ in range(6))
    )
    assert sorted(ends) == [False] * 5 + [True]
    found = await get(database)
    assert (found.state, found.finished_at) == (after, NOW)


@pytest.mark.parametrize(
    ("values", "pending"),
    [({"planned": False}, 0), ({"planned": True}, 1), ({"planned": True, "state": CampaignState.PAUSED}, 0)],
)
async def test_it_does_not_end_too_early(database: Database, values: dict[str, Any], pending: int) -> None:
    campaign = await add(database, **values)
    await add_batch(database, pending=pending)
    assert not await database.write(lambda connection: campaigns.finish(connection, ["c1"], NOW))
    assert await get(database) == replace(campaign, planning_over=campaign.planned)


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id(NOW + second) for second in range(100)]
    assert sorted(ids) == ids
    assert all(len(each) == 16 and each.isalnum() for each in ids)
    assert len({new_id(NOW) for _ in range(1000)}) == 1000


async def test_the_standings_of_what_is_under_way_new_or_known(database: Database) -> None:
    new = new_id(NOW)
    for name, state in (
        ("00ended", CampaignState.COMPLETED),
        ("00known", CampaignState.CANCELLED),
        ("00draft", CampaignState.DRAFT),
        ("00paused", CampaignState.PAUSED),
        (new, CampaignState.COMPLETED),
        (new_id(NOW), CampaignState.DRAFT),
    ):
        await add(database, id=name, state=state)
    found = await database.ask(lambda connection: campaigns.standings(connection, NOW, ["00known", "00gone"]))
    assert {name: each.state for name, each in found.items()} == {
        "00known": CampaignState.CANCELLED,
        "00paused": CampaignState.PAUSED,
        new: CampaignState.COMPLETED,
    }


async def test_the_standings_dont_read_all_campaigns_that_ever_were(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 's.db'}")
    await migrate(database)
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    async def plans(connection: AsyncConnection) -> list[str]:
        sa.event.listen(connection.sync_connection, "before_cursor_execute", note)
        await campaigns.standings(connection, NOW, ["c1"])
        found = []
        for statement, parameters in [each for each in asked if each[0].startswith("SELECT")]:
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found += [row.detail for row in rows]
        return found

    try:
        steps = await database.ask(plans)
    finally:
        await database.aclose()
    assert len(steps) > 2
    assert [step for step in steps if step.startswith("SCAN")] == []
