"""Versions of templates in both databases: none is lost, whoever saves at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stentor.errors import ChangedMeanwhile
from stentor.store import templates
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.templates import NewVersion

SAVERS = 5


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url)
    await migrate(database)
    yield database
    await database.aclose()


async def save(database: Database, text: str, over: int | None = None, name: str = "sale") -> int:
    new = NewVersion(name=name, content=text.encode(), title=text, saved_at=1.0, saved_by="ada")
    return await database.write(lambda connection: templates.save(connection, new, over))


async def history(database: Database, name: str = "sale") -> list[tuple[int, str]]:
    found = await database.ask(lambda connection: templates.history(connection, name, None, 100))
    return [(each.version, each.title) for each in found]


async def test_of_those_who_save_over_one_version_one_does_and_the_others_are_told(database: Database) -> None:
    for over in (0, 1):
        texts = [f"{over}-{number}" for number in range(SAVERS)]
        done = await asyncio.gather(*(save(database, each, over) for each in texts), return_exceptions=True)
        assert done.count(over + 1) == 1
        assert sum(isinstance(each, ChangedMeanwhile) for each in done) == SAVERS - 1
    assert len(await history(database)) == 2


async def test_who_does_not_say_what_they_saw_loses_nobody_elses_version(database: Database) -> None:
    texts = [f"text {number}" for number in range(SAVERS)]
    numbers = await asyncio.gather(*(save(database, each) for each in texts))
    found = await history(database)
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert {title for _, title in found} == set(texts)
    assert [version for version, _ in found] == [5, 4, 3, 2, 1]


async def test_a_save_that_is_told_twice_is_one_version(database: Database) -> None:
    """As where the word of a commit was lost; the second one names the version that it saw, too."""
    assert await save(database, "one", 0) == 1
    assert await save(database, "one", 0) == 1
    assert await save(database, "two", 1) == 2
    assert await save(database, "two", 1) == 2
    assert await save(database, "one") == 3
    assert await history(database) == [(3, "one"), (2, "two"), (1, "one")]


async def test_a_name_goes_on_counting_when_its_template_was_deleted(database: Database) -> None:
    await save(database, "one")
    await save(database, "two")
    with pytest.raises(ChangedMeanwhile, match="version 2 of sale was saved after version 1"):
        await database.write(lambda connection: templates.remove(connection, "sale", 1))
    assert await database.write(lambda connection: templates.remove(connection, "sale", 2))
    assert not await database.write(lambda connection: templates.remove(connection, "sale", None))
    assert await history(database) == []
    assert await database.ask(lambda connection: templates.get(connection, "sale")) is None
    with pytest.raises(ChangedMeanwhile, match="was deleted by somebody else"):
        await save(database, "three", 2)
    assert await save(database, "two", 0) == 3
    assert await history(database) == [(3, "two")]


async def test_pages_are_in_order(database: Database) -> None:
    for name in ("b", "a", "C"):
        await save(database, "one", name=name)
    await save(database, "two", name="b")
    found = await database.ask(lambda connection: templates.page(connection, None, 2))
    assert [(each.name, each.version) for each in found] == [("C", 1), ("a", 1)]
    found = await database.ask(lambda connection: templates.page(connection, "a", 2))
    assert [(each.name, each.version, each.newest, each.title) for each in found] == [("b", 2, 2, "two")]
