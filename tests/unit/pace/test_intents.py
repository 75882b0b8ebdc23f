"""Who is about to be sent goes on record first, and not far ahead."""

from __future__ import annotations

import asyncio
import gc

import pytest

from stentor.errors import StoreUnavailable
from stentor.pace.intents import AHEAD, Intents

RATE = 3 / AHEAD


class Record:
    def __init__(self) -> None:
        self.noted: list[tuple[int, int]] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.away = False

    async def note(self, start: int, stop: int) -> None:
        await self.is_open.wait()
        if self.away:
            raise StoreUnavailable
        self.noted.append((start, stop))


@pytest.fixture
async def record() -> Record:
    return Record()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_next_ones_are_on_record_when_their_turn_comes(record: Record) -> None:
    intents = Intents(8, record.note)
    await intents.cover(1, RATE)
    assert record.noted == [(0, 1)]
    await settle()
    assert record.noted == [(0, 1), (1, 4)]
    record.is_open.clear()
    await intents.cover(4, RATE)  # at once
    record.is_open.set()
    await settle()
    await intents.cover(8, RATE)
    await settle()
    assert record.noted == [(0, 1), (1, 4), (4, 7), (7, 8)]


async def test_nobody_is_covered_before_the_record_is_made(record: Record) -> None:
    record.is_open.clear()
    covered = asyncio.create_task(Intents(8, record.note).cover(2, RATE))
    await settle()
    assert not covered.done()
    record.is_open.set()
    await covered
    assert record.noted[0] == (0, 2)


async def test_what_cannot_be_recorded_is_not_covered_and_can_be_tried_again(record: Record) -> None:
    intents = Intents(8, record.note)
    record.away = True
    with pytest.raises(StoreUnavailable):
        await intents.cover(2, RATE)
    record.away = False
    await intents.cover(2, RATE)
    assert record.noted[0] == (0, 2)


async def test_a_record_ahead_that_fails_is_made_when_it_is_needed(record: Record) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    intents = Intents(8, record.note)
    await intents.cover(2, RATE)
    record.away = True
    await settle()
    record.away = False
    await intents.cover(4, RATE)
    assert record.noted == [(0, 2), (2, 4)]
    gc.collect()
    assert complaints == []


async def test_when_it_is_closed_nothing_more_is_recorded(record: Record) -> None:
    intents = Intents(8, record.note)
    await intents.cover(2, RATE)
    record.is_open.clear()
    await settle()
    await intents.aclose()
    record.is_open.set()
    await settle()
    assert record.noted == [(0, 2)]
