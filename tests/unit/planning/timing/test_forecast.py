"""What a timing means for an audience, zone by zone, and when a start is refused."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidInput
from stentor.planning.contract import Timing
from stentor.planning.timing.assigning import assign
from stentor.planning.timing.forecast import Forecast, forecast, notes, refuse_unruled
from stentor.zones import names

NOW = datetime.fromisoformat("2026-12-01T12:00Z").timestamp()
AT_SIX: dict[str, Any] = {"local_at": "2026-12-01T18:00"}
COUNTS: dict[str | None, int] = {
    "Europe/Berlin": 600,
    " europe/berlin ": 100,
    "Asia/Tokyo": 200,
    "America/New_York": 50,
    None: 30,
    "Asia": 20,
}


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def of(timing: Timing, rate: float = 1e9, counts: dict[str | None, int] = COUNTS) -> Forecast:
    timing.check()
    return forecast(timing, counts, NOW, rate)


def refused(timing: Timing, counts: dict[str | None, int] = COUNTS) -> str | None:
    try:
        refuse_unruled(of(timing, counts=counts))
    except InvalidInput as error:
        return str(error)
    return None


def test_zones_in_the_order_of_their_times() -> None:
    found = of(Timing(**AT_SIX, no_zone="UTC", past="tomorrow"))
    assert [(each.zone, each.recipients, each.first, each.is_past) for each in found.zones] == [
        ("Europe/Berlin", 700, epoch("2026-12-01T18:00+01:00"), False),
        ("", 50, epoch("2026-12-01T18:00+00:00"), False),
        ("America/New_York", 50, epoch("2026-12-01T18:00-05:00"), False),
        ("Asia/Tokyo", 200, epoch("2026-12-02T18:00+09:00"), True),
    ]
    assert (found.recipients, found.past, found.without_zone, found.left_out) == (1000, 200, 50, {})
    assert found.first == epoch("2026-12-01T18:00+01:00")


def test_who_gets_nothing_comes_last_and_is_counted() -> None:
    found = of(Timing(**AT_SIX, no_zone="skip", past="skip"))
    assert [each.zone for each in found.zones] == ["Europe/Berlin", "America/New_York", "Asia/Tokyo", ""]
    assert found.left_out == {"NoZone": 50, "PastLocalTime": 200}
    assert [(each.first, each.last) for each in found.zones[2:]] == [(None, None)] * 2


def test_waves_wait_for_one_another_at_a_pace() -> None:
    """700 in Berlin take 7000 s from 18:00 on; London's 18:00 comes 3600 s later."""
    counts: dict[str | None, int] = {"Europe/Berlin": 600, "Europe/Paris": 100, "Europe/London": 100}
    found = of(Timing(**AT_SIX), rate=0.1, counts=counts)
    six = epoch("2026-12-01T18:00+01:00")
    assert [(each.zone, each.first, each.last) for each in found.zones] == [
        ("Europe/Berlin", six, six + 7000),
        ("Europe/Paris", six, six + 7000),
        ("Europe/London", six + 7000, six + 8000),
    ]


def test_a_wave_that_cannot_end_before_the_quiet_hours_says_so() -> None:
    timing = Timing(**AT_SIX, past="now", no_zone="now", quiet_hours="22:00-08:00")
    assert not any(each.runs_into_quiet for each in of(timing).zones)
    slow = of(timing, rate=0.04)
    assert [each.zone for each in slow.zones if each.runs_into_quiet] == ["Asia/Tokyo", "Europe/Berlin"]
    assert slow.zones[-1].quiet_at == epoch("2026-12-01T22:00-05:00")
    assert notes(slow)[-1] == (
        "at this pace not all 900 recipients in Asia/Tokyo, Europe/Berlin can be sent to before the quiet hours"
        " 22:00-08:00 begin"
    )


def test_a_spread_that_runs_into_the_quiet_hours() -> None:
    """21:00 in Berlin, spread over two hours: half of it goes in the morning, or not at all."""
    counts: dict[str | None, int] = {"Europe/Berlin": 2400}
    timing = Timing(local_at="2026-12-01T21:00", spread=7200.0, quiet_hours="22:00-08:00")
    (held,) = of(timing, counts=counts).zones
    assert held.first == epoch("2026-12-01T21:00+01:00")
    assert held.last == pytest.approx(epoch("2026-12-02T08:00+01:00"), abs=1)
    (expired,) = of(
        Timing(local_at="2026-12-01T21:00", spread=7200.0, quiet_hours="22:00-08:00", quiet_then="expire"),
        counts=counts,
    ).zones
    assert expired.left_out == {"QuietExpired": 1200}
    assert expired.last == pytest.approx(epoch("2026-12-01T21:55+01:00"), abs=1)


