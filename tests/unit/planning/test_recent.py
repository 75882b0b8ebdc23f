"""What is known for a while only."""

from __future__ import annotations

import pytest

from stentor.planning.recent import Recent
from stentor.testing.queue import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_it_is_forgotten_after_a_while(clock: ManualClock) -> None:
    known = Recent[str](60.0, 10, clock)
    assert (known.get("a"), known.oldest, len(known)) == (None, None, 0)
    known.put("a", "one")
    clock.now += 40.0
    known.put("b", "two")
    assert (known.get("a"), known.oldest, len(known)) == ("one", "one", 2)
    clock.now += 20.0
    assert (known.get("a"), known.get("b"), known.oldest, len(known)) == (None, "two", "two", 1)
    clock.now += 40.0
    assert (known.get("b"), known.oldest, len(known)) == (None, None, 0)


def test_what_is_learned_again_is_new(clock: ManualClock) -> None:
    known = Recent[str](60.0, 10, clock)
    for told in ("one", "two", "three"):
        known.put("a", told)
        known.put("b", told)
        clock.now += 50.0
    assert (known.get("a"), len(known)) == ("three", 2)
    known.pop("a")
    known.pop("never known")
    assert (known.get("a"), known.oldest) == (None, "three")


def test_there_are_never_too_many(clock: ManualClock) -> None:
    known = Recent[int](60.0, 3, clock)
    for number in range(1000):
        known.put(f"{number}", number)
    assert (len(known), known.oldest) == (3, 997)
