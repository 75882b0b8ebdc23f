"""Discord's limits: whatever comes in whatever order, none is broken, and nobody waits for ever."""

from __future__ import annotations

import itertools
import math
from heapq import heappop, heappush

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.providers.discord import buckets
from stentor.providers.discord.buckets import BucketAllowance, BucketKey, Buckets, Heard, Pace
from stentor.simulators.discord.limits import BucketWindows

HERE, THERE = BucketKey("POST /channels", "1"), BucketKey("POST /channels", "2")
SHARED = BucketKey("PATCH /channels", "1")


def heard(remaining: int, reset_after: float = 2.0, limit: int = 5, bucket: str = "b") -> Heard:
    return Heard(bucket=bucket, limit=limit, remaining=remaining, reset_after=reset_after)


def take(known: Buckets, place: BucketKey, now: float) -> float:
    wait = known.wait(place, now)
    if not wait:
        known.take(place, now)
    return wait


# Buckets


def test_an_unknown_bucket_is_tried_by_one() -> None:
    known = Buckets()
    assert [take(known, HERE, 0.0) for _ in range(2)] == [0.0, buckets.LEARNING]
    assert take(known, THERE, 0.0) == 0.0, "another channel's is another one"
    known.heard(HERE, heard(4), 0.1)
    assert [take(known, HERE, 0.1) for _ in range(5)] == [0, 0, 0, 0, pytest.approx(2.0)]


def test_a_window_that_ends_begins_anew() -> None:
    known = Buckets()
    take(known, HERE, 0.0)
    known.heard(HERE, heard(0), 0.0)
    assert take(known, HERE, 1.5) == pytest.approx(0.5)
    assert [take(known, HERE, 2.0) for _ in range(6)] == [0, 0, 0, 0, 0, pytest.approx(2.0)]


def test_routes_that_share_a_bucket() -> None:
    known = Buckets()
    take(known, HERE, 0.0)
    known.heard(HERE, heard(1), 0.0)
    take(known, SHARED, 0.0)
    known.heard(SHARED, heard(0), 0.0)
    assert take(known, HERE, 0.0) > 0
    assert take(known, SHARED, 0.0) > 0
    assert take(known, THERE, 0.0) == 0.0


def test_an_answer_without_headers_sets_no_limit() -> None:
    known = Buckets()
    take(known, HERE, 0.0)
    known.heard(HERE, None, 0.0)
    assert [take(known, HERE, 0.0) for _ in range(9)] == [0.0] * 9


def test_no_answer_leaves_the_bucket_to_the_next() -> None:
    known = Buckets()
    take(known, HERE, 0.0)
    known.unheard(HERE, 0.0)
    assert take(known, HERE, 0.0) == 0.0


def test_what_was_never_answered_may_have_counted_until_then() -> None:
    known = Buckets()
    take(known, HERE, 0.0)
    known.heard(HERE, heard(1, limit=2, reset_after=1.0), 0.0)
    assert [take(known, HERE, 2.0), take(known, HERE, 2.0)] == [0.0, 0.0]  # a window of one second, as we know
    known.unheard(HERE, 2.5)  # perhaps it is one that began later
    known.unheard(HERE, 2.5)
    assert take(known, HERE, 3.1) == pytest.approx(0.4)
    assert take(known, HERE, 3.5) == 0.0


def test_what_is_blocked() -> None:
    known = Buckets()
    known.block(HERE, 64.57, 10.0)
    assert take(known, HERE, 10.0) == pytest.approx(64.57)
    assert take(known, THERE, 10.0) == 0.0
    assert take(known, HERE, 74.58) == 0.0


def test_memory_is_bounded() -> None:
    known = Buckets(most=100)
    for number in range(10_000):
        place = BucketKey("POST /channels", str(number))
        take(known, place, number / 100)
        known.heard(place, heard(4, reset_after=1e3, bucket=str(number)), number / 100)
    assert len(known) <= 100
    assert len(known._by_name) <= 101


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(2, 6),
    period=st.floats(0.3, 3.0),
    steps=st.lists(st.tuples(st.floats(0.0, 0.5), st.sampled_from([HERE, THERE, SHARED])), max_size=120),
    latencies=st.lists(st.floats(0.0, 0.4), min_size=1, max_size=20),
    lost=st.sets(st.integers(0, 120)),
)
def test_no_bucket_is_ever_overdrawn(
    limit: int, period: float, steps: list[tuple[float, BucketKey]], latencies: list[float], lost: set[int]
) -> None:
    """Once each route was met: requests at any time, answers as late as they like and in any order, some never."""
    known, discord = Buckets(), BucketWindows()

    def send(place: BucketKey, now: float) -> Heard:
        standing = discord.take("hash", place.resource, limit, period, now)
        assert standing.allowed
        return heard(standing.remaining, standing.reset_after, limit, "hash")

    for place in (HERE, THERE, SHARED):
        assert take(known, place, 0.0) == 0.0
        known.heard(place, send(place, 0.0), 0.0)
    now, delays = 0.0, itertools.cycle(latencies)
    coming: list[tuple[float, int, BucketKey, Heard]] = []
    for number, (pause, place) in enumerate(steps):
        now += pause
        while coming and coming[0][0] <= now:
            _, which, whose, said = heappop(coming)
            if which in lost:
                known.unheard(whose, now)
            else:
                known.heard(whose, said, now)
        if take(known, place, now) == 0.0:
            heappush(coming, (now + next(delays), number, place, send(place, now)))


