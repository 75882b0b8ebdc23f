"""A timing in words."""

from __future__ import annotations

from typing import Any

import pytest

from stentor.planning.contract import Timing
from stentor.planning.timing.sentences import described_timing

AT_SIX: dict[str, Any] = {"local_at": "2026-12-01T18:00"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ""),
        (AT_SIX, "at 2026-12-01 18:00 on each recipient's clock"),
        (
            {**AT_SIX, "past": "skip", "no_zone": "skip"},
            "at 2026-12-01 18:00 on each recipient's clock, nothing if that is past; without a time zone nothing",
        ),
        (
            {**AT_SIX, "past": "tomorrow", "no_zone": "+02:00"},
            "at 2026-12-01 18:00 on each recipient's clock, the next day if that is past; without a time zone as in"
            " +02:00",
        ),
        (
            {"quiet_hours": "22:00-08:00", "no_zone": "now"},
            "quiet hours 22:00-08:00, then sent when they end; without a time zone at once",
        ),
        (
            {"quiet_hours": "22:00-08:00", "quiet_then": "expire", "no_zone": "skip"},
            "quiet hours 22:00-08:00, who falls into them gets nothing; without a time zone nothing",
        ),
        ({"spread": 7200.0, "canary": 0.01}, "spread over 2 h; 1 % first, the others wait to be released"),
        ({"spread": 5400.0}, "spread over 90 min"),
        ({"spread": 45.5, "hold": True}, "spread over 45.5 s; everybody waits to be released"),
    ],
)
def test_in_a_line(values: dict[str, Any], said: str) -> None:
    assert described_timing(Timing(**values)) == said
