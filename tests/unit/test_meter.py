"""The meter: every moment is on exactly one stage's account, whoever waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from stentor.meter import Meter


class Clock:
    """CPU time that passes only when somebody works."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


def test_stages_nest_and_add_up() -> None:
    clock = Clock()
    meter = Meter("rest", clock)
    clock.work(1)
    with meter.stage("outer"):
        clock.work(2)
        with meter.stage("inner"):
            clock.work(4)
        clock.work(8)
    clock.work(16)
    assert meter.seconds == {"rest": 17, "outer": 10, "inner": 4}


def test_an_error_ends_its_stage() -> None:
    clock = Clock()
    meter = Meter("rest", clock)

    def fail() -> None:
        with meter.stage("outer"):
            clock.work(2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    clock.work(1)
    assert meter.seconds == {"rest": 1, "outer": 2}


async def test_who_waits_is_charged_nothing() -> None:
    clock = Clock()
    meter = Meter("rest", clock)
    go = asyncio.Event()

    async def work() -> str:
        clock.work(1)
        await go.wait()
        clock.work(2)
        with meter.stage("inner"):
            clock.work(4)
        return "done"

    task = asyncio.create_task(meter.during("work", work()))
    await asyncio.sleep(0)
    clock.work(8)
    go.set()
    assert await task == "done"
    assert meter.seconds == {"rest": 8, "work": 3, "inner": 4}


async def test_a_cancellation_reaches_the_work() -> None:
    clock = Clock()
    meter = Meter("rest", clock)
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            clock.work(2)

    task = asyncio.create_task(meter.during("work", work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    clock.work(1)
    assert meter.seconds == {"rest": 1, "work": 2}


async def test_what_the_work_waits_for_may_fail() -> None:
    meter = Meter()
    waited = asyncio.get_running_loop().create_future()

    async def work() -> str:
        try:
            await waited
        except KeyError:
            return "caught"
        return "missed"

    task = asyncio.create_task(meter.during("work", work()))
    await asyncio.sleep(0)
    waited.set_exception(KeyError("x"))
    assert await task == "caught"
