"""When a provider counts as silent, and until when."""

from __future__ import annotations

import pytest

from stentor.sending.silence import LINGER, LOOKS, SILENT, Silence


def look(silence: Silence, under_way: int, *moments: float, trouble: str = "") -> str | None:
    for now in moments:
        silence.look(under_way, trouble, now)
    return silence.problem.what if silence.problem else None


def asked(few: int = 0) -> Silence:
    """That of a lane whose last answer came at second 100."""
    silence = Silence(few)
    silence.hear(100.0)
    return silence


def test_a_provider_that_answers_nothing_is_named_after_some_seconds() -> None:
    silence = asked()
    assert look(silence, 7, 101.0, 102.0, 103.0, 104.0) is None
    told = look(silence, 7, 100.0 + SILENT)
    assert told == "the provider is connected, and has answered nothing for 5 seconds"
    assert "connected" in repr(silence)
    problem = silence.problem
    look(silence, 9, 200.0)
    assert silence.problem is problem, "so that it is told once"
    silence.hear(201.0)
    assert silence.problem is None
    assert look(silence, 9, 202.0) is None


def test_without_a_connection_it_is_told_why() -> None:
    told = look(asked(), 7, *(101.0 + second for second in range(9)), trouble="no route to host")
    assert told == "the provider has answered nothing for 5 seconds: no route to host"


def test_a_process_that_stood_still_reads_its_answers_first() -> None:
    silence = asked()
    assert look(silence, 7, 900.0) is None
    assert look(silence, 7, *(900.0 + second for second in range(1, LOOKS))) is not None


@pytest.mark.parametrize(("few", "under_way"), [(0, 0), (20, 20)])
def test_who_owes_no_answer_is_not_silent(few: int, under_way: int) -> None:
    silence = asked(few)
    assert look(silence, under_way, *(101.0 + second for second in range(60))) is None
    assert look(silence, under_way + 1, 162.0, 163.0, 164.0) is None, "it counts from the first request"


def test_between_two_tries_it_stays_silent_but_not_for_ever() -> None:
    silence = asked()
    look(silence, 7, 101.0, 102.0, 106.0)
    assert look(silence, 0, 110.0, 106.0 + LINGER) is not None
    assert look(silence, 0, 107.0 + LINGER) is None
