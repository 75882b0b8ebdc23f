"""Every move of a campaign from state to state: the table's are made, all others are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from itertools import product

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidState, UnknownCampaign
from stentor.states import FINAL, MOVES, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.migrate import migrate

NOW = 1_800_000_000.0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url)
    await migrate(database)
    yield database
    await database.aclose()


async def get(database: Database, name: str) -> Campaign:
    async with database.read() as connection:
        return await campaigns.get(connection, name)


async def make(database: Database, name: str, state: CampaignState) -> None:
    made = Campaign(id=name, title=name, state=state, audience=b"{}", collapse_id=name, created_at=NOW, problem=None)

    async def change(connection: AsyncConnection) -> None:
        await campaigns.add(connection, made, b"{}")

    await database.write(change)


async def move(database: Database, name: str, to: CampaignState, problem: str | None = None) -> bool:
    return await database.write(partial(campaigns.move, campaign_id=name, to=to, problem=problem, now=NOW + 5))


async def test_the_table_decides(database: Database) -> None:
    for start, to in product(CampaignState, CampaignState):
        name = f"{start}-{to}"
        await make(database, name, start)
        if to in MOVES[start]:
            assert await move(database, name, to, "why")
            after = await get(database, name)
            assert (after.state, after.problem) == (to, "why")
            assert after.finished_at == (NOW + 5 if to in FINAL else None)
        elif to is start:
            assert not await move(database, name, to)
        else:
            with pytest.raises(InvalidState, match=f"is {start}, so it can't become {to}"):
                await move(database, name, to)
            after = await get(database, name)
            assert (after.state, after.finished_at) == (start, None)


async def test_what_is_not_there_cannot_be_moved(database: Database) -> None:
    with pytest.raises(UnknownCampaign):
        await move(database, "nobody", CampaignState.RUNNING)
