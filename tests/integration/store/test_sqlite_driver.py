"""The SQLite connections: results of any size, in one go or in parts, a debug log without values, and an end."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stentor.store.sqlite_driver import ROWS_AT_ONCE, SqliteConnection, connect

SECRET = "hunter2-hunter2"


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[SqliteConnection]:
    connection = await connect(str(tmp_path / "some.db"), busy_timeout=0.1, make=True)
    cursor = connection.cursor()
    await cursor.execute("CREATE TABLE numbers (n INTEGER)")
    yield connection
    await connection.close()


async def fill(connection: SqliteConnection, rows: int) -> None:
    cursor = connection.cursor()
    await cursor.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(rows)])
    assert cursor.rowcount == rows
    assert cursor.description is None


async def test_a_file_that_is_there_is_not_closed_beneath_its_connections(
    connection: SqliteConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX: whoever closes a file gives up all locks that the process has on it."""
    closed: list[int] = []
    monkeypatch.setattr(os, "close", closed.append)
    for make in (True, False):
        await (await connect(str(tmp_path / "some.db"), busy_timeout=0.1, make=make)).close()
    assert closed == []


@pytest.mark.parametrize("rows", [0, 1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE])
async def test_every_row_comes_once_and_in_order(connection: SqliteConnection, rows: int) -> None:
    await fill(connection, rows)
    expected = [(n,) for n in range(rows)]

    cursor = connection.cursor()
    await cursor.execute("SELECT n FROM numbers ORDER BY n")
    assert cursor.description[0][0] == "n"
    assert await cursor.fetchall() == expected
    assert await cursor.fetchall() == []

    await cursor.execute("SELECT n FROM numbers ORDER BY n")
    parts = [await cursor.fetchone()] if rows else []
    while part := await cursor.fetchmany(100):
        assert len(part) <= 100
        parts += part
    assert parts == expected
    assert await cursor.fetchone() is None
    await cursor.close()


async def test_a_cursor_closed_early_holds_nothing_up(connection: SqliteConnection) -> None:
    await fill(connection, 2 * ROWS_AT_ONCE)
    cursor = connection.cursor()
    await cursor.execute("SELECT n FROM numbers")
    await cursor.close()
    await cursor.close()
    await connection.cursor().execute("DROP TABLE numbers")  # refused while a statement reads it


async def test_a_wrong_statement_says_so_and_does_no_harm(connection: SqliteConnection) -> None:
    cursor = connection.cursor()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await cursor.execute("SELECT * FROM letters")
    await cursor.execute("SELECT 5")
    assert await cursor.fetchone() == (5,)


async def test_a_closing_that_is_cancelled_ends_though_somebody_stopped_the_connection_first(
    connection: SqliteConnection,
) -> None:
    go_on = threading.Event()
    busy = asyncio.ensure_future(connection.run(go_on.wait))
    closing = asyncio.ensure_future(connection.close())
    await asyncio.sleep(0)
    closing.cancel()
    connection.stop()
    go_on.set()
    assert await busy
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(30):
            await closing
    assert closing.cancelled()


async def test_values_are_not_logged(connection: SqliteConnection, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await connection.cursor().execute("INSERT INTO numbers VALUES (?)", (SECRET,))
    assert caplog.records
    assert SECRET not in caplog.text
