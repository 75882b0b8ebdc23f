"""Frequency caps: as people write them, and what is refused."""

from __future__ import annotations

import pytest

from stentor.caps import DAY, Cap, read_cap, read_caps, read_category


@pytest.mark.parametrize(
    ("said", "cap"),
    [
        ("3 in 24h", Cap(3, rolling="24h")),
        ("1 in 90m", Cap(1, rolling="90m")),
        ("10 in 7d of News", Cap(10, rolling="7d", category="news")),
        ("1 a day", Cap(1, calendar="day")),
        ("5 per week", Cap(5, calendar="week")),
        ("  2  a  DAY of flash-sales ", Cap(2, calendar="day", category="flash-sales")),
    ],
)
def test_a_cap_is_read_as_it_is_written(said: str, cap: Cap) -> None:
    assert read_cap(said) == cap
    assert read_cap(str(cap)) == cap


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("0 a day", "leave the cap out"),
        ("0 in 24h of news", "leave the cap out"),
        ("5000 a day", "leave the cap out"),
        ("three a day", 'write it as "3 in 24h"'),
        ("3 in 24", 'write it as "3 in 24h"'),
        ("3 a month", 'write it as "3 in 24h"'),
        ("3 in 0h", "at least a minute"),
        ("3 in 32d", "at most 31 days"),
        ("3 a day of all", "no category can have this name"),
        ("3 a day of böse", "cannot be the name of a category"),
    ],
)
def test_what_is_no_cap_is_refused_with_a_way_out(said: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_cap(said)


def test_a_cap_is_there_once() -> None:
    assert read_caps(["1 a day", "1 per day", "2 a day"]) == (Cap(1, calendar="day"), Cap(2, calendar="day"))


def test_it_looks_back_over_a_day_of_25_hours() -> None:
    assert read_cap("1 a day").seconds == DAY + 3600
    assert read_cap("1 in 24h").seconds == DAY


def test_capital_letters_of_a_category_don_t_matter() -> None:
    assert read_category(" News ") == "news"
