"""What is away is logged once when it goes and once when it is back, by a clock that only these tests move."""

from __future__ import annotations

import logging

import pytest

from stentor.absence import AFTER, Absence


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.absence = Absence("the database", logging.getLogger("stentor.test"), lambda: self.now)

    def note(self, problem: str | None, *, after: float = 0.0) -> None:
        self.now += after
        self.absence.note(problem)


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO)
    return World()


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_what_stays_away_is_told_once_and_so_is_its_return(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.note("It cannot be reached.")
    for _ in range(10):
        world.note("It cannot be reached.", after=AFTER)
    world.note(None, after=AFTER)
    world.note(None)
    assert told(caplog) == [("WARNING", "It cannot be reached."), ("INFO", "The database answers again, after 11 s")]


def test_each_time_that_it_goes_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        world.note("It cannot be reached.")
        world.note("It cannot be reached.", after=AFTER)
        world.note(None)
    assert len(told(caplog)) == 4


def test_a_moment_is_no_absence(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        world.note("It is locked.")
        world.note("It is locked.", after=AFTER / 2)
        world.note(None, after=AFTER)
    assert told(caplog) == []
