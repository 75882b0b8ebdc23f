"""The picture of a campaign's rate: bounded memory, and a line that says what was seen."""

from __future__ import annotations

import re

import pytest

from stentor.dashboard.rate_chart import HEIGHT, MOST, WIDTH, RateHistory, rate_chart, rounded_up


def test_a_steady_rate_is_a_flat_line() -> None:
    history = RateHistory()
    for second in range(20):
        history.add(1000.0 + second, 500 * second)
    chart = rate_chart(history.rates)
    assert chart is not None
    assert (chart.latest, chart.highest, chart.top) == (500, 500, 500)
    assert (chart.begins, chart.ends) == (1000.0, 1019.0)
    assert {each.split(",")[1] for each in re.findall(r"[\d.]+,[\d.]+", chart.line)} == {"0.0"}


def test_memory_is_bounded_however_long_it_takes() -> None:
    history = RateHistory()
    for quarter in range(400_000):
        history.add(quarter / 4, 100 * quarter)
    assert len(history) <= MOST
    rates = history.rates
    assert (rates[0][0], rates[-1][1]) == (0.0, 399_999 / 4)
    assert {round(rate, 6) for _, _, rate in rates} == {400}


def test_what_lies_between_two_points_is_counted_once() -> None:
    """The areas of all rates are all that were answered, whatever was left out on the way."""
    history = RateHistory()
    for second in range(1000):
        history.add(second, second * second)
    assert round(sum((until - since) * rate for since, until, rate in history.rates)) == 999 * 999


def test_moments_that_come_faster_than_a_second_make_one_point() -> None:
    history = RateHistory()
    for tenth in range(50):
        history.add(tenth / 10, tenth)
    assert len(history) <= 7


def test_too_little_is_no_picture() -> None:
    history = RateHistory()
    assert rate_chart(history.rates) is None
    history.add(1, 0)
    history.add(2, 10)
    assert rate_chart(history.rates) is None


def test_the_line_stays_within_the_picture() -> None:
    chart = rate_chart([(0.0, 1.0, 0.0), (1.0, 2.0, 730.0), (2.0, 3.0, 10.0)])
    assert chart is not None
    assert chart.top == 1000
    for x, y in re.findall(r"([\d.]+),([\d.]+)", chart.area):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (1.5, 2), (3, 5), (7, 10), (10, 10), (1234, 2000)])
def test_the_upper_edge_is_a_round_number(value: float, top: float) -> None:
    assert rounded_up(value) == pytest.approx(top)
