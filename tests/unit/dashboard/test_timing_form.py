"""A timing as a form: opening and saving it changes nothing, and what has no effect is left out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.dashboard.form import Form
from stentor.dashboard.timing_form import TimingForm, form_of_timing, read_timing
from stentor.errors import InvalidInput
from stentor.planning.contract import ANYTIME, Timing

TIMINGS = st.builds(
    Timing,
    local_at=st.sampled_from([None, "2026-12-01T18:00", "2026-12-01T00:05"]),
    past=st.sampled_from([None, "now", "skip", "tomorrow"]),
    no_zone=st.sampled_from([None, "skip", "now", "Europe/Berlin", "+02:00"]),
    quiet_hours=st.sampled_from([None, "22:00-08:00", "12:30-14:00"]),
    quiet_then=st.sampled_from(["hold", "expire"]),
    spread=st.sampled_from([0.0, 45.0, 60.0, 5400.0, 7200.0, 86_400.0]),
    canary=st.sampled_from([0.0, 0.01, 0.015, 0.5]),
)


def can_be_meant(timing: Timing) -> bool:
    try:
        timing.check()
    except InvalidInput:
        return False
    return True


@given(TIMINGS.filter(can_be_meant))
def test_a_form_means_the_timing_it_was_made_of(timing: Timing) -> None:
    shown = form_of_timing(timing)
    sent = Form([(f"timing.{name}", getattr(shown, name)) for name in TimingForm.__slots__])
    assert read_timing(sent) == shown
    assert read_timing(sent).timing(ANYTIME) == timing


def test_a_form_of_nothing_is_no_timing() -> None:
    """As a program that knows no such fields sends it."""
    assert read_timing(Form()).timing(ANYTIME) == ANYTIME


def test_what_a_form_has_no_field_for_stays() -> None:
    stored = Timing(local_at="2026-12-01 18:00:30", past_share=0.05, hold=True)
    shown = form_of_timing(stored)
    assert shown.timing(stored) == stored
    assert shown.timing(msgspec.structs.replace(stored, spread=60.0)) == Timing(
        local_at="2026-12-01T18:00", past_share=0.05, hold=True
    )
    ruled = TimingForm(local_at="2026-12-01T18:00", past="now")
    assert ruled.timing(stored) == Timing(local_at="2026-12-01T18:00", past="now", hold=True)


def test_rules_without_an_effect_are_left_out() -> None:
    assert TimingForm(past="now", no_zone="skip", quiet_then="expire").timing(ANYTIME) == ANYTIME


@pytest.mark.parametrize(
    ("filled", "field"),
    [
        (TimingForm(quiet_from="22:00"), "timing.quiet_hours"),
        (TimingForm(local_at="2026-12-01T18:00", no_zone="zone"), "timing.no_zone"),
        (TimingForm(local_at="2026-12-01T18:00", no_zone="zone", stand_in="Asia"), "timing.no_zone"),
        (TimingForm(local_at="tomorrow"), "timing.local_at"),
        (TimingForm(spread="soon"), "timing.spread"),
        (TimingForm(canary="half"), "timing.canary"),
        (TimingForm(canary="nan"), "timing.canary"),
    ],
)
def test_what_is_wrong_names_its_field(filled: TimingForm, field: str) -> None:
    with pytest.raises(InvalidInput) as found:
        filled.timing(ANYTIME).check()
    assert found.value.field == field
