"""What answers ask for: every verdict with every scope, and what must hold whatever a provider says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.account import Waiting
from stentor.outcome import SETTLES, Outcome, Scope, Verdict
from stentor.providers.contract import Answer
from stentor.sending import retry
from stentor.sending.retry import ENOUGH_FOR_ALL, SOON, Circumstances, Decision, decide, wait

NOW = 1_800_000_000.0
HERE = Circumstances(
    now=NOW,
    deadline=NOW + 3600,
    longest_backoff=900.0,
    chance=0.5,
    collapses=True,
    proven=True,
    blamed=False,
    alike=True,
)
UNPROVEN = replace(HERE, proven=False)


def answer(verdict: Verdict, scope: Scope = Scope.ADDRESS, **other: Any) -> Answer:
    return Answer(**{"verdict": verdict, "reason": verdict.name, "status": 400, "scope": scope, **other})


BAD_TOKEN = answer(Verdict.DROP, reason="BadDeviceToken", stop_if_all=True)
MALFORMED = answer(Verdict.REJECT, status=0, reason="MalformedAddress")


def one(given: Answer, where: Circumstances = HERE, earlier: Waiting | None = None) -> Decision:
    """What the only answer to a batch of two asks for; the other recipient was accepted."""
    return decide(2, range(2), {1: given}, {1: earlier} if earlier else {}, where)


def all_of(size: int, given: Mapping[int, Answer], where: Circumstances) -> Decision:
    return decide(size, range(size), given, {}, where)


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_with_every_scope(verdict: Verdict, scope: Scope) -> None:
    decision = one(answer(verdict, scope))
    outcome = SETTLES.get(verdict, Outcome.PENDING)
    lane_alone = verdict is Verdict.REFRESH or (verdict is Verdict.STOP and scope is not Scope.PLATFORM)
    assert decision.outcomes == bytes([Outcome.ACCEPTED, outcome])
    assert [each.position for each in decision.waiting] == (
        [1] if outcome is Outcome.PENDING and not lane_alone else []
    )
    assert [each.position for each in decision.failures] == ([1] if outcome is Outcome.REJECTED else [])
    assert [each.dead for each in decision.failures] == ([verdict is Verdict.DROP] if decision.failures else [])
    assert (decision.stop is not None) == (verdict is Verdict.STOP and scope is not Scope.PLATFORM)
    assert decision.refresh == (verdict is Verdict.REFRESH)
    assert decision.hold == (verdict is Verdict.RETRY and scope is Scope.CREDENTIAL)
    assert decision.down == (verdict in (Verdict.RETRY, Verdict.RECONNECT, Verdict.AMBIGUOUS))
    assert decision.answered == 1 + (verdict in SETTLES)
    assert decision.accepted == 1
    assert decision.refusal is None


def test_all_accepted() -> None:
    decision = all_of(3, {}, HERE)
    assert decision == Decision(outcomes=bytearray(b"\1\1\1"), accepted=3, answered=3)


def test_who_was_not_sent_stays_as_it_was() -> None:
    decision = decide(5, [1, 3], {3: answer(Verdict.REJECT)}, {}, HERE)
    assert decision.outcomes == bytes([0, Outcome.ACCEPTED, 0, Outcome.REJECTED, 0])
    assert decision.accepted == 1


def test_an_answer_that_no_table_has_is_told() -> None:
    strange = answer(Verdict.RETRY, reason="Haiku", known=False)
    assert one(strange).unknown == [strange]


def test_what_we_refused_ourselves_says_nothing_of_the_provider() -> None:
    assert all_of(1, {0: MALFORMED}, HERE).answered == 0


def test_a_dead_address_without_a_date_is_dead_as_of_the_answer() -> None:
    (undated,) = one(answer(Verdict.DROP)).failures
    (dated,) = one(answer(Verdict.DROP, since=7.0)).failures
    (refused,) = one(answer(Verdict.REJECT)).failures
    assert (undated.since, dated.since, refused.since) == (NOW, 7.0, None)


# -- how long ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, [0.5, 1.0, 2.0, 4.0]), (1.0, [1.0, 2.0, 4.0, 8.0])])
def test_backoff_doubles_within_its_jitter(chance: float, seconds: list[float]) -> None:
    where = replace(HERE, chance=chance)
    assert [wait(answer(Verdict.RETRY), tries, where) for tries in (1, 2, 3, 4)] == seconds
    assert [wait(answer(Verdict.RECONNECT), tries, where) for tries in (1, 2, 3, 4)] == [each / 4 for each in seconds]


def test_what_the_provider_asks_is_not_capped_and_what_our_table_says_is() -> None:
    where = replace(HERE, longest_backoff=10.0, chance=0.0)
    assert wait(answer(Verdict.RETRY, retry_after=3000.0, asked=True), 1, where) == 3000.0 + SOON
    assert wait(answer(Verdict.RETRY, retry_after=3000.0), 1, where) == 10.0 + SOON


@given(
    st.sampled_from(Verdict),
    st.sampled_from(Scope),
    st.none() | st.floats(0, 3600),
    st.booleans(),
    st.integers(1, 2000),
    st.floats(0, 1),
    st.floats(0.001, 4000),
)
def test_no_wait_is_shorter_than_asked_or_longer_than_allowed(
    verdict: Verdict, scope: Scope, after: float | None, asked: bool, tries: int, chance: float, longest: float
) -> None:
    where = replace(HERE, chance=chance, longest_backoff=longest)
    seconds = wait(answer(verdict, scope, retry_after=after, asked=asked), tries, where)
    if after and asked:
        assert seconds >= after + SOON  # a sender may be so much too early
        assert seconds <= max(after * 1.1 + SOON, longest, retry.PLATFORM_WAIT)
    elif verdict is not Verdict.STOP:
        assert seconds <= longest * 1.1 + SOON
    assert seconds > 0


def test_whoever_waits_for_its_platform_waits_as_long_as_is_asked() -> None:
    asked = answer(Verdict.STOP, Scope.PLATFORM, retry_after=1000.0, asked=True)
    assert wait(asked, 1, HERE) >= 1000
    assert wait(answer(Verdict.STOP, Scope.PLATFORM), 1, HERE) == retry.PLATFORM_WAIT


def test_tries_are_carried_over() -> None:
    earlier = Waiting(1, 3, NOW - 1, "ServiceUnavailable")
    (again,) = one(answer(Verdict.RETRY), earlier=earlier).waiting
    assert (again.tries, again.reason, again.not_before) == (4, "RETRY", NOW + 8.0 * 0.75)
    (failure,) = one(answer(Verdict.DROP), earlier=earlier).failures
    assert failure.tries == 4


def test_waiting_for_the_lane_is_no_try() -> None:
    for given_answer in (answer(Verdict.STOP, Scope.LANE), answer(Verdict.REFRESH, Scope.CREDENTIAL)):
        decision = one(given_answer, earlier=Waiting(1, 3, NOW - 1, "x"))
        assert (decision.outcomes[1], decision.waiting, decision.failures) == (Outcome.PENDING, [], [])


# -- the end of a lifetime ---------------------------------------------------------------------------------------------


def test_what_cannot_be_tried_in_time_expires_with_the_last_reason() -> None:
    late = answer(Verdict.RETRY, reason="TooManyRequests", status=429, retry_after=3600.0, asked=True, detail="calm")
    decision = one(late)
    (failure,) = decision.failures
    assert (decision.outcomes[1], decision.waiting) == (Outcome.EXPIRED, [])
    assert (failure.outcome, failure.reason, failure.status) == (Outcome.EXPIRED, "TooManyRequests", 429)
    assert (failure.detail, failure.dead, failure.tries) == ("calm", False, 1)


def test_what_may_have_been_accepted_once_never_counts_as_expired() -> None:
    earlier = Waiting(1, 1, NOW - 1, "NoAnswer", ambiguous=True)
    decision = one(answer(Verdict.RETRY, retry_after=3600.0, asked=True), earlier=earlier)
    assert decision.outcomes[1] == decision.failures[0].outcome == Outcome.AMBIGUOUS
    (again,) = one(answer(Verdict.RETRY), earlier=earlier).waiting
    assert again.ambiguous


UNREACHABLE = answer(Verdict.WAIT, Scope.CONNECTION, status=0, reason="UnknownHost", retry_after=60.0, asked=True)


@pytest.mark.parametrize(
    "failed", [answer(Verdict.RETRY), answer(Verdict.RECONNECT), answer(Verdict.AMBIGUOUS), UNREACHABLE]
)
def test_who_fails_for_too_long_is_given_up_however_long_the_message_lives(failed: Answer) -> None:
    where = replace(HERE, deadline=NOW + 28 * 86_400, give_up_after=600.0)
    (first,) = one(failed, where).waiting
    assert first.failing_since == NOW
    (again,) = one(failed, replace(where, now=NOW + 500), first).waiting
    assert again.failing_since == NOW
    decision = one(failed, replace(where, now=NOW + 599.9), again)
    assert (decision.waiting, decision.failures[0].reason) == ([], failed.reason)
    ambiguous = failed.verdict is Verdict.AMBIGUOUS
    assert decision.outcomes[1] == (Outcome.AMBIGUOUS if ambiguous else Outcome.EXPIRED)
    (patient,) = one(failed, replace(where, now=NOW + 599.9, give_up_after=math.inf), again).waiting
    assert patient.failing_since == NOW


def test_neither_our_own_pace_nor_wrong_credentials_give_anybody_up() -> None:
    where = replace(HERE, deadline=NOW + 28 * 86_400, give_up_after=1.0)
    pace = answer(Verdict.WAIT, reason="Pace", status=0, retry_after=40.0, asked=True)
    for waits in (pace, answer(Verdict.STOP, Scope.PLATFORM)):
        (again,) = one(waits, where).waiting
        assert again.failing_since == 0


@pytest.mark.parametrize("collapses", [True, False])
def test_an_ambiguous_one_is_sent_again_only_where_pushes_collapse(collapses: bool) -> None:
    decision = one(answer(Verdict.AMBIGUOUS, reason="NoAnswer"), replace(HERE, collapses=collapses))
    assert decision.outcomes[1] == (Outcome.PENDING if collapses else Outcome.AMBIGUOUS)
    assert [each.ambiguous for each in decision.waiting] == ([True] if collapses else [])
    assert [each.reason for each in decision.failures] == ([] if collapses else ["NoAnswer"])
    assert decision.down == 1


# -- who is at fault ---------------------------------------------------------------------------------------------------


def test_when_all_are_refused_so_it_is_the_settings_and_nobody_is_dropped() -> None:
    decision = all_of(ENOUGH_FOR_ALL, dict.fromkeys(range(ENOUGH_FOR_ALL), BAD_TOKEN), UNPROVEN)
    assert (decision.stop, decision.blamed) == (BAD_TOKEN, True)
    assert decision.outcomes == bytes(ENOUGH_FOR_ALL)
    assert (decision.failures, decision.waiting, decision.answered) == ([], [], 0)


@pytest.mark.parametrize(
    ("size", "accepted", "where"),
    [
        (ENOUGH_FOR_ALL - 1, 0, UNPROVEN),
        (ENOUGH_FOR_ALL, 1, UNPROVEN),
        (ENOUGH_FOR_ALL, 0, HERE),
    ],
    ids=["too few", "one accepted", "proven"],
)
def test_otherwise_each_is_dropped(size: int, accepted: int, where: Circumstances) -> None:
    decision = all_of(size + accepted, dict.fromkeys(range(size), BAD_TOKEN), where)
    assert (decision.stop, decision.blamed) == (None, False)
    assert [failure.dead for failure in decision.failures] == [True] * size


@pytest.mark.parametrize(
    "other",
    [
        MALFORMED,
        answer(Verdict.RETRY, status=503),
        answer(Verdict.RECONNECT, status=0),
        answer(Verdict.AMBIGUOUS, status=0),
        answer(Verdict.STOP, Scope.LANE),
        answer(Verdict.DROP, reason="Unregistered", status=410),
    ],
    ids=lambda other: other.reason,
)
def test_a_few_other_answers_do_not_hide_that_it_is_the_settings(other: Answer) -> None:
    given_answers = dict.fromkeys(range(100), BAD_TOKEN) | dict.fromkeys(range(100, 105), other)
    decision = all_of(105, given_answers, UNPROVEN)
    assert decision.blamed
    assert not decision.outcomes[:100].strip(b"\0")
    assert not any(failure.dead for failure in decision.failures)


def test_many_other_refusals_show_that_the_settings_are_right() -> None:
    gone = answer(Verdict.DROP, reason="Unregistered", status=410)
    decision = all_of(60, dict.fromkeys(range(30), BAD_TOKEN) | dict.fromkeys(range(30, 60), gone), UNPROVEN)
    assert not decision.blamed
    assert len(decision.failures) == 60


def test_who_is_blamed_already_is_blamed_after_a_trial_of_a_few() -> None:
    decision = all_of(3, {0: BAD_TOKEN, 1: BAD_TOKEN, 2: MALFORMED}, replace(UNPROVEN, blamed=True))
    assert decision.blamed
    assert decision.outcomes == bytes([0, 0, Outcome.REJECTED])


def test_a_message_that_is_refused_for_all_is_told() -> None:
    fix = answer(Verdict.FIX, Scope.MESSAGE)
    everybody = dict.fromkeys(range(ENOUGH_FOR_ALL), fix)
    decision = all_of(ENOUGH_FOR_ALL + 1, everybody | {ENOUGH_FOR_ALL: MALFORMED}, HERE)
    assert decision.refusal == fix
    assert set(decision.outcomes) == {Outcome.REJECTED}
    assert all_of(ENOUGH_FOR_ALL + 1, everybody, HERE).refusal is None  # one was accepted
    assert all_of(ENOUGH_FOR_ALL - 1, dict.fromkeys(range(ENOUGH_FOR_ALL - 1), fix), HERE).refusal is None
    mixed = everybody | {ENOUGH_FOR_ALL: answer(Verdict.REJECT)}
    assert all_of(ENOUGH_FOR_ALL + 1, mixed, HERE).refusal is None


def test_a_refusal_of_texts_that_differ_concerns_those_who_got_them() -> None:
    everybody = dict.fromkeys(range(ENOUGH_FOR_ALL), answer(Verdict.FIX, Scope.MESSAGE))
    decision = all_of(ENOUGH_FOR_ALL, everybody, replace(HERE, alike=False))
    assert decision.refusal is None
    assert set(decision.outcomes) == {Outcome.REJECTED}
    assert {each.reason for each in decision.failures} == {"FIX"}


def test_a_lane_is_quiet_when_many_are_told_that_it_is_too_fast() -> None:
    calm = answer(Verdict.RETRY, Scope.LANE, status=429, retry_after=60.0, asked=True)
    longer = replace(calm, retry_after=90.0)
    assert all_of(100, dict.fromkeys(range(9), calm), HERE).throttle == 0.0
    assert all_of(100, dict.fromkeys(range(9), calm) | {9: longer}, HERE).throttle == 90.0
    ours = replace(calm, asked=False)
    assert all_of(10, dict.fromkeys(range(10), ours), replace(HERE, longest_backoff=5.0)).throttle == 5.0


# -- whatever comes ----------------------------------------------------------------------------------------------------

ANSWERS = st.builds(
    answer,
    st.sampled_from(Verdict),
    st.sampled_from(Scope),
    status=st.sampled_from([0, 400, 503]),
    retry_after=st.none() | st.floats(0, 3600),
    asked=st.booleans(),
    since=st.none() | st.just(5.0),
    stop_if_all=st.booleans(),
    known=st.booleans(),
)
CIRCUMSTANCES = st.builds(
    Circumstances,
    now=st.just(NOW),
    deadline=st.floats(NOW - 5, NOW + 4000),
    longest_backoff=st.floats(0.1, 1000),
    chance=st.floats(0, 1),
    collapses=st.booleans(),
    proven=st.booleans(),
    blamed=st.booleans(),
)


# -- our own pace, and calls for quiet ---------------------------------------------------------------------------------


def test_whose_turn_is_later_waits_without_a_try() -> None:
    later = answer(Verdict.WAIT, reason="Pace", status=0, retry_after=40.0, asked=True)
    assert one(later).waiting == [Waiting(1, 0, NOW + 40, "Pace")]
    tried = Waiting(1, 3, NOW - 1, "Overloaded", ambiguous=True)
    decision = one(later, earlier=tried)
    assert decision.waiting == [Waiting(1, 3, NOW + 40, "Overloaded", ambiguous=True)]
    assert (decision.accepted, decision.answered, decision.down) == (1, 1, 0)


@pytest.mark.parametrize(("ambiguous", "outcome"), [(False, Outcome.EXPIRED), (True, Outcome.AMBIGUOUS)])
def test_whose_turn_comes_too_late_ends(ambiguous: bool, outcome: Outcome) -> None:
    later = answer(Verdict.WAIT, reason="Pace", status=0, retry_after=40.0, asked=True)
    earlier = Waiting(1, 1, NOW - 1, "NoAnswer", ambiguous=ambiguous)
    assert one(later, replace(HERE, deadline=NOW + 40), earlier).outcomes[1] == outcome


def test_who_waits_does_not_hide_that_the_message_is_refused() -> None:
    wrong, later = answer(Verdict.FIX), answer(Verdict.WAIT, status=0, retry_after=1.0)
    given_answers = dict.fromkeys(range(ENOUGH_FOR_ALL), wrong) | {ENOUGH_FOR_ALL: later}
    assert all_of(ENOUGH_FOR_ALL + 1, given_answers, HERE).refusal == wrong


def test_one_answer_of_an_account_that_is_too_fast_is_enough() -> None:
    def throttle(scope: Scope) -> float:
        too_fast = answer(Verdict.RETRY, scope, retry_after=35.0, asked=True)
        return all_of(100, {7: too_fast}, HERE).throttle

    assert (throttle(Scope.ACCOUNT), throttle(Scope.LANE), throttle(Scope.ADDRESS)) == (35.0, 0.0, 0.0)


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, list[int], dict[int, Answer], dict[int, Waiting]]:
    size = draw(st.integers(1, 40))
    sent = draw(st.lists(st.integers(0, size - 1), unique=True, min_size=1).map(sorted))
    few = draw(st.lists(ANSWERS, min_size=1, max_size=3))
    answered = draw(st.lists(st.sampled_from(sent), unique=True))
    before = {
        position: Waiting(position, draw(st.integers(1, 9)), NOW - 1, "before", draw(st.booleans()))
        for position in draw(st.lists(st.integers(0, size - 1), unique=True, max_size=5))
    }
    return size, sent, {position: draw(st.sampled_from(few)) for position in answered}, before


@given(batches(), CIRCUMSTANCES)
def test_each_ends_settled_or_waiting(
    batch: tuple[int, list[int], dict[int, Answer], dict[int, Waiting]], where: Circumstances
) -> None:
    size, sent, answers, before = batch
    decision = decide(size, sent, answers, before, where)
    waiting = {each.position: each for each in decision.waiting}
    failed = {each.position: each for each in decision.failures}
    assert len(decision.outcomes) == size
    assert (len(waiting), len(failed)) == (len(decision.waiting), len(decision.failures))
    for position in range(size):
        outcome = Outcome(decision.outcomes[position])
        given_answer = answers.get(position)
        if position not in sent:
            assert outcome is Outcome.PENDING
            assert position not in waiting
            assert position not in failed
        elif given_answer is None:
            assert outcome is Outcome.ACCEPTED
        elif outcome is Outcome.PENDING:
            assert position not in failed
            assert (position in waiting) or decision.stop or decision.refresh
        else:
            assert position not in waiting
            assert (position in failed) == (outcome is not Outcome.ACCEPTED)
    for position, each in waiting.items():
        given_answer = answers[position]
        assert each.not_before < where.deadline
        assert given_answer.verdict not in SETTLES
        if given_answer.asked and given_answer.retry_after:
            assert each.not_before >= NOW + given_answer.retry_after
        tried = given_answer.verdict is not Verdict.WAIT
        assert each.tries == (before[position].tries if position in before else 0) + tried
        assert each.ambiguous >= (position in before and before[position].ambiguous)
        assert where.collapses or given_answer.verdict is not Verdict.AMBIGUOUS
    assert not any(decision.blamed and failure.dead for failure in decision.failures)
    assert decision.accepted <= decision.answered <= len(sent)
