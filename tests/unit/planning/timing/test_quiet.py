"""Quiet hours: over midnight, over changes of the clocks, and as a clock on the wall has them."""

from __future__ import annotations

import random
from datetime import datetime, time, timedelta, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidInput
from stentor.planning.timing.quiet import QuietHours, read_quiet
from stentor.planning.timing.wall import shown
from stentor.zones import names, zone_of

NIGHT = QuietHours(time(22), time(8))
NOON = QuietHours(time(12), time(14, 30))
SOME_ZONES = ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana", *random.Random(77).sample(names(), 20)]
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))


def zone(name: str) -> tzinfo:
    found = zone_of(name)
    assert found is not None
    return found


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("hours", "at", "over"),
    [
        (NIGHT, "2026-12-01T23:00+01:00", "2026-12-02T08:00+01:00"),
        (NIGHT, "2026-12-02T00:00+01:00", "2026-12-02T08:00+01:00"),
        (NIGHT, "2026-12-02T07:59+01:00", "2026-12-02T08:00+01:00"),
        (NIGHT, "2026-12-02T08:00+01:00", "2026-12-02T08:00+01:00"),
        (NIGHT, "2026-12-01T21:59+01:00", "2026-12-01T21:59+01:00"),
        (NIGHT, "2026-12-01T22:00+01:00", "2026-12-02T08:00+01:00"),
        (NOON, "2026-12-01T13:00+01:00", "2026-12-01T14:30+01:00"),
        (NOON, "2026-12-01T11:00+01:00", "2026-12-01T11:00+01:00"),
        (NIGHT, "2026-03-28T23:00+01:00", "2026-03-29T08:00+02:00"),  # a night of nine hours
        (NIGHT, "2026-10-24T23:00+02:00", "2026-10-25T08:00+01:00"),  # … and of eleven
        (QuietHours(time(22), time(2, 30)), "2026-03-29T00:00+01:00", "2026-03-29T03:00+02:00"),  # ends in a gap
        (QuietHours(time(22), time(2, 30)), "2026-10-25T01:00+02:00", "2026-10-25T02:30+02:00"),  # ends in a fold
        (QuietHours(time(22), time(2, 30)), "2026-10-25T02:15+01:00", "2026-10-25T02:15+01:00"),  # and is over then
        (QuietHours(time(2, 30), time(6)), "2026-03-29T03:00+02:00", "2026-03-29T06:00+02:00"),  # begins in a gap
        (QuietHours(time(2, 30), time(6)), "2026-10-25T02:15+01:00", "2026-10-25T06:00+01:00"),  # begins in a fold
        (QuietHours(time(2, 15), time(2, 45)), "2026-03-29T03:00+02:00", "2026-03-29T03:00+02:00"),  # never is
    ],
)
def test_when_it_is_quiet_no_more(hours: QuietHours, at: str, over: str) -> None:
    assert hours.over(epoch(at), zone("Europe/Berlin")) == epoch(over)


def test_over_a_day_that_never_was() -> None:
    """Samoa had no 30 December 2011: its 29th ended at what was midnight of the 31st."""
    apia = zone("Pacific/Apia")
    assert NIGHT.over(epoch("2011-12-29T23:00-10:00"), apia) == epoch("2011-12-31T08:00+14:00")
    assert NIGHT.next(epoch("2011-12-29T12:00-10:00"), apia) == epoch("2011-12-29T22:00-10:00")
    assert NIGHT.next(epoch("2011-12-31T12:00+14:00"), apia) == epoch("2011-12-31T22:00+14:00")


@pytest.mark.parametrize(
    ("at", "begin"),
    [
        ("2026-12-01T18:00+01:00", "2026-12-01T22:00+01:00"),
        ("2026-12-01T08:00+01:00", "2026-12-01T22:00+01:00"),
        ("2026-12-01T23:00+01:00", "2026-12-01T23:00+01:00"),
        ("2026-03-28T21:00+01:00", "2026-03-28T22:00+01:00"),
    ],
)
def test_when_it_becomes_quiet(at: str, begin: str) -> None:
    assert NIGHT.next(epoch(at), zone("Europe/Berlin")) == epoch(begin)


@given(TIMES, TIMES, st.sampled_from(SOME_ZONES), st.integers(int(epoch("2026-01-01T00:00Z")), 2**31 - 1))
def test_it_is_quiet_as_the_clock_on_the_wall_has_it(begin: time, end: time, name: str, at: int) -> None:
    if begin == end:
        return
    hours, place = QuietHours(begin, end), zone(name)
    over = hours.over(at, place)
    assert at <= over <= at + 26 * 3600
    assert hours.over(over, place) == over, "it is over then"
    assert hours.next(at, place) == at if over > at else hours.next(at, place) > at
    day = timedelta(days=1)
    if shown(at + 86_400, place) - shown(at, place) == day == shown(at, place) - shown(at - 86_400, place):
        for moment, is_quiet in ((at, over > at), (over, False)):
            clock = shown(moment, place).time()
            said = begin <= clock < end if begin < end else clock >= begin or clock < end
            assert said == is_quiet, "while no clocks are changed"


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("22:00-08:00", NIGHT),
        (" 22:00 – 8:00 ", NIGHT),  # as an editor's program makes it
        ("12:00-14:30", NOON),
        ("22:00-24:00", QuietHours(time(22), time(0))),
    ],
)
def test_what_people_write(text: str, hours: QuietHours) -> None:
    assert read_quiet("quiet", text) == hours
    assert read_quiet("quiet", str(hours)) == hours


@pytest.mark.parametrize("text", ["", "22-8", "22:00", "25:00-08:00", "22:60-08:00", "24:00-08:00", "x" * 10_000, "\0"])
def test_what_is_no_quiet_hours(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^quiet: '.*' are not quiet hours; write e.g. 22:00-08:00$"):
        read_quiet("quiet", text)


def test_a_day_is_never_quiet_as_a_whole() -> None:
    with pytest.raises(InvalidInput, match=r"^quiet: '08:00-08:00' would be the whole day"):
        read_quiet("quiet", "08:00-08:00")
