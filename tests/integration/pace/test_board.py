"""The board on a real SQLite and PostgreSQL, and the one in memory that other tests use: the contract's suite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stentor.errors import StoreUnavailable
from stentor.pace.board import NO_REVISION, Board, SqlBoard
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.board import LANE, BoardContract, MemoryBoard
from stentor.testing.postgres import Postgres


class TestSqlBoard(BoardContract):
    @pytest.fixture
    async def board(self, database_url: str) -> AsyncIterator[Board]:
        database = Database.open(database_url)
        await migrate(database)
        yield SqlBoard(database)
        await database.aclose()

    @pytest.fixture
    async def other_board(self, database_url: str, board: Board) -> AsyncIterator[Board]:
        database = Database.open(database_url)
        yield SqlBoard(database)
        await database.aclose()


class TestMemoryBoard(BoardContract):
    @pytest.fixture
    def board(self) -> Board:
        return MemoryBoard()

    @pytest.fixture
    def other_board(self, board: Board) -> Board:
        return board


async def test_a_database_that_is_gone_is_trouble_that_passes(postgres_server: Postgres, postgres: str) -> None:
    database = Database.open(postgres, patience=0.1)
    board = SqlBoard(database)
    try:
        await migrate(database)
        assert await board.write(LANE, b"before", NO_REVISION)
        postgres_server.stop()
        try:
            with pytest.raises(StoreUnavailable):
                await board.read(LANE)
            with pytest.raises(StoreUnavailable):
                await board.write(LANE, b"after", 1)
        finally:
            postgres_server.start()
        assert (await board.read(LANE))[0] == b"before"
        assert "password" not in repr(board)
    finally:
        await database.aclose()
