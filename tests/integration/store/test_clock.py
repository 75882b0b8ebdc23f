"""The store's clock, by which machines whose own ones are wrong agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreUnavailable
from stentor.store.clock import StoreClock
from stentor.store.database import Database

T = TypeVar("T")
NEAR = 30.0
"""Seconds that a busy machine may take for a test."""


@pytest.mark.parametrize("ahead", [-86_400.0, 0.0, 3600.0])
async def test_a_machine_whose_clock_is_wrong_goes_by_the_store(ahead: float, postgres: str) -> None:
    database = Database.open(postgres)
    clock = StoreClock(database, lambda: time.time() + ahead)
    async with clock.kept():
        assert abs(clock() - time.time()) < NEAR
    await database.aclose()


async def test_with_sqlite_the_machine_is_right(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 's.db'}")
    clock = StoreClock(database, lambda: 5.0)
    async with clock.kept():
        assert clock() == 5.0
    await database.aclose()


async def test_an_answer_that_took_long_says_nothing(postgres: str) -> None:
    database = Database.open(postgres)
    times = iter([5.0, 7.0, 10.0])
    clock = StoreClock(database, lambda: next(times))
    await clock.measure()
    assert clock() == 10.0
    await database.aclose()


class AwayDatabase(Database):
    """Cannot be reached at all."""

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        raise StoreUnavailable


async def test_while_the_store_is_away_the_machine_is_right(postgres: str) -> None:
    database = AwayDatabase.open(postgres)
    clock = StoreClock(database, lambda: 5.0)
    async with clock.kept():
        await asyncio.sleep(0)
        assert clock() == 5.0
    await database.aclose()
