"""One account of a batch: two that are merged are one, in any grouping and however often, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stentor.account import (
    INTERRUPTED,
    LONGEST_NOTE_DETAIL,
    Account,
    Failure,
    Receipt,
    Waiting,
    decode_account,
    decode_waiting,
    encode_account,
    encode_waiting,
    ends,
    merge,
    unknown,
)
from stentor.batch import LARGEST_BATCH
from stentor.errors import BatchUnreadable
from stentor.outcome import Outcome

SIZE = 4
EXPLAINED = (Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS)
LARGEST = 1_000_000
A, R, X, C, M, P = (
    Outcome.ACCEPTED,
    Outcome.REJECTED,
    Outcome.EXPIRED,
    Outcome.CANCELLED,
    Outcome.AMBIGUOUS,
    Outcome.PENDING,
)


@st.composite
def accounts(draw: st.DrawFn, outcomes: tuple[Outcome, ...] = tuple(Outcome)) -> Account:
    """Such as senders tell: whoever failed has a failure, and only who is pending waits."""
    column = draw(st.lists(st.sampled_from([P, *outcomes]), min_size=SIZE, max_size=SIZE))
    failures, waiting, receipts = [], [], []
    for at, outcome in enumerate(column):
        if outcome in EXPLAINED:
            reason, tries = draw(st.sampled_from(["Busy", "Gone"])), draw(st.integers(0, 2))
            status = draw(st.sampled_from([0, 410]))
            failures.append(Failure(position=at, outcome=outcome, reason=reason, status=status, tries=tries))
        if outcome is P and draw(st.booleans()):
            ambiguous, begun = draw(st.booleans()), draw(st.booleans())
            reason, when = draw(st.sampled_from(["Busy", INTERRUPTED])), draw(st.sampled_from([5.0, 6.0]))
            tries, since = draw(st.integers(0, 2)), draw(st.sampled_from([0, 3, 4]))
            waiting.append(Waiting(at, tries, when, reason, ambiguous, begun, since))
        if draw(st.booleans()):
            receipts.append(Receipt(at, 5.0, draw(st.sampled_from(["7", "8"])), draw(st.sampled_from(["", "-100"]))))
    return Account(outcomes=bytes(column), failures=tuple(failures), waiting=tuple(waiting), receipts=tuple(receipts))


def failure(position: int, outcome: Outcome = R, reason: str = "Gone", **other: object) -> Failure:
    return Failure(**{"position": position, "outcome": outcome, "reason": reason, **other})  # type: ignore[arg-type]


def is_doubted(account: Account, at: int) -> bool:
    """Whether it ends somebody so as can't be said of one who may have got the message. Whom our own checks refuse they
    refused before: those are never in doubt."""
    refused_here = any(each.position == at and not each.status for each in account.failures)
    return account.outcomes[at] in (X, C) or (account.outcomes[at] == R and not refused_here)


def agrees(account: Account) -> bool:
    """Whether it is such as `accounts` makes."""
    explained = [(at, outcome) for at, outcome in enumerate(account.outcomes) if outcome in EXPLAINED]
    waits = [each.position for each in account.waiting]
    given_at = [each.position for each in account.receipts]
    return (
        [(each.position, each.outcome) for each in account.failures] == explained
        and waits == sorted({at for at in waits if account.outcomes[at] == P})
        and given_at == sorted(set(given_at))
    )


# -- merging --------------------------------------------------------------------------------------------------------


@given(accounts(), accounts(), accounts())
def test_in_any_grouping_it_is_the_same(one: Account, two: Account, three: Account) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(accounts(), accounts())
def test_twice_is_once(one: Account, two: Account) -> None:
    both = merge(one, two)
    assert merge(one, one) == one
    assert merge(both, one) == merge(both, two) == merge(both, both) == both
    assert merge(one, both) == both


@given(accounts(), accounts())
def test_what_does_not_contradict_is_the_same_in_either_order(one: Account, two: Account) -> None:
    doubtful = [{each.position for each in account.waiting if each.ambiguous} for account in (one, two)]
    for at in range(SIZE):
        first, second = one.outcomes[at], two.outcomes[at]
        assume(P in (first, second))
        assume(not (at in doubtful[0] and is_doubted(two, at)) and not (at in doubtful[1] and is_doubted(one, at)))
    taken = {each.position: each for each in one.receipts}
    assume(all(taken.get(each.position, each) == each for each in two.receipts))
    assert merge(one, two) == merge(two, one)


@given(accounts())
def test_of_what_nothing_is_known_nothing_changes(one: Account) -> None:
    assert merge(one, unknown(SIZE)) == merge(unknown(SIZE), one) == one
    assert not unknown(SIZE)
    assert bool(one) == (one != unknown(SIZE))


@given(st.lists(accounts(), min_size=1, max_size=4))
def test_whatever_is_merged_everybody_who_failed_has_a_reason_and_only_who_is_pending_waits(
    told: list[Account],
) -> None:
    merged = reduce(merge, told)
    assert all(map(agrees, told))
    assert agrees(merged)
    assert merged.pending == merged.outcomes.count(P)


@given(st.lists(accounts(), min_size=1, max_size=4))
def test_the_first_terminal_outcome_stands_and_keeps_its_reason(told: list[Account]) -> None:
    merged = reduce(merge, told)
    for at in range(SIZE):
        first = next((each for each in told if each.outcomes[at] != P), None)
        if first is None:
            assert merged.outcomes[at] == P
            continue
        before = told[: told.index(first)]
        doubted = any(each.ambiguous for account in before for each in account.waiting if each.position == at)
        expected = M if doubted and is_doubted(first, at) else Outcome(first.outcomes[at])
        assert merged.outcomes[at] == expected
        reasons = [each.reason for each in first.failures if each.position == at]
        if expected is M and not reasons:  # it was cancelled, which needs no reason
            reasons = [INTERRUPTED]
        assert [each.reason for each in merged.failures if each.position == at] == reasons


@given(accounts(), accounts())
def test_the_first_receipt_of_each_stands(one: Account, two: Account) -> None:
    found = {each.position: each for each in merge(one, two).receipts}
    assert found == {each.position: each for each in (*two.receipts, *one.receipts)}


@given(st.lists(accounts(), max_size=4), st.sampled_from([R, X, C]), st.data())
def test_who_may_have_got_it_never_ends_as_one_whom_it_did_not_reach(
    later: list[Account], ending: Outcome, data: st.DataObject
) -> None:
    """Whatever comes after, and whatever is known of the next try by then."""
    doubt = Waiting(1, 1, 5.0, "NoAnswer", ambiguous=True)
    last = data.draw(accounts((ending,)))
    merged = reduce(merge, [*later, last], Account(outcomes=bytes(SIZE), waiting=(doubt,)))
    ended = next((each for each in [*later, last] if each.outcomes[1] != P), unknown(SIZE))
    assert merged.outcomes[1] not in (X, C)
    assert merged.outcomes[1] != R or not is_doubted(ended, 1)
    assert merged.outcomes[1] != P or [each.ambiguous for each in merged.waiting if each.position == 1] == [True]


@pytest.mark.parametrize(
    ("ended", "explained"),
    [
        (
            ends(2, [failure(1, R, "Unregistered", status=410, detail="gone", tries=2)]),
            ("Unregistered", 410, "gone", 2),
        ),
        (ends(2, [failure(1, X, "Busy", tries=3)]), ("Busy", 0, "", 3)),
        (ends(2, (), {1: C}), (INTERRUPTED, 0, "", 1)),
    ],
)
def test_who_may_have_got_it_is_ambiguous_for_the_reason_of_the_end(
    ended: Account, explained: tuple[str, int, str, int]
) -> None:
    doubt = Account(outcomes=bytes(2), waiting=(Waiting(1, 1, 5.0, "NoAnswer", ambiguous=True),))
    (found,) = merge(doubt, ended).failures
    assert (found.position, found.outcome) == (1, M)
    assert (found.reason, found.status, found.detail, found.tries) == explained


def test_whom_our_own_checks_refuse_is_refused() -> None:
    """They did so before as well, so that nothing was sent."""
    doubt = Account(outcomes=bytes(2), waiting=(Waiting(1, 1, 5.0, "NoAnswer", ambiguous=True),))
    refused = ends(2, [failure(1, reason="PayloadTooLarge")])
    assert merge(doubt, refused) == refused


def test_who_may_have_got_it_and_is_accepted_is_accepted() -> None:
    doubt = Account(outcomes=bytes(2), waiting=(Waiting(1, 1, 5.0, "NoAnswer", ambiguous=True),))
    assert merge(doubt, Account(outcomes=bytes([P, A]))) == Account(outcomes=bytes([P, A]))


def test_the_later_try_counts_of_two_that_concern_one_recipient() -> None:
    begun = Waiting(0, 1, 5.0, INTERRUPTED, begun=True)
    once, twice = Waiting(0, 1, 9.0, "Busy"), Waiting(0, 2, 6.0, "Busy")
    for order in ([once, twice, begun], [begun, twice, once]):
        told = [Account(outcomes=bytes(1), waiting=(each,)) for each in order]
        assert reduce(merge, told).waiting == (twice,)
    concluded = [
        Account(outcomes=bytes(1), waiting=(each,)) for each in (begun, msgspec.structs.replace(once, not_before=5.0))
    ]
    assert reduce(merge, concluded).waiting == reduce(merge, concluded[::-1]).waiting == concluded[1].waiting


@given(accounts())
def test_what_is_of_other_recipients_is_left_out(one: Account) -> None:
    for size in (0, SIZE - 1, SIZE + 1):
        assert merge(one, ends(size, (), dict.fromkeys(range(size), A))) == one


# -- what holds whoever has the lease ---------------------------------------------------------------------------------


@given(accounts())
def test_what_was_learnt_is_what_providers_said(one: Account) -> None:
    found = one.learnt()
    assert agrees(found)
    assert found.waiting == ()
    assert found.receipts == one.receipts
    tries = {each.position: each.tries for each in one.failures}
    for at, outcome in enumerate(one.outcomes):
        said = outcome == A or (outcome in (R, M) and tries[at] > 0)
        assert found.outcomes[at] == (outcome if said else P)
    assert [each for each in one.failures if found.outcomes[each.position]] == list(found.failures)
    assert found.learnt() == found
    assert merge(one, found) == one
    assert one.decided == (found.outcomes != one.outcomes)
    assert not found.decided


@given(accounts(), accounts())
def test_what_was_learnt_of_two_is_learnt_of_both_where_they_do_not_contradict(one: Account, two: Account) -> None:
    assume(not any(first and second for first, second in zip(one.outcomes, two.outcomes, strict=True)))
    assume(not any(each.ambiguous for account in (one, two) for each in account.waiting))
    assert merge(one, two).learnt() == merge(one.learnt(), two.learnt())


# -- as bytes ---------------------------------------------------------------------------------------------------------


@given(accounts())
def test_what_was_encoded_is_what_is_decoded(one: Account) -> None:
    assert decode_account(encode_account(one, LARGEST)) == one
    assert decode_waiting(encode_waiting(one.waiting)) == one.waiting


def test_nobody_waiting_is_no_column() -> None:
    assert encode_waiting(()) is None
    assert decode_waiting(None) == ()


def test_who_waits_is_a_few_bytes() -> None:
    assert len(encode_waiting((Waiting(999, 3, 1_800_000_000.0, "Busy"),)) or b"") < 24


@pytest.mark.parametrize("letter", ["x", "ü", "😀"])
def test_what_is_too_large_is_cut_to_the_size(letter: str) -> None:
    """At the details, which are for people to read."""
    long = [failure(at, reason="PayloadTooLarge", status=413, detail=letter * 3000, since=1.8e9) for at in range(1000)]
    account = ends(1000, long)
    encoded = encode_account(account, LARGEST_BATCH)
    assert len(encoded) <= LARGEST_BATCH
    found = decode_account(encoded)
    assert found.outcomes == account.outcomes
    assert [each.reason for each in found.failures] == ["PayloadTooLarge"] * 1000
    assert {each.detail for each in found.failures} == {letter * LONGEST_NOTE_DETAIL}
    smallest = encode_account(account, len(encoded) - 1)
    assert {each.detail for each in decode_account(smallest).failures} == {""}


def test_of_whom_too_many_failed_not_even_the_reasons_fit() -> None:
    """What is left out isn't known: everybody who is said to have failed has a reason."""
    size = 10_000
    account = ends(size, [failure(at, reason="Unregistered", status=410, dead=True) for at in range(1, size)], {0: A})
    encoded = encode_account(account, LARGEST_BATCH)
    assert len(encoded) <= LARGEST_BATCH
    found = decode_account(encoded)
    assert 0 < len(found.failures) < size - 1
    assert found.failures == account.failures[: len(found.failures)]
    assert found == ends(size, found.failures, {0: A})
    assert merge(account, found) == merge(found, account) == account