# How many refusals


def test_an_allowance() -> None:
    some = BucketAllowance(3.0, 0.0)
    some.set_rate(2.0, 10.0, 0.0)
    assert some.wait(3) == 0.0
    some.take(3)
    assert some.wait(1) == pytest.approx(0.5)
    some.set_rate(2.0, 10.0, 100.0)
    assert some.wait(10) == some.wait(1000) == 0.0, "no more is saved up"
    some.give_back(5)
    some.take(10)
    assert some.wait(1) > 0
    some.set_rate(0.0, 1.0, 100.0)
    assert some.wait(1) == math.inf


def refuse_all(pace: Pace, now: float, first: int) -> int:
    """How many refused requests go out at a moment where as many as can be do."""
    count = 0
    while not pace.take(place := BucketKey("POST /channels", str(first + count)), now):
        pace.heard(place, None, now, is_invalid=True)
        count += 1
    return count


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3), min_size=1, max_size=40),
    pauses=st.lists(st.floats(0.1, 200.0), min_size=1, max_size=40),
)
def test_any_ten_minutes_see_less_than_a_quarter_of_what_brings_a_ban(
    parts: list[list[float]], pauses: list[float]
) -> None:
    """Three senders that get nothing but refusals, however the lane is divided among them from moment to moment."""
    current = [0.0, 0.0, 0.0]
    senders = [Pace(1e6, 0.0) for _ in current]
    for index, pace in enumerate(senders):
        pace.part = lambda index=index: current[index]  # type: ignore[misc]
    now, times = 0.0, []
    for step, (wanted, pause) in enumerate(zip(itertools.cycle(parts), pauses, strict=False)):
        total = max(1.0, math.fsum(wanted))
        current[:] = [each / total for each in wanted]
        for pace in senders:  # as a sender that is always at work does
            pace.take(BucketKey("POST /users/@me/channels", "none"), now, 10**9)
        now += pause
        for number, pace in enumerate(senders):
            times += [now] * refuse_all(pace, now, step * 10**6 + number * 10**5)
    for start in times:
        window = [each for each in times if start <= each < start + buckets.BAN_WINDOW]
        assert len(window) <= buckets.BAN / 4


def test_a_list_of_refusals_goes_on_at_its_rate() -> None:
    pace = Pace(1e6, 0.0)
    assert refuse_all(pace, 0.0, 0) == buckets.INVALID_FIRST
    assert pace.take(HERE, 0.0) == pytest.approx(buckets.TOGETHER), "many at once, later"
    assert refuse_all(pace, 100.0, 1000) == pytest.approx(100 * buckets.INVALID_RATE, abs=1)


def test_what_is_accepted_costs_nothing() -> None:
    pace = Pace(1e6, 0.0)
    for number in range(1000):
        place = BucketKey("POST /channels", str(number))
        assert pace.take(place, 0.0) == 0.0
        pace.heard(place, None, 0.0, is_invalid=False)


def test_what_is_never_answered_may_have_been_refused() -> None:
    pace = Pace(1e6, 0.0)
    for number in range(int(buckets.INVALID_FIRST)):
        place = BucketKey("POST /channels", str(number))
        pace.take(place, 0.0)
        pace.unheard(place, 0.0)
    assert pace.take(HERE, 0.0) > 0


def test_a_sender_without_a_part_waits_a_while() -> None:
    pace = Pace(45.0, 0.0)
    pace.part = lambda: 0.0
    pace.take(HERE, 0.0)
    assert 0 < pace.take(THERE, 1.0) <= buckets.LONGEST


# All requests


@pytest.mark.parametrize("requests", [1, 2])
def test_all_requests_together_stay_below_the_global_limit(requests: int) -> None:
    """Whoever takes all there is, at 45 a second, breaks no limit of 50 in any second."""
    pace = Pace(45.0, 0.0)
    times: list[float] = []
    for tick in range(4000):
        now = tick / 1000
        place = BucketKey("POST /channels", str(tick))
        if not pace.take(place, now, requests):
            times += [now] * requests
            pace.heard(place, None, now, is_invalid=False)
            if requests == 2:
                pace.follow(BucketKey("POST /channels", f"x{tick}"), now)
                pace.heard(BucketKey("POST /channels", f"x{tick}"), None, now, is_invalid=False)
    assert len(times) >= 4 * 45
    assert max(sum(start <= each < start + 1 for each in times) for start in times) <= 50


def test_what_is_spared_is_there_again() -> None:
    pace = Pace(1.0, 0.0)
    assert pace.take(HERE, 0.0, 2) == 0.0
    pace.spare()
    assert pace.take(THERE, 0.0) == 0.0
    assert pace.take(BucketKey("POST /channels", "3"), 0.0) > 0
