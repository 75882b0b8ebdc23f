"""A timing: what can be meant, what is refused and how, and that it survives being stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from stentor.errors import InvalidInput
from stentor.planning.contract import ANYTIME, Timing, decode_timing, encode_timing

WHOLE = Timing(
    local_at="2026-12-01T18:00",
    no_zone="Europe/Berlin",
    past="tomorrow",
    quiet_hours="22:00-08:00",
    quiet_then="expire",
    spread=7200.0,
    canary=0.01,
    hold=True,
)


@pytest.mark.parametrize(
    "timing",
    [
        *(
            ANYTIME,
            WHOLE,
            Timing(quiet_hours="22:00-08:00"),
            Timing(quiet_hours="22:00-08:00", no_zone="+02:00"),
            Timing(canary=0.5),
        ),
        *(Timing(local_at="2026-12-01T18:00", past_share=0.05), Timing(local_at="2026-12-01T18:00", no_zone="skip")),
    ],
)
def test_what_can_be_meant(timing: Timing) -> None:
    timing.check()
    assert decode_timing(encode_timing(timing)) == timing


def test_everybody_at_once_is_stored_as_nothing() -> None:
    assert encode_timing(ANYTIME) is encode_timing(None) is None
    assert decode_timing(None) == ANYTIME


def test_a_rule_that_is_not_known_is_refused() -> None:
    """What a newer Stentor stored must not be left out."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `fastest`"):
        decode_timing(b'{"fastest": true}')


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"local_at": "18:00"}, "timing.local_at: '18:00' is not a day and a time; write e.g. 2030-01-31T18:00"),
        ({"local_at": "2026-02-30T18:00"}, "timing.local_at: '2026-02-30T18:00' is not a day and a time"),
        (
            {"local_at": "2026-12-01T18:00+01:00"},
            "names a zone; leave the +01:00 out: each recipient's own zone counts",
        ),
        ({"local_at": "2026-12-01T18:00Z"}, "names a zone; leave the Z out"),
        ({"local_at": "0026-12-01T18:00"}, "is not in this century or the next; check the date"),
        ({"local_at": "x" * 10_000}, "is not a day and a time"),
        ({"local_at": "\0"}, "is not a day and a time"),
        ({"quiet_hours": "22-8"}, "timing.quiet_hours: '22-8' are not quiet hours"),
        (
            {"quiet_hours": "22:00-08:00", "no_zone": "Asia"},
            "timing.no_zone: 'Asia' is not a time zone; write `skip`, `now`, or",
        ),
        ({"quiet_hours": "22:00-08:00", "no_zone": ""}, "timing.no_zone: '' is not a time zone"),
        ({"no_zone": "skip"}, "timing.no_zone: has no effect without `local_at` or `quiet_hours`; leave it out"),
        ({"past": "skip"}, "timing.past: is for campaigns at a local time; set `local_at`"),
        ({"past_share": 0.1}, "timing.past_share: is for campaigns at a local time"),
        ({"local_at": "2026-12-01T18:00", "past": "later"}, "timing.past: write one of now, skip, tomorrow"),
        (
            {"local_at": "2026-12-01T18:00", "past": "now", "past_share": 0.1},
            "timing.past_share: has no effect beside `past`",
        ),
        ({"local_at": "2026-12-01T18:00", "past_share": 1.5}, "timing.past_share: must be a share from 0 to 1"),
        ({"quiet_then": "expire"}, "timing.quiet_then: is for campaigns with quiet hours"),
        ({"quiet_hours": "22:00-08:00", "quiet_then": "drop"}, "timing.quiet_then: write one of hold, expire"),
        ({"canary": 1.0}, "timing.canary: must be a share above 0 and below 1"),
        ({"canary": -0.1}, "timing.canary: must be a share above 0 and below 1"),
        ({"canary": float("nan")}, "timing.canary: must be a share above 0 and below 1"),
        ({"spread": -1.0}, "timing.spread: must be between 0 seconds and 7 days"),
        ({"spread": float("inf")}, "timing.spread: must be between 0 seconds and 7 days"),
    ],
)
def test_what_is_refused_and_how(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput) as found:
        Timing(**values).check()
    assert problem in str(found.value)
    assert len(str(found.value)) < 200


@pytest.mark.parametrize("text", ["2026-12-01T18:00", "2026-12-01 18:00", " 2026-12-01T18:00:00 "])
def test_local_times_as_people_write_them(text: str) -> None:
    assert Timing(local_at=text).wall == datetime(2026, 12, 1, 18)
    assert Timing(local_at="2026-12-01 8:30").wall == datetime(2026, 12, 1, 8, 30)
