"""What people may write for an option."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor import words
from stentor.errors import InvalidConfiguration
from stentor.outcome import Outcome
from stentor.recording.meanings import meaning
from stentor.runtime.written import Moment, duration, moment, pairs

NOW = datetime(2026, 3, 1, 12, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration("--ttl", text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1w", "-5m", "1h 30m", "1h30", "soon"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="--ttl: "):
        duration("--ttl", text)


def test_moments() -> None:
    assert moment("--at", "2026-03-01T18:00", NOW) == Moment(NOW + 6 * 3600)
    assert moment("--at", "+1h", NOW) == Moment(NOW + 3600)
    assert moment("--at", "2030-01-01T00:00+00:00", NOW) == Moment(1_893_456_000)
    for text in ("2026-03-01T11:59", "18 o'clock", "+", "0001-01-01T00:00"):
        with pytest.raises(InvalidConfiguration, match="--at: "):
            moment("--at", text, NOW)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("18:00", "2026-03-01T18:00"),
        ("9:30", "2026-03-02T09:30"),
        ("12:00", "2026-03-02T12:00"),
        ("9:30:10", "2026-03-02T09:30:10"),
        ("12:00:01", "2026-03-01T12:00:01"),
    ],
)
def test_a_time_of_day_is_the_next_one(text: str, at: str) -> None:
    assert moment("--at", text, NOW) == Moment(datetime.fromisoformat(at).timestamp())


@pytest.mark.usefixtures("in_berlin")
def test_a_time_of_day_is_doubtful_where_the_clocks_change() -> None:
    now = datetime.fromisoformat("2026-03-28T20:00+01:00").timestamp()
    assert "2026-03-29 02:30 doesn't exist" in moment("--at", "02:30", now).doubt
    assert moment("--at", "03:30", now).at == now + 6.5 * 3600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("+90", "'+90' has no unit; write +90m for minutes, or +90s, +90h"),
        ("25:00", "'25:00' is not a time; write e.g. 18:00, 2030-01-31T18:00, 2030-01-31T18:00+01:00 or +90m"),
        ("18", "write e.g. 18:00"),
        ("6pm", "write e.g. 18:00"),
    ],
)
def test_what_is_no_moment_is_told_with_what_is(text: str, says: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        moment("--at", text, NOW)
    assert says in str(raised.value)


@pytest.mark.parametrize("text", ["9999-12-31T23:59", "2036-03-03T12:00", "+99999999999d", "+4000d"])
def test_nobody_means_a_time_many_years_away(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"^--at: .* is more than 10 years away; check the date$"):
        moment("--at", text, NOW)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
def test_a_time_that_the_clocks_leave_out_or_show_twice_is_doubtful() -> None:
    now = 1_767_225_600.0  # 2026-01-01T00:00Z
    spring = moment("--at", "2026-03-29T02:30", now)
    assert spring.at == datetime.fromisoformat("2026-03-29T03:30+02:00").timestamp()
    assert spring.doubt == (
        "2026-03-29 02:30 doesn't exist, as the clocks go forward: this is 2026-03-29 03:30:00 CEST (UTC+02:00)"
    )
    autumn = moment("--at", "2026-10-25T02:30", now)
    assert autumn.at == datetime.fromisoformat("2026-10-25T02:30+02:00").timestamp()
    assert "2026-10-25 02:30 comes twice, as the clocks go back: this is the first" in autumn.doubt
    for certain in ("2026-10-25T02:30+01:00", "2026-10-25T03:30", "2026-03-29T03:30"):
        assert moment("--at", certain, now).doubt == ""


@pytest.mark.usefixtures("in_berlin")
def test_a_moment_is_shown_with_its_zone() -> None:
    assert words.moment(1_893_456_000) == "2030-01-01 01:00:00 CET (UTC+01:00)"
    assert words.moment(1_780_272_000) == "2026-06-01 02:00:00 CEST (UTC+02:00)"


def test_pairs_keep_their_order_and_all_after_the_first_sign() -> None:
    assert list(pairs("--data", ["b=1", "a=x=y", "c="]).items()) == [("b", "1"), ("a", "x=y"), ("c", "")]


def test_a_name_has_one_value() -> None:
    with pytest.raises(InvalidConfiguration, match=r"^--set: 'a' has two values; leave one out$"):
        pairs("--set", ["a=1", "b=1", "a=2"])


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_only_all_is_100_percent_and_only_none_is_0(part: int, rest: int) -> None:
    text = words.share(part, part + rest)
    assert (text == "100 %") is (part > 0 and rest == 0)
    assert (text == "0 %") is (part == 0 and rest > 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (3600, "1:00:00"), (float("inf"), "–"), (-1, "–")],
)
def test_countdowns(seconds: float, text: str) -> None:
    assert words.countdown(seconds) == text


def test_a_reason_means_what_its_providers_table_says() -> None:
    assert meaning("apns/ios", "Unregistered", Outcome.REJECTED).startswith("The app was removed.")
    assert meaning("fcm/x", "Unregistered", Outcome.REJECTED) == ""
    assert "lifetime" in meaning("fcm/x", "nobody knows", Outcome.EXPIRED)
