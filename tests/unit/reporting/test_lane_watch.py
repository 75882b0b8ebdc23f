"""When a lane counts as stopped, and when as sending again."""

from __future__ import annotations

import random

from stentor.reporting.lane_watch import LONGEST_STEP, LaneWatch, Standing

AFTER = 60.0


def changes(
    states: list[bool], watch: LaneWatch, start: float = 0.0, step: float = 1.0
) -> list[tuple[float, Standing]]:
    """What it says when that changes, told a state (whether it is stopped) each step."""
    said: list[tuple[float, Standing]] = []
    for number, stopped in enumerate(states):
        found = watch.note(start + number * step, stopped=stopped)
        if found is not Standing.UNDECIDED and (not said or said[-1][1] is not found):
            said.append((start + number * step, found))
    return said


def test_one_that_stops_for_long_and_sends_for_long() -> None:
    watch = LaneWatch(AFTER)
    assert changes([True] * 200 + [False] * 100, watch) == [(60.0, Standing.STOPPED), (260.0, Standing.SENDING)]


def test_a_moment_is_no_alarm() -> None:
    assert changes([True] * 30 + [False] * 100, LaneWatch(AFTER)) == [(90.0, Standing.SENDING)]


def test_one_that_flaps_is_one_alarm() -> None:
    flapping = ([True] * 20 + [False] * 20) * 50
    said = changes(flapping + [False] * 100, LaneWatch(AFTER))
    assert [standing for _, standing in said] == [Standing.STOPPED, Standing.SENDING]


def test_however_it_flaps_there_is_one_alarm() -> None:
    """As long as it never sends for as long as ends an alarm."""
    dice = random.Random(7)
    for _ in range(50):
        spells = [[number % 2 == 0] * dice.randint(1, int(AFTER)) for number in range(101)]
        said = changes([state for spell in spells for state in spell], LaneWatch(AFTER))
        assert [standing for _, standing in said] == [Standing.STOPPED]


def test_a_gap_in_which_nobody_looked_says_little() -> None:
    watch = LaneWatch(AFTER)
    watch.note(0.0, stopped=True)
    assert watch.note(10_000.0, stopped=True) is Standing.UNDECIDED
    assert changes([True] * 60, watch, 10_001.0) == [(10_001.0 + AFTER - LONGEST_STEP - 1, Standing.STOPPED)]
