"""When the runs of a series are due: over years of clocks that change, and lines that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.errors import InvalidInput
from stentor.planning.recurrence import COUNTED, Due, Recurrence
from stentor.zones import zone_of

ZONES = (
    *("Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca"),
    *("Pacific/Apia", "Asia/Kathmandu", "Pacific/Chatham", "America/Santiago", "UTC"),
)
YEAR = 366 * 86_400.0
START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def shown(moments: list[float], zone: str = "UTC") -> list[str]:
    return [f"{datetime.fromtimestamp(each, zone_of(zone)):%Y-%m-%d %H:%M %z}" for each in moments]


@settings(max_examples=30)
@given(zone=st.sampled_from(ZONES), hour=st.integers(0, 23), minute=st.integers(0, 59), year=st.integers(2020, 2037))
def test_a_daily_run_is_due_once_a_day_all_year(zone: str, hour: int, minute: int, year: int) -> None:
    """At its time by the clocks on the wall; in a gap at the first moment after it."""
    begin = datetime(year, 1, 1, tzinfo=zone_of(zone)).timestamp() - 1
    end = datetime(year + 1, 1, 1, tzinfo=zone_of(zone)).timestamp() - 1
    recurrence = Recurrence(f"{minute} {hour} * * *", zone)
    found = [each for each in recurrence.next(begin, 367) if begin < each <= end]
    days = [datetime.fromtimestamp(each, zone_of(zone)) for each in found]
    assert len({each.date() for each in days}) == len(days) == (366 if year % 4 == 0 else 365)
    for each in days:
        wanted = each.replace(hour=hour, minute=minute, fold=0)
        if wanted.astimezone(UTC).astimezone(wanted.tzinfo) != wanted:  # the clocks skip it
            before = datetime.fromtimestamp(each.timestamp() - 60, zone_of(zone))
            assert before.utcoffset() != each.utcoffset(), "the first moment after the gap"
        else:
            assert each == wanted
            assert each.fold == 0, "the first time, where it comes twice"


LINES = ("30 2 * * *", "*/30 * * * *", "15,45 1-3 * * *", "0 */6 * * *", "0 9 * * mon-fri", "59 23 L * *")


@given(
    zone=st.sampled_from(ZONES),
    line=st.sampled_from(LINES),
    moment=st.floats(START, START + YEAR),
    span=st.floats(0, 2 * 86_400),
)
def test_instants_follow_each_other_wherever_one_begins_to_look(
    zone: str, line: str, moment: float, span: float
) -> None:
    """Whoever asks for the next one again and again finds the same as whoever asks for many; none is passed over."""
    recurrence = Recurrence(line, zone)
    many = recurrence.next(moment, 8)
    assert many == sorted(set(many))
    assert many[0] > moment
    one_by_one = [moment]
    for _ in many:
        found = recurrence.after(one_by_one[-1])
        assert found is not None
        one_by_one.append(found)
    assert one_by_one[1:] == many
    between = moment + (many[0] - moment) / 2
    assert recurrence.after(between) == many[0]
    now = many[0] + span
    due = recurrence.due(many[0], now)
    expected = [each for each in recurrence.next(moment, 120) if each <= now]
    assert due == Due(newest=expected[-1], oldest=many[0], instants=len(expected))


def test_a_time_that_comes_twice_is_due_the_first_time() -> None:
    recurrence = Recurrence("30 2 * * *", "Europe/Berlin")
    found = recurrence.next(at("2026-10-24T12:00+02:00"), 2)
    assert shown(found, "Europe/Berlin") == ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]
    second = at("2026-10-25T02:10+01:00")  # when the clocks show 02:10 the second time, that was twenty minutes ago
    assert shown(recurrence.next(second, 1), "Europe/Berlin") == ["2026-10-26 02:30 +0100"]


def test_a_time_that_the_clocks_skip_is_due_once_after_the_gap() -> None:
    found = Recurrence("30 2 * * *", "Europe/Berlin").next(at("2026-03-28T12:00+01:00"), 2)
    assert shown(found, "Europe/Berlin") == ["2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"]
    found = Recurrence("15,30 2 * * *", "Europe/Berlin").next(at("2026-03-28T12:00+01:00"), 2)
    assert shown(found, "Europe/Berlin") == ["2026-03-29 03:00 +0200", "2026-03-30 02:15 +0200"]


def test_what_is_due_every_half_hour_goes_by_what_has_passed() -> None:
    found = Recurrence("*/30 * * * *", "Europe/Berlin").next(at("2026-10-25T01:45+02:00"), 5)
    assert [later - before for before, later in pairwise(found)] == [1800.0] * 4


@pytest.mark.parametrize(
    ("line", "zone", "problem"),
    [
        ("0 18 * *", "UTC", "cron: has 4 fields"),
        ("0 0 18 * * *", "UTC", "cron: has 6 fields"),
        ("", "UTC", "cron: has 0 fields"),
        ("60 18 * * *", "UTC", "cron: the minute cannot be read"),
        ("0 25 * * *", "UTC", "cron: the hour cannot be read"),
        ("0 18 31 2 *", "UTC", "cron: the day-of-month cannot be read"),
        ("0 18 * * montag", "UTC", "cron: the day-of-week cannot be read"),
        ("0 18 * * */0", "UTC", "cron: the day-of-week cannot be read"),
        ("0 18 L-3 * *", "UTC", "cron: "),
        ("0 18 * * L", "UTC", "cron: "),
        ("0 18 * * 1#1/2", "UTC", "cron: "),
        ("0 18 LW,1-L/2 * *", "UTC", "cron: "),
        ("0," * 200 + "0 * * * *", "UTC", "cron: "),
        ("0 18 * * *", "Europe/Berlni", "did you mean Europe/Berlin?"),
        ("0 18 * * *", "Europe", "zone: there is no time zone 'Europe'"),
        ("0 18 * * *", "../../etc/passwd", "zone: there is no time zone"),
        ("0 18 * * *", "", "zone: there is no time zone ''"),
    ],
)
def test_what_is_no_line_or_no_zone_is_refused(line: str, zone: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Recurrence(line, zone)
    assert problem in str(refused.value)


@given(st.text("0123456789*/-,#LWMONFRI ", max_size=30))
def test_whatever_is_written_is_a_line_or_refused(text: str) -> None:
    try:
        recurrence = Recurrence(text, "Europe/Berlin")
    except InvalidInput:
        return
    recurrence.after(START)


def test_of_many_that_were_missed_the_newest_is_found_and_not_all_are_counted() -> None:
    due = Recurrence("* * * * *", "UTC").due(START, START + 300 * 86_400 + 30)
    assert due == Due(newest=START + 300 * 86_400, oldest=START, instants=COUNTED)


def test_a_moment_is_written_as_the_clocks_of_its_zone_show_it() -> None:
    recurrence = Recurrence("0 18 * * mon-fri", "Europe/Berlin")
    assert recurrence.written(at("2026-11-30T17:00+00:00")) == "Mon 2026-11-30 18:00 CET"
    assert recurrence.explained == "At 18:00 on Monday through Friday"


def test_an_hourly_run_is_due_every_hour_that_passes() -> None:
    begin = datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    found = Recurrence("0 * * * *", "Europe/Berlin").next(begin.timestamp() - 1, 1000)
    assert found[-1] - found[0] == timedelta(hours=999).total_seconds()


def test_zones_are_those_that_recipients_have() -> None:
    """Of Stentor's own rules, in whatever case, and offsets as well."""
    assert Recurrence("0 18 * * *", "+02:00").next(0.0, 1) == [16 * 3600.0]
    for zone in ("Africa/Casablanca", "africa/casablanca"):
        (moment,) = Recurrence("0 18 1 12 *", zone).next(1_790_000_000.0, 1)
        assert f"{datetime.fromtimestamp(moment, zone_of(zone)):%d %H:%M}" == "01 18:00"
