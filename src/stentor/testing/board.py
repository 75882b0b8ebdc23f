"""The suite that every board must pass: derive a class from `BoardContract` and give it its fixtures.

    class TestMine(BoardContract):
        @pytest.fixture
        async def board(self) -> AsyncIterator[Board]: ...

`board` and `other_board` are two instances on the same backend, as two processes have them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stentor.pace.board import NO_REVISION, Board

LANE = "apns/ios"
OTHER_LANE = "fcm/android"
WRITERS = 8
"""Senders that change one document at the same time."""


class MemoryBoard:
    """`Board` for tests that need no database: one in this process."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[bytes, int]] = {}
        self.reads = 0
        self.writes = 0

    async def read(self, lane: str) -> tuple[bytes | None, int]:
        self.reads += 1
        return self._documents.get(lane, (None, NO_REVISION))

    async def write(self, lane: str, document: bytes, revision: int) -> bool:
        if self._documents.get(lane, (None, NO_REVISION))[1] != revision:
            return False
        self.writes += 1
        self._documents[lane] = (document, revision + 1)
        return True


class BoardContract:
    """What `pace.board.Board` promises, sentence by sentence."""

    @pytest.fixture
    def board(self) -> Any:
        raise NotImplementedError("give the suite a board: override this fixture")

    @pytest.fixture
    def other_board(self, board: Board) -> Any:
        raise NotImplementedError("give the suite a second instance on the same backend: override this fixture")

    async def test_there_is_no_document_at_first(self, board: Board) -> None:
        assert await board.read(LANE) == (None, NO_REVISION)

    async def test_what_was_written_is_read_elsewhere_at_once(self, board: Board, other_board: Board) -> None:
        for number in range(3):
            document = bytes(range(256)) * 32 + bytes([number])
            _, revision = await board.read(LANE)
            assert await board.write(LANE, document, revision)
            assert (await other_board.read(LANE))[0] == document

    async def test_each_change_has_a_revision_of_its_own(self, board: Board) -> None:
        seen = {NO_REVISION}
        for _ in range(5):
            _, revision = await board.read(LANE)
            assert await board.write(LANE, b"the same", revision)
            _, revision = await board.read(LANE)
            assert revision not in seen
            seen.add(revision)

    async def test_who_read_an_older_one_changes_nothing(self, board: Board, other_board: Board) -> None:
        assert await board.write(LANE, b"first", NO_REVISION)
        _, revision = await other_board.read(LANE)
        assert await board.write(LANE, b"second", revision)
        assert not await other_board.write(LANE, b"late", revision)
        assert (await board.read(LANE))[0] == b"second"

    async def test_only_one_writes_the_first(self, board: Board, other_board: Board) -> None:
        assert await board.write(LANE, b"first", NO_REVISION)
        assert not await other_board.write(LANE, b"late", NO_REVISION)
        assert not await board.write(LANE, b"late", NO_REVISION)
        assert (await board.read(LANE))[0] == b"first"

    async def test_a_revision_that_never_was_changes_nothing(self, board: Board) -> None:
        assert not await board.write(LANE, b"lost", 12345)
        assert await board.read(LANE) == (None, NO_REVISION)

    async def test_each_lane_has_its_own(self, board: Board) -> None:
        assert await board.write(LANE, b"one", NO_REVISION)
        assert await board.read(OTHER_LANE) == (None, NO_REVISION)
        assert await board.write(OTHER_LANE, b"other", NO_REVISION)
        assert (await board.read(LANE))[0] == b"one"

    async def test_no_change_is_lost_among_many_writers(self, board: Board, other_board: Board) -> None:
        async def add(where: Board) -> None:
            while True:
                document, revision = await where.read(LANE)
                if await where.write(LANE, b"%d" % (int(document or 0) + 1), revision):
                    return

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(add((board, other_board)[number % 2]))
        assert (await board.read(LANE))[0] == b"%d" % WRITERS
