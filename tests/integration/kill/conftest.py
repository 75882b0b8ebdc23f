"""Stores to copy, and processes to kill."""

from __future__ import annotations

import asyncio
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing import roles


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    return roles.context()


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all tables and nothing in them: copying it is quicker than making another."""
    path = tmp_path_factory.mktemp("blank") / "blank.db"

    async def make() -> None:
        database = Database.open(f"sqlite:///{path}")
        await migrate(database)
        await database.aclose()

    asyncio.run(make())
    return path
