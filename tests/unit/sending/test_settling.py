"""What was begun: who is on record as about to be sent, and what becomes of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.contract import Failure, Settlement, Standing, Then, Waiting
from stentor.recording.merging import latest, merged
from stentor.sending.settling import called_off, concluded, intents, interrupted, with_failures

NOW = 1000.0
LEASE = Lease(id="b", lane="telegram/bot", campaign_id="c1", payload=b"", deliveries=2, token="t")
BEGUN = Waiting(1, 0, NOW, "Interrupted", begun=True)
AGAIN = Waiting(2, 3, NOW, "Interrupted", ambiguous=False, begun=True)
LATER = Waiting(3, 1, NOW + 60, "TooManyRequests")
STANDING = Standing(outcomes=b"\1\0\0\0\0", waiting=(BEGUN, AGAIN, LATER), pending=4, edition="e")


def test_whoever_was_begun_when_the_sender_died_ends_ambiguous_and_nobody_else() -> None:
    lost, left = interrupted(STANDING)
    assert lost == (
        Failure(position=1, outcome=Outcome.AMBIGUOUS, reason="Interrupted", tries=1),
        Failure(position=2, outcome=Outcome.AMBIGUOUS, reason="Interrupted", tries=4),
    )
    assert left == Standing(outcomes=b"\1\5\5\0\0", waiting=(LATER,), pending=2, edition="e")
    assert interrupted(left) == ((), left)


def test_of_a_batch_without_outcomes_too() -> None:
    _, left = interrupted(Standing(waiting=(BEGUN,), pending=3))
    assert (left.outcomes, left.pending) == (b"\0\5\0", 2)


def test_what_ends_with_the_batch_is_in_its_settlement() -> None:
    lost, _ = interrupted(STANDING)
    own = Failure(position=4, outcome=Outcome.REJECTED, reason="ChatNotFound")
    settlement = Settlement(lease=LEASE, batch=None, outcomes=b"\0\0\0\0\2", failures=(own,), then=Then.RELEASE)
    whole = with_failures(settlement, lost, 5)
    assert (whole.outcomes, whole.failures, whole.then) == (b"\0\5\5\0\2", (own, *lost), Then.RELEASE)
    assert with_failures(settlement, (), 5) is settlement
    nothing_new = Settlement(lease=LEASE, batch=None, outcomes=b"", then=Then.ACK)
    assert with_failures(nothing_new, lost, 5).outcomes == b"\0\5\5\0\0"


def test_a_campaign_that_was_called_off_cancels_only_who_was_not_begun() -> None:
    settlement = called_off(LEASE, STANDING)
    assert settlement.outcomes == b"\0\5\5\4\4"
    assert [each.tries for each in settlement.failures] == [1, 4]


waits = st.builds(
    Waiting,
    st.just(0),
    st.integers(0, 2),
    st.floats(NOW - 1, NOW + 1),
    st.just("Busy"),
    st.booleans(),
)


@given(waits, st.floats(-5, 5))
def test_an_intent_counts_more_than_the_try_before_it_whatever_the_clock_says(earlier: Waiting, moved: float) -> None:
    (intent,) = intents([0], {0: earlier}, NOW + moved)
    assert latest(earlier, intent) == latest(intent, earlier) == intent
    assert (intent.tries, intent.ambiguous) == (earlier.tries, earlier.ambiguous)


@given(waits, st.none() | st.integers(0, 1), st.floats(-5, 5))
def test_what_came_of_it_counts_more_than_the_intent(earlier: Waiting, more: int | None, moved: float) -> None:
    (intent,) = intents([0], {0: earlier}, NOW)
    again = [] if more is None else [Waiting(0, earlier.tries + more, NOW + moved, "Later", earlier.ambiguous)]
    (found,) = concluded(again, [intent], bytes(1), NOW + moved)
    assert not found.begun
    assert found.tries == earlier.tries + (more or 0)
    assert latest(found, intent) == latest(intent, found) == found
    known = merged(Standing(waiting=(intent,), pending=1), b"", (found,))
    assert interrupted(known) == ((), known)


def test_who_was_settled_waits_for_nothing() -> None:
    assert concluded([], [BEGUN, AGAIN], b"\0\1\2\0\0", NOW) == ()
    assert concluded([LATER], [], bytes(5), NOW) == (LATER,)
