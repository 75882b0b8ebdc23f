"""Blocking twins: each call is run to its end, and what an iterator holds is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest

from stentor.twin import Twin, blocking, iterating, refuse_within_a_loop


class Counter:
    """Counts, asynchronously."""

    def __init__(self) -> None:
        self.closed = 0

    async def double(self, number: int, *, plus: int = 0) -> int:
        """Twice as much."""
        await asyncio.sleep(0)
        return number * 2 + plus

    async def count(self, upto: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(upto):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            self.closed += 1


class BlockingCounter(Twin[Counter]):
    double = blocking(Counter.double)
    count = iterating(Counter.count)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as found:
        yield found


def test_a_twin_does_the_same(runner: asyncio.Runner) -> None:
    twin = BlockingCounter(Counter(), runner)
    assert twin.double(2, plus=1) == 5
    assert list(twin.count(3)) == [0, 1, 2]
    assert BlockingCounter.double.__doc__ == "Twice as much."


def test_an_iterator_that_nobody_reads_on_is_closed(runner: asyncio.Runner) -> None:
    part = Counter()
    twin = BlockingCounter(part, runner)
    for number in twin.count(3):
        if number == 1:
            break
    assert part.closed == 1
    left = iter(twin.count(3))
    assert next(left) == 0
    runner.close()
    del left
    assert part.closed == 2


async def test_a_loop_is_not_held_up() -> None:
    with pytest.raises(RuntimeError, match="use A there, not B"):
        refuse_within_a_loop("A", "B")
