"""The pool's decisions, with plain numbers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.http2.policy import (
    FIRST_DELAY,
    LONGEST_DELAY,
    RECOVERY,
    Ceiling,
    ConnectBudget,
    CpuShare,
    Sleep,
    backoff,
    connections_to_open,
)


@given(failures=st.integers(1, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_backoff_is_bounded_and_jittered(failures: int, random: float) -> None:
    assert FIRST_DELAY / 2 <= backoff(failures, random) <= LONGEST_DELAY
    assert backoff(failures, 0.0) < backoff(failures, 0.9)


def test_backoff_doubles() -> None:
    assert [backoff(failures, 0.0) for failures in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]


def wanted(**given: object) -> int:
    facts = {"ready": 4, "connecting": 0, "ceiling": 16, "streams_full": True, "busy": 0.3, **given}
    return connections_to_open(**facts)  # type: ignore[arg-type]


def test_connections_are_opened_while_streams_are_short() -> None:
    assert wanted(ready=0) == 1
    assert wanted(ready=1) == 1
    assert wanted(ready=4) == 2
    assert wanted(ready=15) == 1
    assert wanted(ready=16) == 0


def test_no_connection_is_opened_for_nothing() -> None:
    assert wanted(streams_full=False) == 0
    assert wanted(busy=0.95) == 0
    assert wanted(connecting=1) == 0
    assert wanted(ready=0, connecting=1) == 0
    assert wanted(ready=0, busy=0.95) == 1
    assert wanted(ready=2, ceiling=1) == 0


def test_the_ceiling_falls_at_once_and_comes_back_by_doubling() -> None:
    ceiling = Ceiling(16)
    assert ceiling.at(0) == 16
    ceiling.lower(3, now=100.0)
    assert [ceiling.at(100.0 + RECOVERY * steps) for steps in range(5)] == [3, 6, 12, 16, 16]
    ceiling.lower(0, now=200.0)
    assert ceiling.at(200.0) == 1


def test_connects_are_rationed() -> None:
    budget = ConnectBudget(burst=3, per_second=0.5)
    assert [budget.take(now=10.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.take(now=11.0)
    assert budget.take(now=12.1)
    assert not budget.take(now=12.2)


def test_the_share_of_cpu_is_measured() -> None:
    share = CpuShare()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    share.look()
    assert 0.2 < share.share < 4


def test_a_sleep_is_told_once_and_the_readings_own_difference_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = [5.0]  # by how much the clock that counts sleeps is ahead of the one that doesn't
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    monkeypatch.setattr("time.clock_gettime", lambda _: 100.0 + ahead[0])
    sleep = Sleep()
    assert sleep.look() == 0.0
    for step in range(1, 10):
        ahead[0] = 5.0 + step * 0.1
        assert sleep.look() == 0.0
    ahead[0] = 3605.0
    assert sleep.look() == 3600.0
    assert sleep.look() == 0.0
    ahead[0] = 3604.9
    assert sleep.look() == 0.0
