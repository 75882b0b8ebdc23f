"""How many requests a caller may make."""

from __future__ import annotations

from stentor.api import limits
from stentor.api.limits import RequestLimits


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_two_seconds_worth_and_comes_back_with_time() -> None:
    clock = Clock()
    bucket = RequestLimits(10, clock)
    assert [bucket.ask("a").allowed for _ in range(21)] == [True] * 20 + [False]
    assert bucket.ask("b").allowed, "each caller has its own"
    refused = bucket.ask("a")
    assert (refused.allowed, refused.retry_after) == (False, 1)
    assert refused.headers == {
        "RateLimit-Policy": '"requests";q=20;w=2',
        "RateLimit": '"requests";r=0;t=2',
        "Retry-After": "1",
    }
    clock.now = 0.5
    assert [bucket.ask("a").allowed for _ in range(6)] == [True] * 5 + [False]
    clock.now = 1000.0
    assert bucket.ask("a").left == 19


def test_a_slow_rate_says_how_long_to_wait() -> None:
    bucket = RequestLimits(0.1, Clock())
    assert bucket.ask("a").allowed
    assert bucket.ask("a").retry_after == 10


def test_a_wrong_key_may_be_shown_twenty_times_a_minute() -> None:
    clock = Clock()
    bucket = limits.wrong_keys(clock)
    assert [bucket.ask("a").retry_after for _ in range(22)] == [0] * 20 + [3, 3]
    clock.now = 3.0
    assert [bucket.ask("a").allowed for _ in range(2)] == [True, False]
    clock.now = 600.0
    assert sum(bucket.ask("a").allowed for _ in range(30)) == 20


def test_memory_is_bounded() -> None:
    bucket = RequestLimits(1, Clock())
    for number in range(limits.MOST + 50):
        bucket.ask(str(number))
    assert len(bucket._buckets) == limits.MOST
