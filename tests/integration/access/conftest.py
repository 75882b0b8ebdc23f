"""A store with the room's parts on it, on SQLite and once more on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stentor.store.database import Database
from stentor.store.tables import METADATA
from tests.integration.access.house import House


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url)
    await database.write(lambda connection: connection.run_sync(METADATA.create_all))
    yield database
    await database.aclose()


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    house = House(database)
    yield house
    await house.aclose()
