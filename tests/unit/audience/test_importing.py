"""Rows into the registry: how many transactions at a time, and what is counted where one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stentor.audience import importing
from stentor.audience.importing import ImportResult, Remark, take_in
from stentor.audience.json_lines import Read
from stentor.audience.registry import Registered, Registration
from stentor.audience.rows import ColumnMapping, RowReader
from stentor.errors import StoreUnavailable
from stentor.store.database import POSTGRESQL, SQLITE


class Registry:
    """A database that takes lots of rows when the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
        self.dialect = dialect
        self.lots: list[tuple[str, ...]] = []
        """The ids of each lot, as its transaction began."""
        self.answers: list[asyncio.Future[None]] = []
        monkeypatch.setattr(importing, "register", self._register)

    async def _register(self, database: object, rows: Sequence[Registration]) -> Registered:
        assert database is self
        if not rows:
            return Registered()
        self.lots.append(tuple(row.id for row in rows))
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return Registered(added=len(rows))


class Taking:
    """Lots of rows on their way into a registry."""

    def __init__(self, registry: Registry, *lots: str) -> None:
        self.counted: list[tuple[int, int]] = []
        """After each transaction, the line up to which all is written, and how many were added."""
        reader = RowReader(ColumnMapping(channel="apns"), frozenset({"apns"}))
        database: Any = registry
        taking = take_in(self._rows(lots), reader, database, self._tell, self._progress)
        self.task = asyncio.ensure_future(taking)

    async def _rows(self, lots: Sequence[str]) -> AsyncIterator[list[Read]]:
        """A row for each letter, which is its id."""
        line = 0
        for lot in lots:
            rows = []
            for name in lot:
                line += 1
                rows.append(Read(line, {"id": name, "address": f"{ord(name):064x}"}))
            yield rows

    async def _tell(self, remarks: Sequence[Remark]) -> None:
        """Nothing is wrong with these rows, but that some come twice."""

    def _progress(self, result: ImportResult) -> None:
        self.counted.append((result.lines, result.registered.added))


async def rest() -> None:
    """Until nothing moves any more by itself."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_two_transactions_at_a_time_are_counted_in_the_order_of_the_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry(monkeypatch, POSTGRESQL)
    taking = Taking(registry, "ab", "cd", "ef")
    await rest()
    assert registry.lots == [("a", "b"), ("c", "d")]
    registry.answers[1].set_result(None)
    await rest()
    assert taking.counted == []  # what comes before it is not written yet
    registry.answers[0].set_result(None)
    await rest()
    assert taking.counted == [(2, 2), (4, 4)]
    registry.answers[2].set_result(None)
    assert (await taking.task).registered.added == 6


async def test_sqlite_takes_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(monkeypatch, SQLITE)
    taking = Taking(registry, "ab", "cd")
    await rest()
    assert registry.lots == [("a", "b")]
    registry.answers[0].set_result(None)
    await rest()
    registry.answers[1].set_result(None)
    assert (await taking.task).registered.added == 4


async def test_what_overrules_an_earlier_row_waits_until_that_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(monkeypatch, POSTGRESQL)
    taking = Taking(registry, "ab", "ac")
    await rest()
    assert registry.lots == [("a", "b")]
    registry.answers[0].set_result(None)
    await rest()
    assert registry.lots == [("a", "b"), ("c",)]
    registry.answers[1].set_result(None)
    await rest()
    assert registry.lots[2:] == [("a",)]
    registry.answers[2].set_result(None)
    assert (await taking.task).duplicates == 1


async def test_what_comes_after_a_transaction_that_failed_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(monkeypatch, POSTGRESQL)
    taking = Taking(registry, "ab", "cd", "ef")
    await rest()
    registry.answers[1].set_result(None)
    registry.answers[0].set_exception(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await taking.task
    assert taking.counted == []
    assert len(registry.lots) == 2


async def test_whoever_stops_it_ends_both(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(monkeypatch, POSTGRESQL)
    taking = Taking(registry, "ab", "cd", "ef")
    await rest()
    taking.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking.task
    assert all(each.cancelled() for each in registry.answers)
