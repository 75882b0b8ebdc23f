"""What the comparison of a store with the ledgers finds, and lets pass."""

from __future__ import annotations

import pytest

from stentor.outcome import Outcome
from stentor.simulators.ledger import Entry
from tests.integration.ledgers import Person, check, differences, reached

ACCEPTED, REJECTED, EXPIRED = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.EXPIRED
CANCELLED, AMBIGUOUS = Outcome.CANCELLED, Outcome.AMBIGUOUS


def entries(*dedup_ids: str) -> tuple[Entry, ...]:
    return tuple(Entry(number, "address", each, f"{number}", 1.0, True) for number, each in enumerate(dedup_ids))


def person(outcome: Outcome, *dedup_ids: str, lane: str = "apns/ios", reason: str = "") -> Person:
    return Person(key="a", batch="b", lane=lane, outcome=outcome, reason=reason, sends=entries(*dedup_ids))


@pytest.mark.parametrize(
    "right",
    [
        person(ACCEPTED, "x"),
        person(ACCEPTED, "x", "x"),
        person(ACCEPTED, "x", lane="telegram/bot"),
        person(CANCELLED),
        person(REJECTED, reason="Unregistered"),
        person(EXPIRED, reason="LifetimeEnded"),
        person(AMBIGUOUS, reason="Interrupted"),
        person(AMBIGUOUS, "x", reason="Interrupted"),
    ],
    ids=str,
)
def test_what_agrees_passes(right: Person) -> None:
    check({"a": right}, unsure={"a"})


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (person(Outcome.PENDING), "without an outcome"),
        (person(ACCEPTED), "accepted on record, and not in the ledger"),
        (person(CANCELLED, "x"), "cancelled on record, and in the ledger"),
        (person(EXPIRED, "x", reason="LifetimeEnded"), "expired on record, and in the ledger"),
        (person(REJECTED, "x", reason="Unregistered"), "rejected on record, and in the ledger"),
        (person(REJECTED), "rejected without a reason"),
        (person(AMBIGUOUS, reason="Interrupted"), "ambiguous without a cause"),
        (person(ACCEPTED, "", "", lane="discord/bot"), "in the ledger twice, and shown twice"),
        (person(ACCEPTED, "x", "y"), "in the ledger under two ids, and shown twice"),
        (Person(key="a", sends=entries("x")), "in the ledger, and in no batch"),
    ],
    ids=str,
)
def test_what_differs_is_found_and_told(wrong: Person, found: str) -> None:
    assert differences({"a": wrong}) == {found: [wrong]}
    with pytest.raises(AssertionError) as caught:
        check({"a": wrong})
    assert found in str(caught.value)
    assert f"  {wrong}" in str(caught.value)


def test_who_has_it_or_may_have_it_was_reached() -> None:
    people = {outcome.name: person(outcome) for outcome in Outcome}
    assert reached(people) == {"ACCEPTED", "AMBIGUOUS"}
