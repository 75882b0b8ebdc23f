"""The gate of a lane: what closes it, for how long, and what opens it again."""

from __future__ import annotations

import pytest

from stentor.sending.gate import DOWN_AFTER, FIRST_PAUSE, LONGEST_PAUSE, Gate, Pass


def silence(gate: Gate, now: float) -> None:
    gate.note(accepted=0, answered=0, down=1000, error="Unavailable", now=now)


def answers(gate: Gate, now: float, accepted: int = 1) -> None:
    gate.note(accepted=accepted, answered=1, down=0, error="", now=now)


def trial(gate: Gate, now: float) -> None:
    assert gate.look(now) is Pass.TRIAL
    gate.begin_trial()


def test_it_begins_open_and_unproven() -> None:
    gate = Gate()
    assert gate.look(0.0) is Pass.OPEN
    assert (gate.proven, gate.problem) == (False, None)


def test_the_provider_is_down_after_batches_in_a_row_that_nobody_answered() -> None:
    gate = Gate()
    for _ in range(DOWN_AFTER - 1):
        silence(gate, 0.0)
        assert gate.look(0.0) is Pass.OPEN
    silence(gate, 0.0)
    assert gate.look(0.0) is Pass.CLOSED
    assert gate.problem is not None
    assert "down: Unavailable" in gate.problem.what
    assert gate.problem.pause == FIRST_PAUSE
    assert "Unavailable" in repr(gate)


def test_any_answer_shows_that_it_is_not_down() -> None:
    gate = Gate()
    for _ in range(10):
        silence(gate, 0.0)
        silence(gate, 0.0)
        answers(gate, 0.0, accepted=0)
    assert gate.look(0.0) is Pass.OPEN
    assert not gate.proven


def test_a_batch_that_says_nothing_changes_nothing() -> None:
    gate = Gate()
    for _ in range(DOWN_AFTER + 1):
        gate.note(accepted=0, answered=0, down=0, error="", now=0.0)
    assert gate.look(0.0) is Pass.OPEN


def test_one_trial_is_let_through_and_no_other_before_its_answers() -> None:
    gate = Gate()
    gate.stop("wrong key", "mend it", 0.0)
    assert gate.look(FIRST_PAUSE - 0.01) is Pass.CLOSED
    trial(gate, FIRST_PAUSE)
    assert gate.look(FIRST_PAUSE + 100) is Pass.CLOSED
    gate.end_trial()
    assert gate.look(FIRST_PAUSE + 100) is Pass.TRIAL  # nothing came of it: another


@pytest.mark.parametrize("accepted", [0, 5])
def test_a_trial_that_is_answered_opens_it(accepted: int) -> None:
    gate = Gate()
    gate.stop("wrong key", "mend it", 0.0)
    trial(gate, 10.0)
    answers(gate, 10.0, accepted=accepted)
    gate.end_trial()
    assert gate.look(10.0) is Pass.OPEN
    assert gate.problem is None
    assert gate.proven == bool(accepted)


def test_each_failed_trial_doubles_the_pause_up_to_the_longest() -> None:
    gate = Gate()
    now, pauses = 0.0, []
    for number in range(9):
        if number:
            trial(gate, now)
        gate.stop("wrong key", "mend it", now)
        gate.end_trial()
        assert gate.problem is not None
        pauses.append(gate.problem.pause)
        now = gate.closed_until
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_what_else_was_under_way_when_it_closed_does_not_double_the_pause() -> None:
    gate = Gate()
    for number in range(DOWN_AFTER + 8):
        silence(gate, number / 100)
    assert gate.closed_until < FIRST_PAUSE + 0.1
    gate = Gate()
    for number in range(8):
        gate.stop("wrong key", "mend it", number / 100)
    assert gate.closed_until == FIRST_PAUSE
    problem = gate.problem
    gate.stop("wrong key", "mend it", 0.5)
    assert gate.problem is problem  # so that it is told once


def test_a_trial_that_nobody_answers_closes_it_at_once() -> None:
    gate = Gate()
    for _ in range(DOWN_AFTER):
        silence(gate, 0.0)
    trial(gate, 1.0)
    silence(gate, 1.0)
    assert gate.closed_until == 1.0 + 2 * FIRST_PAUSE


def test_opening_forgets_how_often_it_was_closed() -> None:
    gate = Gate()
    for now in (0.0, 10.0, 20.0):
        gate.stop("wrong key", "mend it", now)
    answers(gate, 30.0)
    gate.stop("wrong key", "mend it", 40.0)
    assert gate.closed_until == 40.0 + FIRST_PAUSE
    silence(gate, 50.0)  # this is a trial's
    assert gate.closed_until == 50.0 + 2 * FIRST_PAUSE


def test_a_stop_may_name_a_longer_pause() -> None:
    gate = Gate()
    gate.stop("too many tokens", "wait", 0.0, 1200.0)
    assert gate.look(1199.0) is Pass.CLOSED
    trial(gate, 1200.0)


def test_the_later_problem_is_the_one_that_is_told() -> None:
    gate = Gate()
    for _ in range(DOWN_AFTER):
        silence(gate, 0.0)
    gate.stop("wrong key", "mend it", 0.5, 5.0)
    assert gate.problem is not None
    assert (gate.problem.what, gate.problem.pause) == ("wrong key", 5.0)
    assert gate.closed_until == 5.5


def test_quiet_is_no_problem_and_needs_no_trial() -> None:
    gate = Gate()
    gate.throttle(30.0, 0.0)
    gate.throttle(10.0, 0.0)
    assert gate.problem is None
    assert gate.look(29.9) is Pass.CLOSED
    answers(gate, 5.0)  # of what was under way
    assert gate.look(29.9) is Pass.CLOSED
    assert gate.look(30.0) is Pass.OPEN


def test_quiet_is_told_from_other_reasons_to_be_closed() -> None:
    gate = Gate()
    gate.stop("wrong key", "mend it", 0.0, 60.0)
    assert not gate.is_quiet(1.0)
    gate.throttle(30.0, 0.0)
    assert gate.is_quiet(29.9)
    assert not gate.is_quiet(30.0)
    gate.throttle(90.0, 0.0)
    gate.reset()
    assert not gate.is_quiet(1.0)


def test_quiet_that_ends_later_keeps_a_stopped_gate_closed() -> None:
    gate = Gate()
    gate.stop("wrong key", "mend it", 0.0)
    gate.throttle(30.0, 0.0)
    assert gate.look(29.0) is Pass.CLOSED
    assert gate.look(30.0) is Pass.TRIAL


def test_changed_settings_are_tried_at_once_and_carefully() -> None:
    gate = Gate()
    answers(gate, 0.0)
    for now in (0.0, 10.0, 20.0, 30.0):
        gate.stop("wrong key", "mend it", now)
    gate.reset()
    assert not gate.proven
    assert gate.problem is not None  # until something is answered
    trial(gate, 30.1)
    gate.stop("wrong key", "mend it", 30.2)
    assert gate.closed_until == 30.2 + FIRST_PAUSE
