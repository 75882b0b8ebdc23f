"""The documents in JetStream: the suite of `pace.board.Board`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stentor.config import QueueConfig
from stentor.pace.board import Board
from stentor.queue.boards import JetStreamBoard
from stentor.queue.nats import Nats
from stentor.queue.streams import Streams
from stentor.testing.board import BoardContract


@asynccontextmanager
async def open_board(url: str, name: str) -> AsyncIterator[JetStreamBoard]:
    nats = Nats(QueueConfig(url=url))
    try:
        yield JetStreamBoard(nats, Streams(nats, name, 1))
    finally:
        await nats.aclose()


class TestJetStreamBoard(BoardContract):
    @pytest.fixture
    async def board(self, nats_url: str, queue_name: str) -> AsyncIterator[Board]:
        async with open_board(nats_url, queue_name) as board:
            yield board

    @pytest.fixture
    async def other_board(self, nats_url: str, queue_name: str, board: Board) -> AsyncIterator[Board]:
        async with open_board(nats_url, queue_name) as other:
            yield other
