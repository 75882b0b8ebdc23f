"""What an earlier holder began: who may have got the message from a sender that died, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.account import Account, Failure, Waiting, latest, merge, unknown
from stentor.outcome import Outcome, Verdict
from stentor.providers.contract import Answer
from stentor.queue.contract import Lease
from stentor.recording.contract import Known
from stentor.sending.settling import called_off, concluded, due, end_all, inherit, intents

NOW = 1000.0
FRESH = Lease(id="b", lane="telegram/bot", campaign_id="c1", payload=b"", deliveries=1, token="t", until=0.0)
INHERITED = replace(FRESH, deliveries=2)
BEGUN = Waiting(1, 0, NOW, "Interrupted", begun=True)
AGAIN = Waiting(2, 3, NOW, "Interrupted", begun=True)
LATER = Waiting(3, 1, NOW + 60, "TooManyRequests")
ACCOUNT = Account(outcomes=b"\1\0\0\0\0", waiting=(BEGUN, AGAIN, LATER))
KNOWN = Known(account=ACCOUNT, beside=unknown(5))


def test_who_was_on_record_when_the_sender_died_ends_ambiguous_and_nobody_else() -> None:
    found = inherit(KNOWN, INHERITED, NOW, on_record=True)
    lost = (
        Failure(position=1, outcome=Outcome.AMBIGUOUS, reason="Interrupted", tries=1),
        Failure(position=2, outcome=Outcome.AMBIGUOUS, reason="Interrupted", tries=4),
    )
    assert found.account == Account(outcomes=b"\1\5\5\0\0", failures=lost, waiting=(LATER,))
    assert found.beside == Account(outcomes=b"\0\5\5\0\0", failures=lost)
    assert inherit(found, INHERITED, NOW, on_record=True) is found


def test_who_was_on_record_and_would_be_shown_one_alone_is_sent_again_and_in_doubt() -> None:
    found = inherit(KNOWN, INHERITED, NOW, on_record=True, repeats=lambda position: position == 2)
    doubt = Waiting(1, 0, NOW, "Interrupted", ambiguous=True)
    assert found.account.outcomes == b"\1\0\5\0\0"
    assert found.account.waiting == (doubt, LATER)
    assert found.beside.waiting == (doubt,)


def test_of_a_batch_whose_sender_died_everybody_who_could_be_sent_to_is_in_doubt() -> None:
    account = Account(outcomes=b"\1\0\0\0", waiting=(Waiting(2, 1, NOW - 5, "Busy"), LATER))
    found = inherit(Known(account=account, beside=unknown(4)), INHERITED, NOW, on_record=False)
    doubts = (Waiting(1, 0, NOW, "Interrupted", ambiguous=True), Waiting(2, 1, NOW - 5, "Busy", ambiguous=True))
    assert found.account.waiting == (*doubts, LATER)
    assert found.beside == Account(outcomes=bytes(4), waiting=doubts)
    assert due(found.account, NOW)[0] == [1, 2]


@pytest.mark.parametrize(("lease", "on_record"), [(FRESH, False), (INHERITED, True)])
def test_nobody_else_is_in_doubt(lease: Lease, *, on_record: bool) -> None:
    known = Known(account=Account(outcomes=bytes(3), waiting=()), beside=unknown(3))
    assert inherit(known, lease, NOW, on_record=on_record) is known


def test_what_was_lost_with_its_queue_and_put_again_is_in_doubt_too() -> None:
    known = Known(account=unknown(2), beside=unknown(2))
    found = inherit(known, replace(FRESH, again=True), NOW, on_record=False)
    assert [each.ambiguous for each in found.account.waiting] == [True, True]


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.EXPIRED, Outcome.REJECTED])
def test_who_is_in_doubt_ends_ambiguous_however_the_batch_ends(outcome: Outcome) -> None:
    known = inherit(Known(account=unknown(3), beside=unknown(3)), INHERITED, NOW, on_record=False)
    answer = None if outcome is Outcome.CANCELLED else Answer(verdict=Verdict.REJECT, reason="Lifetime")
    told = merge(known.beside, end_all(known.account, outcome, answer))
    assert told.outcomes == bytes([Outcome.AMBIGUOUS]) * 3
    assert [each.position for each in told.failures] == [0, 1, 2]
    assert {each.outcome for each in told.failures} == {Outcome.AMBIGUOUS}


def test_a_campaign_that_was_called_off_cancels_only_who_was_not_begun() -> None:
    of_a_chat = called_off(INHERITED, KNOWN, NOW, on_record=True).account
    assert of_a_chat is not None
    assert of_a_chat.outcomes == b"\0\5\5\4\4"
    assert [each.tries for each in of_a_chat.failures] == [1, 4]
    of_a_phone = called_off(INHERITED, Known(account=unknown(2), beside=unknown(2)), NOW, on_record=False).account
    assert of_a_phone is not None
    assert (of_a_phone.outcomes, {each.reason for each in of_a_phone.failures}) == (b"\5\5", {"Interrupted"})
    fresh = called_off(FRESH, Known(account=unknown(2), beside=unknown(2)), NOW, on_record=False).account
    assert fresh == Account(outcomes=b"\4\4")


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
    told = merge(Account(outcomes=bytes(1), waiting=(intent,)), Account(outcomes=bytes(1), waiting=(found,)))
    known = Known(account=told, beside=unknown(1))
    assert inherit(known, FRESH, NOW, on_record=True) is known


def test_who_was_settled_waits_for_nothing() -> None:
    assert concluded([], [BEGUN, AGAIN], b"\0\1\2\0\0", NOW) == ()
    assert concluded([LATER], [], bytes(5), NOW) == (LATER,)
