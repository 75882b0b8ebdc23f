"""What people may write for an option."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.cli import words
from stentor.cli.values import duration, moment, pairs
from stentor.errors import InvalidConfiguration
from stentor.outcome import Outcome

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
    assert moment("--at", "2026-03-01T18:00", NOW) == NOW + 6 * 3600
    assert moment("--at", "+1h", NOW) == NOW + 3600
    assert moment("--at", "2030-01-01T00:00+00:00", NOW) == 1_893_456_000
    for text in ("2026-03-01T11:59", "18 o'clock", "+"):
        with pytest.raises(InvalidConfiguration, match="--at: "):
            moment("--at", text, NOW)


def test_pairs_keep_their_order_and_all_after_the_first_sign() -> None:
    assert pairs("--data", ["b=1", "a=x=y", "c="]) == [("b", "1"), ("a", "x=y"), ("c", "")]


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
    assert words.meaning("apns/ios", "Unregistered", Outcome.REJECTED).startswith("The app was removed.")
    assert words.meaning("fcm/x", "Unregistered", Outcome.REJECTED) == ""
    assert "lifetime" in words.meaning("fcm/x", "nobody knows", Outcome.EXPIRED)
