"""A campaign's throttle: shared by all who send of it, kept while it is used, and never more begun than can be sent."""

from __future__ import annotations

import asyncio

import pytest

from stentor.pace import throttles
from stentor.pace.pacing import decode_sheet
from stentor.pace.throttles import Throttles
from stentor.testing.board import MemoryBoard


class FlightDouble:
    def __init__(self, unsent: int) -> None:
        self.unsent = unsent


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard()


async def claims(board: MemoryBoard, campaign: str = "c1") -> int:
    document, _ = await board.read(f"campaign/{campaign}")
    return len(decode_sheet(document).claims)


async def until_usable(found: throttles.Throttle) -> None:
    while not found.budget.rate:  # noqa: ASYNC110 - a budget has no event for it
        await asyncio.sleep(0.001)


async def test_lanes_of_a_process_share_it_and_processes_divide_it(board: MemoryBoard) -> None:
    here, there = Throttles(board), Throttles(board)
    running = [asyncio.create_task(each.run()) for each in (here, there)]
    await asyncio.sleep(0)
    mine = here.of("campaign/c1", 50.0)
    assert here.of("campaign/c1", 50.0) is mine
    assert here.of("campaign/c2", 7.0) is not mine
    await until_usable(mine)
    other = there.of("campaign/c1", 50.0)
    await until_usable(other)
    assert mine.budget.rate + other.budget.rate <= 50.0
    assert await claims(board) == 2
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert await claims(board) == 0
    assert (len(here), len(there)) == (0, 0)


async def test_no_more_is_begun_than_can_be_sent_soon(board: MemoryBoard) -> None:
    kept = Throttles(board)
    running = asyncio.create_task(kept.run())
    await asyncio.sleep(0)
    found = kept.of("campaign/c1", 100.0)
    await until_usable(found)
    flight = FlightDouble(1000)
    assert found.wait("apns/ios") == 0.0
    with found.line(flight, "apns/ios"):
        assert found.unsent == 1000
        assert found.wait("apns/ios") == pytest.approx(1000 / 100 - throttles.AHEAD)
        assert found.wait("fcm/android") == 0.0, "it may be able to send while the other lane is not"
        flight.unsent = 150
        assert found.wait("apns/ios") == 0.0
    assert (found.unsent, found.wait("apns/ios")) == (0, 0.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_not_used_any_more_is_given_back(board: MemoryBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles, "LOOK", 0.01)
    monkeypatch.setattr(throttles, "KEPT", 0.05)
    kept = Throttles(board)
    running = asyncio.create_task(kept.run())
    await asyncio.sleep(0)
    found = kept.of("campaign/c1", 100.0)
    await until_usable(found)
    with found.line(FlightDouble(10), "apns/ios"):
        await asyncio.sleep(0.1)  # longer than it is kept
        assert len(kept) == 1
    while len(kept):  # noqa: ASYNC110 - it is the time that says so
        await asyncio.sleep(0.01)
    assert await claims(board) == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
