"""Each recipient's instant: by local time, zone, quiet hours and spread, or why it is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.planning.contract import Timing
from stentor.planning.division import LeftOut
from stentor.planning.timing import assigning
from stentor.planning.timing.assigning import MOST_SLICES, assign, in_canary, spread_slices
from stentor.zones import names, zone_of

NOW = datetime.fromisoformat("2026-12-01T12:00Z").timestamp()
AT_SIX: dict[str, Any] = {"local_at": "2026-12-01T18:00"}


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def one(timing: Timing, zone: str | None, now: float = NOW) -> float | LeftOut | None:
    """Of somebody in a zone."""
    timing.check()
    (at,), left_out = assign(timing, [b"k"], [zone], now, "c")
    assert at is None or not left_out
    return left_out.get(b"k", at)


def keys(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.mark.parametrize("zones", [["Europe/Berlin", None, "junk"], None])
def test_without_a_timing_it_is_now_for_everybody(zones: Sequence[str | None] | None) -> None:
    assert assign(Timing(), keys(3), zones, NOW, "c") == ([None] * 3, {})


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Europe/Berlin", "2026-12-01T17:00Z"),
        ("America/New_York", "2026-12-01T23:00Z"),
        ("Pacific/Niue", "2026-12-02T05:00Z"),
        ("+02:00", "2026-12-01T16:00Z"),
        ("UTC+2", "2026-12-01T16:00Z"),
        ("GMT", "2026-12-01T18:00Z"),
        ("UTC-06", "2026-12-02T00:00Z"),
    ],
)
def test_at_a_local_time(zone: str, at: str) -> None:
    assert one(Timing(**AT_SIX), zone) == epoch(at)


def test_a_page_has_many_zones() -> None:
    zones = ["Europe/Berlin", "Asia", None, "Asia/Tokyo", "Europe/Berlin", ""]
    instants, left_out = assign(Timing(**AT_SIX, past="skip"), keys(6), zones, NOW, "c")
    assert instants == [epoch("2026-12-01T17:00Z"), None, None, None, epoch("2026-12-01T17:00Z"), None]
    assert {key: each.reason for key, each in left_out.items()} == {
        b"1": "NoZone",
        b"2": "NoZone",
        b"3": "PastLocalTime",
        b"5": "NoZone",
    }
    assert left_out[b"1"].detail == "'Asia' is not a time zone"
    assert left_out[b"2"].detail == left_out[b"5"].detail == "the recipient has no time zone"
    assert left_out[b"3"].detail == "2026-12-01 18:00 was past in Asia/Tokyo when the campaign started"


@pytest.mark.parametrize("zone", [None, "", "Asia", "junk", "\0", "../x", "x" * 10_000])
@pytest.mark.parametrize(
    ("no_zone", "found"),
    [
        (None, "NoZone"),
        ("skip", "NoZone"),
        ("now", None),
        ("Europe/Berlin", epoch("2026-12-01T17:00Z")),
        ("+03:00", epoch("2026-12-01T15:00Z")),
    ],
)
def test_without_a_zone(zone: str | None, no_zone: str | None, found: object) -> None:
    at = one(Timing(**AT_SIX, no_zone=no_zone), zone)
    assert (at.reason if isinstance(at, LeftOut) else at) == found
    if isinstance(at, LeftOut):
        assert len(at.detail) < 200


def test_an_audience_that_says_no_zones() -> None:
    assert assign(Timing(**AT_SIX, no_zone="now"), keys(2), None, NOW, "c") == ([None, None], {})
    assert len(assign(Timing(**AT_SIX), keys(2), None, NOW, "c")[1]) == 2


@pytest.mark.parametrize(
    ("past", "found"),
    [
        (None, "PastLocalTime"),
        ("skip", "PastLocalTime"),
        ("now", None),
        ("tomorrow", epoch("2026-12-02T18:00+09:00")),
    ],
)
def test_a_local_time_that_is_past(past: Any, found: object) -> None:
    at = one(Timing(**AT_SIX, past=past), "Asia/Tokyo")
    assert (at.reason if isinstance(at, LeftOut) else at) == found


def test_tomorrow_is_the_first_day_on_which_it_is_not_past() -> None:
    timing = Timing(**AT_SIX, past="tomorrow")
    assert one(timing, "Asia/Tokyo", epoch("2026-12-05T12:00Z")) == epoch("2026-12-06T18:00+09:00")
    assert one(timing, "Asia/Tokyo", epoch("2026-12-05T08:00Z")) == epoch("2026-12-05T18:00+09:00")
    assert one(timing, "Europe/Berlin", epoch("2027-03-27T18:00Z")) == epoch("2027-03-28T18:00+02:00")


def test_a_time_that_just_passed_still_counts_as_now() -> None:
    """Who starts it at 18:00 is not told that 18:00 is past."""
    for past in (None, "skip", "tomorrow"):
        assert one(Timing(**AT_SIX, past=past), "Europe/Berlin", epoch("2026-12-01T17:00:59Z")) is None
    assert isinstance(one(Timing(**AT_SIX), "Europe/Berlin", epoch("2026-12-01T17:01:01Z")), LeftOut)


def test_quiet_hours_hold() -> None:
    """It is 13:00 in Berlin, 21:00 in Tokyo, 22:00 in Brisbane and 01:00 in Auckland."""
    timing = Timing(quiet_hours="22:00-08:00")
    assert one(timing, "Europe/Berlin") is None
    assert one(timing, "Asia/Tokyo") is None
    assert one(timing, "Australia/Brisbane") == epoch("2026-12-02T08:00+10:00")
    assert one(timing, "Pacific/Auckland") == epoch("2026-12-02T08:00+13:00")


def test_quiet_hours_leave_out() -> None:
    found = one(Timing(quiet_hours="22:00-08:00", quiet_then="expire"), "Australia/Brisbane")
    detail = "it was for 2026-12-01 22:00 in Australia/Brisbane, in the quiet hours 22:00-08:00"
    assert found == LeftOut("QuietExpired", detail)


def test_quiet_hours_go_after_the_local_time() -> None:
    late = Timing(local_at="2026-12-01T23:30", quiet_hours="22:00-08:00")
    assert one(late, "Europe/Berlin") == epoch("2026-12-02T08:00+01:00")
    assert one(Timing(**AT_SIX, past="now", quiet_hours="20:00-08:00"), "Asia/Tokyo") == epoch("2026-12-02T08:00+09:00")


def test_who_has_no_zone_and_gets_it_now_has_no_quiet_hours() -> None:
    assert one(Timing(quiet_hours="00:00-23:00", no_zone="now"), None) is None
    assert one(Timing(quiet_hours="00:00-23:00", no_zone="Europe/Berlin"), None) == epoch("2026-12-01T23:00+01:00")


@pytest.mark.parametrize("spread", [30.0, 60.0, 3600.0, 7200.0, 86_400.0, 7 * 86_400.0])
def test_a_spread_is_even(spread: float) -> None:
    count = 24_000
    instants, left_out = assign(Timing(spread=spread), keys(count), None, NOW, "c")
    assert not left_out
    found = Counter((each or NOW) - NOW for each in instants)
    step, slices = spread_slices(spread)
    assert slices <= MOST_SLICES
    assert set(found) == {step * number for number in range(slices)}
    assert max(found) < spread <= max(found) + step
    for number in found.values():
        assert abs(number - count / slices) < 6 * (count / slices) ** 0.5


def test_a_spread_is_the_same_whoever_works_it_out() -> None:
    timing, page = Timing(spread=7200.0), keys(500)
    found = assign(timing, page, None, NOW, "c")[0]
    assert assign(timing, page[250:], None, NOW, "c")[0] == found[250:]
    assigning._clock.cache_clear()
    assert assign(timing, page, None, NOW, "c")[0] == found
    assert assign(timing, page, None, NOW, "another")[0] != found
    assert [(each or NOW) - NOW for each in found[:6]] == [4500, 6600, 1500, 3900, 2400, 6600], "in any version"


def test_a_spread_goes_on_after_the_local_time_and_ends_before_quiet_hours() -> None:
    timing = Timing(local_at="2026-12-01T21:00", spread=7200.0, quiet_hours="22:00-08:00")
    instants, _ = assign(timing, keys(1000), ["Europe/Berlin"] * 1000, NOW, "c")
    found = Counter(instants)
    morning = found.pop(epoch("2026-12-02T08:00+01:00"))
    assert 400 < morning < 600
    assert min(each or 0 for each in found) == epoch("2026-12-01T21:00+01:00")
    assert max(each or 0 for each in found) < epoch("2026-12-01T22:00+01:00")


def test_zones_whole_hours_apart_share_the_instants_of_a_spread() -> None:
    timing = Timing(**AT_SIX, spread=7200.0)
    zones = ["Europe/Berlin", "Europe/London"]
    there, here = (set(assign(timing, keys(2000), [zone] * 2000, NOW, "c")[0]) for zone in zones)
    assert len(there & here) == len(there) // 2


def test_a_canary_is_the_share_that_was_asked_for() -> None:
    found = in_canary(Timing(canary=0.01), keys(50_000), "c")
    assert 400 < sum(found) < 600
    assert in_canary(Timing(canary=0.01), keys(50_000)[1000:], "c") == found[1000:]
    assert in_canary(Timing(canary=0.01), keys(50_000), "another") != found
    wider = in_canary(Timing(canary=0.05), keys(50_000), "c")
    assert all(more for less, more in zip(found, wider, strict=True) if less), "a larger share has the smaller in it"
    assert not any(in_canary(Timing(), keys(1000), "c"))


def test_a_canary_lies_all_over_the_spread() -> None:
    timing = Timing(spread=3600.0, canary=0.05)
    instants, _ = assign(timing, keys(20_000), None, NOW, "c")
    first = [at for at, is_first in zip(instants, in_canary(timing, keys(20_000), "c"), strict=True) if is_first]
    assert len(set(first)) == spread_slices(3600.0)[1]


def test_a_zone_is_worked_out_once() -> None:
    timing, zones = Timing(quiet_hours="22:00-08:00", no_zone="-01:00"), ["Europe/Berlin", "Asia/Tokyo"] * 5000
    for _ in range(2):
        assign(timing, keys(10_000), zones, NOW, "c")
    assert assigning._clock(timing, NOW)._known.cache_info().misses == 2


def test_junk_in_place_of_zones_is_not_kept_as_long_as_it_is() -> None:
    timing = Timing(quiet_hours="22:00-08:00", no_zone="-02:00")
    assign(timing, keys(100), ["x" * (1000 + number) for number in range(100)], NOW, "c")
    assert assigning._clock(timing, NOW)._known.cache_info().currsize == 1


TIMINGS = st.builds(
    Timing,
    local_at=st.none()
    | st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda at: f"{at:%Y-%m-%dT%H:%M}"),
    no_zone=st.sampled_from([None, "skip", "now", "Europe/Berlin", "-03:30"]),
    past=st.sampled_from([None, "now", "skip", "tomorrow"]),
    quiet_hours=st.sampled_from([None, "22:00-08:00", "12:00-13:00", "02:15-02:45", "00:00-23:59"]),
    quiet_then=st.sampled_from(["hold", "expire"]),
    spread=st.sampled_from([0.0, 60.0, 7200.0, 86_400.0]),
)
ANY_ZONE = st.sampled_from(names()) | st.none() | st.text(max_size=20) | st.sampled_from(["+02:00", "Asia", "UTC-3"])


@settings(max_examples=300)
@given(TIMINGS, st.lists(ANY_ZONE, max_size=20), st.integers(1_767_225_600, 1_830_297_600))
def test_whatever_is_said_everybody_has_an_instant_or_a_reason(
    timing: Timing, zones: list[str | None], now: int
) -> None:
    page = keys(len(zones))
    instants, left_out = assign(timing, page, zones, now, "c")
    assert len(instants) == len(page)
    assert set(left_out) <= set(page)
    for key, zone, at in zip(page, zones, instants, strict=True):
        assert assign(timing, [key], [zone], now, "c") == ([at], {key: left_out[key]} if key in left_out else {})
        if at is not None:
            assert key not in left_out
            assert at > now
            used = zone_of(zone) or timing.default_zone
            if used is not None and timing.quiet is not None:
                assert timing.quiet.over(at, used) == at, "nobody is disturbed"


def test_waves_are_in_order_of_the_zones() -> None:
    """From Kiritimati, where 18:00 comes first, to Pago Pago, where it comes 25 hours later."""
    zones = ["Pacific/Kiritimati", "Asia/Tokyo", "Europe/Berlin", "America/New_York", "Pacific/Pago_Pago"]
    instants, _ = assign(Timing(local_at="2026-12-03T18:00"), keys(5), zones, NOW, "c")
    known = [each for each in instants if each is not None]
    assert all(first < second for first, second in pairwise(known))
    assert known[-1] - known[0] == 25 * 3600
