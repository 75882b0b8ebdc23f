"""Outcomes and verdicts: which are terminal, and that columns of them are bytes."""

from __future__ import annotations

import pytest

from stentor.outcome import SETTLES, Outcome, Verdict


@pytest.mark.parametrize("outcome", Outcome)
def test_all_but_pending_are_terminal(outcome: Outcome) -> None:
    assert outcome.is_terminal is (outcome is not Outcome.PENDING)


def test_a_new_column_is_pending() -> None:
    assert set(bytearray(3)) == {Outcome.PENDING}


def test_both_fit_a_byte_and_have_no_doubles() -> None:
    for kind in (Outcome, Verdict):
        assert bytes(sorted(kind)) == bytes(range(len(kind)))


def test_verdicts_that_settle_give_terminal_outcomes() -> None:
    assert all(outcome.is_terminal for outcome in SETTLES.values())
    waiting = {
        Verdict.WAIT,
        Verdict.RETRY,
        Verdict.STOP,
        Verdict.REFRESH,
        Verdict.REROUTE,
        Verdict.RECONNECT,
        Verdict.AMBIGUOUS,
    }
    assert set(SETTLES) == set(Verdict) - waiting
