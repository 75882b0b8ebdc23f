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
    clock = StoreClock(database, lambda: 5.0, lambda: 100.0)
    async with clock.kept():
        assert clock() == 5.0
    await database.aclose()


@pytest.mark.parametrize("step", [-3600.0, -1.0, 40.0, 3600.0])
async def test_a_step_of_the_machines_clock_moves_nothing(step: float, postgres: str) -> None:
    """Nor does it with SQLite, until it is read again."""
    machine = [1000.0]
    passed = [50.0]
    database = Database.open(postgres)
    clock = StoreClock(database, lambda: machine[0], lambda: passed[0])
    async with clock.kept():
        before = clock()
        machine[0] += step
        passed[0] += 7.0
        assert clock() == pytest.approx(before + 7.0)
        await clock.measure()
        assert abs(clock() - time.time()) < NEAR
    await database.aclose()


async def test_with_sqlite_a_set_clock_is_followed_when_it_is_read(tmp_path: Path) -> None:
    machine = [1000.0]
    database = Database.open(f"sqlite:///{tmp_path / 's.db'}")
    clock = StoreClock(database, lambda: machine[0], lambda: 0.0)
    machine[0] += 40.0
    assert clock() == 1000.0
    await clock.measure()
    assert clock() == 1040.0
    await database.aclose()


async def test_an_answer_that_took_long_says_nothing(postgres: str) -> None:
    database = Database.open(postgres)
    times = iter([0.0, 5.0, 7.0, 10.0])
    clock = StoreClock(database, lambda: 1.0, lambda: next(times))
    await clock.measure()
    assert clock() == 11.0
    await database.aclose()


class AwayDatabase(Database):
    """Cannot be reached at all."""

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        raise StoreUnavailable


async def test_while_the_store_is_away_the_machine_is_right(postgres: str) -> None:
    database = AwayDatabase.open(postgres)
    clock = StoreClock(database, lambda: 5.0, lambda: 100.0)
    async with clock.kept():
        await asyncio.sleep(0)
        assert clock() == 5.0
    await database.aclose()
