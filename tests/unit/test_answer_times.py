"""How long answers take: counted by bands, over the last looks, and added up over processes."""

from __future__ import annotations

import random

import pytest

from stentor.answer_times import BANDS, SHORTEST, AnswerTimes, LatelyTimed, figures


def counted(*seconds: float) -> dict[int, int]:
    times = AnswerTimes()
    for each in seconds:
        times.note(each)
    return {band: many for band, many in enumerate(times.counts) if many}


@pytest.mark.parametrize("seconds", [0.0005, 0.033, 0.12, 1.0, 29.5])
def test_a_figure_is_within_five_percent(seconds: float) -> None:
    found = figures(counted(seconds))
    assert found is not None
    assert found.timed == 1
    assert found.median == pytest.approx(seconds, rel=0.05)
    assert found.slowest == found.median


def test_half_and_nearly_all_of_the_answers() -> None:
    many = [random.Random(7).uniform(0.02, 0.04) for _ in range(980)] + [2.0] * 20
    found = figures(counted(*many))
    assert found is not None
    assert found.timed == 1000
    assert found.median == pytest.approx(sorted(many)[499], rel=0.06)
    assert found.slowest == pytest.approx(2.0, rel=0.05)


def test_what_several_processes_timed_is_added_up() -> None:
    """A median of medians would say 0.01 here."""
    found = figures(counted(0.01, 0.01), counted(0.01), counted(*[1.0] * 10), {})
    assert found is not None
    assert found.timed == 13
    assert found.median == pytest.approx(1.0, rel=0.05)


def test_where_nothing_was_timed_there_are_no_figures() -> None:
    assert figures() is None
    assert figures({}, {}) is None


@pytest.mark.parametrize(("seconds", "band"), [(-1.0, 0), (0.0, 0), (SHORTEST, 0), (3600.0, BANDS - 1)])
def test_what_is_out_of_all_bands_is_in_the_nearest(seconds: float, band: int) -> None:
    assert counted(seconds) == {band: 1}


def test_only_what_was_counted_lately_is_told() -> None:
    times = AnswerTimes()
    times.note(0.5)
    lately = LatelyTimed(times, looks=3)
    assert lately.look() == {}, "it was before"
    times.note(0.01)
    [band] = found = lately.look()
    assert found == {band: 1}
    times.note(0.01)
    assert lately.look() == {band: 2}
    assert lately.look() == {band: 2}
    assert lately.look() == {band: 1}, "the first of them was four looks ago"
    assert lately.look() == {}
