"""Wall times and instants, in all zones and over a year's changes of clocks, as another library has them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
import whenever

from stentor.planning.timing.wall import bound, instant, shown
from stentor.zones import names, zone_of

ALL = int(os.environ.get("STENTOR_FUZZ_CASES", "0")) > 1000
YEAR = 2026
OF_NOTE = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Casablanca",  # back for Ramadan
    "Antarctica/Troll",  # by two hours
    "America/Havana",  # at midnight
    "America/Santiago",  # likewise, to the day before
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "America/St_Johns",
    "Europe/Dublin",  # whose winter time is the exception
    "UTC",
    "Etc/GMT-14",
)
ZONES = names() if ALL else [*OF_NOTE, *random.Random(1302).sample(names(), 40)]


@pytest.fixture(autouse=True, scope="module")
def the_same_data() -> Iterator[None]:
    """The other library reads the machine's own zones first, which may be older or newer."""
    before = whenever.get_tzpath()
    whenever.reset_tzpath(())
    yield
    whenever.reset_tzpath(before)


def zone(name: str) -> tzinfo:
    found = zone_of(name)
    assert found is not None
    return found


def theirs(wall: datetime, name: str) -> float:
    return whenever.PlainDateTime(wall).assume_tz(name, disambiguation="compatible").timestamp()


def changes(name: str, year: int) -> list[int]:
    """The instants of a year at which a zone's clocks change."""
    begin, end = (int(datetime(each, 1, 1, tzinfo=UTC).timestamp()) for each in (year, year + 1))

    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at, zone(name)).utcoffset()

    found = []
    for day in range(begin, end, 86_400):
        before, after = day, day + 86_400
        if offset(before) == offset(after):
            continue
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if offset(middle) == offset(before) else (before, middle)
        found.append(after)
    return found


@pytest.mark.parametrize("name", ZONES)
def test_a_years_wall_times_are_as_another_library_has_them(name: str) -> None:
    place = zone(name)
    walls = [datetime(YEAR, 1, 1, 18) + timedelta(hours=37 * number) for number in range(240)]
    for change in changes(name, YEAR):
        around = shown(change, place)
        walls += [around + timedelta(minutes=minutes) for minutes in range(-150, 151, 10)]
    for wall in walls:
        assert instant(wall, place) == theirs(wall, name), wall


@pytest.mark.parametrize("name", ZONES)
def test_a_bound_is_the_first_moment_that_is_not_before_it(name: str) -> None:
    place = zone(name)
    for change in changes(name, YEAR):
        gap = shown(change, place) - shown(change - 1, place) - timedelta(seconds=1)
        for minutes in range(-150, 151, 10):
            wall = shown(change, place) + timedelta(minutes=minutes)
            if gap > timedelta(0) and shown(change, place) - gap <= wall < shown(change, place):
                assert bound(wall, place) == change, "never shown: the first moment after the gap"
                assert shown(instant(wall, place), place) == wall + gap, "moved by the gap"
            else:
                assert bound(wall, place) == instant(wall, place)
                assert shown(bound(wall, place), place) == wall
            assert shown(bound(wall, place) - 1, place) < wall, "and its first"


@pytest.mark.parametrize(
    ("wall", "name", "at"),
    [
        ("2026-12-01T18:00", "Europe/Berlin", "2026-12-01T17:00Z"),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30Z"),  # in a gap: the clocks show 03:30
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30Z"),  # in a fold: the first
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45Z"),  # a gap of half an hour
        ("2026-12-01T18:00", "+05:30", "2026-12-01T12:30Z"),
        ("2011-12-30T18:00", "Pacific/Apia", "2011-12-31T04:00Z"),  # a day that never was
    ],
)
def test_instants(wall: str, name: str, at: str) -> None:
    assert instant(datetime.fromisoformat(wall), zone(name)) == datetime.fromisoformat(at).timestamp()


@pytest.mark.parametrize(
    ("wall", "name", "at"),
    [
        ("2026-03-29T02:00", "Europe/Berlin", "2026-03-29T01:00Z"),
        ("2026-03-29T02:59", "Europe/Berlin", "2026-03-29T01:00Z"),
        ("2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00Z"),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30Z"),
        ("2011-12-30T08:00", "Pacific/Apia", "2011-12-30T10:00Z"),
    ],
)
def test_bounds(wall: str, name: str, at: str) -> None:
    assert bound(datetime.fromisoformat(wall), zone(name)) == datetime.fromisoformat(at).timestamp()