@pytest.mark.parametrize(
    ("timing", "says"),
    [
        (Timing(), None),
        (Timing(spread=60.0, canary=0.01), None),
        (Timing(**AT_SIX, no_zone="skip", past="now"), None),
        (
            Timing(**AT_SIX, past="now"),
            "timing.no_zone: 50 recipients (5.0 %) have no time zone that is known; say what happens to them: `skip`"
            " (leave them out), `now`, or a zone that stands in, such as Europe/Berlin",
        ),
        (
            Timing(**AT_SIX, no_zone="skip"),
            "timing.past: 200 recipients (20.0 %) have a clock that is past 2026-12-01T18:00 (Asia/Tokyo); say what"
            " happens to them: `now`, `skip` (leave them out) or `tomorrow`",
        ),
        (Timing(**AT_SIX, no_zone="skip", past_share=0.19), "timing.past: 200 recipients (20.0 %)"),
        (Timing(**AT_SIX, no_zone="skip", past_share=0.2), None),
        (Timing(quiet_hours="22:00-08:00"), "timing.no_zone: 50 recipients (5.0 %)"),
        (Timing(**AT_SIX, no_zone="Asia/Tokyo"), "timing.past: 250 recipients (25.0 %) have a clock"),
    ],
)
def test_a_start_without_a_rule_is_refused(timing: Timing, says: str | None) -> None:
    found = refused(timing)
    assert found == says if says is None or found is None else found.startswith(says)
    told = notes(of(timing))
    assert any("it cannot be started so" in each for each in told) == (says is not None)


def test_a_rule_that_nobody_needs_may_be_left_out() -> None:
    assert refused(Timing(**AT_SIX), {"Europe/Berlin": 5}) is None
    assert refused(Timing(**AT_SIX), {}) is None
    assert refused(Timing(**AT_SIX), {"Asia/Tokyo": 1}) == (
        "timing.past: 1 recipient has a clock that is past 2026-12-01T18:00 (Asia/Tokyo); say what happens to them:"
        " `now`, `skip` (leave them out) or `tomorrow`"
    )


def test_notes_say_who_gets_nothing() -> None:
    timing = Timing(**AT_SIX, no_zone="skip", past="skip", quiet_hours="18:00-19:00", quiet_then="expire")
    assert notes(of(timing)) == [
        "750 recipients are in the quiet hours 18:00-19:00 and will get nothing (QuietExpired)",
        "200 recipients are past the local time and will get nothing (PastLocalTime)",
        "50 recipients have no time zone that is known and will get nothing (NoZone)",
    ]


ZONES = [*names()[::29], None, "Asia", "junk", "+03:00"]


@given(
    st.dictionaries(st.sampled_from(ZONES), st.integers(1, 40), min_size=1, max_size=8),
    st.sampled_from(["skip", "now", "Europe/Berlin"]),
    st.sampled_from(["now", "skip", "tomorrow"]),
    st.sampled_from([None, "22:00-08:00", "11:00-14:00"]),
    st.sampled_from([0.5, 1e9]),
)
def test_it_is_what_the_plan_does(
    counts: dict[str | None, int], no_zone: str, past: Any, quiet: str | None, rate: float
) -> None:
    timing = Timing(**AT_SIX, no_zone=no_zone, past=past, quiet_hours=quiet, quiet_then="expire" if quiet else "hold")
    found = of(timing, rate, counts)
    said = [zone for zone, count in counts.items() for _ in range(count)]
    instants, left_out = assign(timing, [b"%d" % number for number in range(len(said))], said, NOW, "c")
    assert found.left_out == Counter(each.reason for each in left_out.values())
    assert found.recipients == len(said) == sum(each.recipients for each in found.zones)
    sent = [at or NOW for key, at in enumerate(instants) if b"%d" % key not in left_out]
    assert found.first == min(sent, default=None)
    if sent:
        assert found.last is not None
        assert max(sent) <= found.last <= max(sent) + len(sent) / rate + 1
    for each in found.zones:
        assert (each.first is None) == (sum(each.left_out.values()) == each.recipients)