def test_what_is_not_too_large_is_kept_whole() -> None:
    account = ends(2, [failure(1, detail="x" * 3000)])
    exact = len(encode_account(account, LARGEST))
    assert decode_account(encode_account(account, exact)) == account


@pytest.mark.parametrize(
    "encoded",
    [b"", b"\xc1", msgspec.msgpack.encode({}), msgspec.msgpack.encode({"outcomes": 7}), b"\x91" * 2000],
)
def test_what_is_unreadable(encoded: bytes) -> None:
    with pytest.raises(BatchUnreadable, match="not an account"):
        decode_account(encoded)


BEYOND: list[Callable[[int], dict[str, object]]] = [
    lambda at: {"failures": [{"position": at, "outcome": 2, "reason": "r"}]},
    lambda at: {"waiting": [[at, 1, 5.0, "r"]]},
    lambda at: {"receipts": [[at, 5.0, "7"]]},
]


@pytest.mark.parametrize("position", [-1, 2])
@pytest.mark.parametrize("column", BEYOND)
def test_nobody_is_told_of_whom_the_batch_does_not_have(
    column: Callable[[int], dict[str, object]], position: int
) -> None:
    with pytest.raises(BatchUnreadable, match="doesn't have"):
        decode_account(msgspec.msgpack.encode({"outcomes": bytes(2), **column(position)}))


def test_what_a_later_one_adds_is_passed_over() -> None:
    more = {"outcomes": b"\1\0", "waiting": [[1, 1, 5.0, "r", True, False, 0, "+"]], "colour": "blue"}
    expected = Account(outcomes=b"\1\0", waiting=(Waiting(1, 1, 5.0, "r", ambiguous=True),))
    assert decode_account(msgspec.msgpack.encode(more)) == expected
