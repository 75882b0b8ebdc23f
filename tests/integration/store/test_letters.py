"""Dead letters as rows."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import Database
from stentor.store.letters import DeadLetter, buried_outcomes, bury_outcomes, letters_by_lane
from stentor.store.migrate import migrate

LETTER = DeadLetter(id="c1/7", lane="apns/ios", campaign_id="c1", reason="unreadable", deliveries=1, at=1.0)
MANY = 33_000
"""More than the parameters that a statement of PostgreSQL's may have."""


async def test_they_are_counted_by_lane(database_url: str) -> None:
    database = Database.open(database_url)
    await migrate(database)
    assert await database.ask(letters_by_lane) == {}

    async def bury(connection: AsyncConnection) -> None:
        for letter in (LETTER, replace(LETTER, id="c1/8"), replace(LETTER, id="c1/9", lane="plan")):
            await bury_outcomes(connection, letter, b"")

    await database.write(bury)
    assert await database.ask(letters_by_lane) == {"apns/ios": 2, "plan": 1}
    await database.aclose()


async def test_they_are_found_among_however_many_batches_were_lost(database_url: str) -> None:
    database = Database.open(database_url)
    await migrate(database)
    last = replace(LETTER, id=f"c1/{MANY - 1}")

    async def bury(connection: AsyncConnection) -> None:
        for letter in (LETTER, last, replace(LETTER, id="c1/another's")):
            await bury_outcomes(connection, letter, b"what became of it")

    await database.write(bury)
    lost = [f"c1/{number}" for number in range(MANY)]
    found = await database.ask(lambda connection: buried_outcomes(connection, lost))
    assert found.keys() == {LETTER.id, last.id}
    assert found[LETTER.id].reason == LETTER.reason
    await database.aclose()
