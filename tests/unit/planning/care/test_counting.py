"""Who had enough: what counts, when, once, and in whose calendar."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.caps import Cap, read_cap
from stentor.outcome import Outcome
from stentor.planning.care.counting import EarlierBatch, Enough, capped, reached

A, B, C = b"a", b"b", b"c"
NOON = datetime(2030, 5, 15, 12, tzinfo=UTC).timestamp()  # a Wednesday
HOUR = 3600.0


def sent(
    *keys: bytes,
    at: float = NOON - HOUR,
    outcome: Outcome | None = Outcome.ACCEPTED,
    message: str = "m1",
    again: int = 0,
    category: str | None = None,
) -> EarlierBatch:
    """A batch with this outcome for all; None: nothing is on record of it yet."""
    outcomes = None if outcome is None else bytes([outcome]) * len(keys)
    return EarlierBatch(
        campaign=f"{message} {again}", message=message, category=category, keys=keys, outcomes=outcomes, at=at
    )


def who(cap: str, *batches: EarlierBatch, zone: str | None = None, now: float = NOON) -> set[bytes]:
    where = None if zone is None else ZoneInfo(zone)
    return set(capped([read_cap(cap)], batches, [A, B, C], now, lambda _: where))


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (None, True),
        (Outcome.PENDING, True),
        (Outcome.ACCEPTED, True),
        (Outcome.AMBIGUOUS, True),
        (Outcome.REJECTED, False),
        (Outcome.EXPIRED, False),
        (Outcome.CANCELLED, False),
    ],
)
def test_what_was_accepted_or_may_yet_be_counts(outcome: Outcome | None, counts: bool) -> None:
    assert who("1 in 24h", sent(A, outcome=outcome)) == ({A} if counts else set())


def test_others_are_not_touched() -> None:
    assert who("1 in 24h", sent(A, b"somebody else")) == {A}


def test_what_is_over_does_not_count_and_what_is_under_way_always_does() -> None:
    old = NOON - 25 * HOUR
    assert who("1 in 24h", sent(A, at=old), sent(B, at=old, outcome=None, message="m2")) == {B}


def test_a_message_that_is_sent_again_counts_once() -> None:
    again = [sent(A, outcome=Outcome.AMBIGUOUS), sent(A, at=NOON, again=1)]
    assert who("2 in 24h", *again) == set()
    assert who("2 in 24h", *again, sent(A, message="m2")) == {A}


def test_a_message_that_is_sent_again_counts_at_its_latest_time() -> None:
    assert who("1 in 24h", sent(A, at=NOON), sent(A, at=NOON - 30 * HOUR, again=1)) == {A}


def test_a_cap_of_a_category_counts_that_category_alone() -> None:
    batches = [sent(A, B, category="news"), sent(A, message="m2")]
    assert who("2 in 24h of news", *batches) == set()
    assert who("1 in 24h of news", *batches) == {A, B}
    assert who("2 in 24h", *batches) == {A}


@pytest.mark.parametrize(
    ("zone", "at", "same_day"),
    [
        (None, datetime(2030, 5, 15, 0, 0, tzinfo=UTC), True),
        (None, datetime(2030, 5, 14, 23, 59, tzinfo=UTC), False),
        ("Asia/Tokyo", datetime(2030, 5, 14, 15, 0, tzinfo=UTC), True),
        ("Asia/Tokyo", datetime(2030, 5, 14, 14, 59, tzinfo=UTC), False),
        ("America/Los_Angeles", datetime(2030, 5, 15, 6, 59, tzinfo=UTC), False),
    ],
)
def test_a_day_is_the_recipient_s_own(zone: str | None, at: datetime, same_day: bool) -> None:
    assert who("1 a day", sent(A, at=at.timestamp()), zone=zone) == ({A} if same_day else set())


def test_a_week_begins_on_monday() -> None:
    monday = datetime(2030, 5, 13, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert who("1 a week", sent(A, at=monday), zone="Europe/Berlin") == {A}
    assert who("1 a week", sent(A, at=monday - 1), zone="Europe/Berlin") == set()


def test_a_day_whose_midnight_a_clock_skips_begins_after_it() -> None:
    """In Santiago clocks went from 23:59:59 on Saturday to 1:00 on Sunday, 2024-09-08."""
    santiago = ZoneInfo("America/Santiago")
    now = datetime(2024, 9, 8, 12, tzinfo=santiago).timestamp()
    first = datetime(2024, 9, 8, 4, tzinfo=UTC).timestamp()
    assert who("1 a day", sent(A, at=first), zone="America/Santiago", now=now) == {A}
    assert who("1 a day", sent(A, at=first - 1), zone="America/Santiago", now=now) == set()


def test_a_day_of_25_hours_counts_whole() -> None:
    now = datetime(2030, 10, 27, 23, 59, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert who("1 a day", sent(A, at=now - 24.5 * HOUR), zone="Europe/Berlin", now=now) == {A}


def test_it_says_from_when_on_the_next_may_be_sent() -> None:
    day = Cap(2, rolling="24h")
    batches = [sent(A, B, at=NOON - 3 * HOUR), sent(A, at=NOON - HOUR, message="m2"), sent(A, at=NOON, message="m3")]
    assert capped([day], batches, [A, B], NOON) == {A: Enough(day, NOON + 23 * HOUR)}
    under_way = sent(B, outcome=None, message="m4")
    assert capped([day], [batches[0], under_way], [B], NOON)[B].free_at == NOON + 21 * HOUR
    calendar = Cap(1, calendar="day")
    tokyo = ZoneInfo("Asia/Tokyo")
    found = capped([calendar], [sent(A)], [A], NOON, lambda _: tokyo)
    assert found[A].free_at == datetime(2030, 5, 16, tzinfo=tokyo).timestamp()


def test_of_two_caps_the_one_that_holds_longer_is_told() -> None:
    short, long = Cap(1, rolling="2h"), Cap(1, rolling="24h")
    for caps in ([short, long], [long, short]):
        assert capped(caps, [sent(A)], [A], NOON)[A].cap == long


def test_who_was_reached_perhaps_or_is_about_to_be_was_reached() -> None:
    outcomes = bytes([Outcome.ACCEPTED, Outcome.REJECTED, Outcome.AMBIGUOUS, Outcome.PENDING])
    batch = EarlierBatch(campaign="c", message="", category=None, keys=[A, B, C, b"d"], outcomes=outcomes, at=0.0)
    assert reached(batch, frozenset([A, B, C, b"d", b"e"])) == {A, C, b"d"}
    assert reached(sent(A, B, outcome=None), frozenset([A])) == {A}


_BATCHES = st.lists(
    st.builds(
        lambda keys, at, message, number: EarlierBatch(
            campaign=f"{message} {number}",
            message=message,
            category=None,
            keys=[key for key, _ in keys],
            outcomes=bytes(outcome for _, outcome in keys),
            at=NOON - at * HOUR,
        ),
        st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 5)), max_size=3, unique_by=lambda each: each[0]),
        st.integers(0, 48),
        st.sampled_from(["m1", "m2", "m3", "m4"]),
        st.integers(0, 10**9),
    ),
    max_size=8,
    unique_by=lambda each: each.campaign,
)


@given(_BATCHES, st.integers(1, 3))
def test_it_counts_as_counting_one_by_one_does(batches: list[EarlierBatch], most: int) -> None:
    latest: defaultdict[bytes, dict[str, float]] = defaultdict(dict)
    for batch in batches:
        for key, outcome in zip(batch.keys, batch.outcomes or b"", strict=True):
            if outcome in (Outcome.ACCEPTED, Outcome.AMBIGUOUS, Outcome.PENDING):
                at = NOON if outcome == Outcome.PENDING else batch.at
                latest[key][batch.message] = max(at, latest[key].get(batch.message, 0.0))
    counts = Counter(key for key, times in latest.items() for at in times.values() if at >= NOON - 24 * HOUR)
    expected = {key for key, count in counts.items() if count >= most}
    assert who(f"{most} in 24h", *batches) == expected
