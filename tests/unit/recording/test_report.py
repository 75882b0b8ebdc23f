"""The arithmetic of progress and report."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.recording.report import LaneCounts, Report, _array_length, total
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign

COUNTS = st.builds(LaneCounts, **{each.name: st.integers(0, 1000) for each in fields(LaneCounts)})
CAMPAIGN = Campaign(
    id="c1", title="t", state=CampaignState.RUNNING, audience=b"{}", collapse_id="c1", created_at=90.0, starts_at=100.0
)
REPORT = Report(
    campaign=CAMPAIGN,
    lanes={"apns/ios": LaneCounts(read=30, accepted=20), "fcm/android": LaneCounts(read=10, rejected=5, cancelled=5)},
    reasons={},
    dead=0,
    dead_letters=0,
    at=110.0,
)


@given(st.lists(COUNTS))
def test_a_total_is_the_sum_of_each_place(lanes: list[LaneCounts]) -> None:
    summed = total(lanes)
    for each in fields(LaneCounts):
        assert getattr(summed, each.name) == sum(getattr(lane, each.name) for lane in lanes)


@given(COUNTS)
def test_pending_and_settled_are_all_the_places(counts: LaneCounts) -> None:
    places = [getattr(counts, each.name) for each in fields(LaneCounts) if each.name != "read"]
    assert counts.pending + counts.settled == sum(places)
    assert counts.failed == counts.settled - counts.accepted - counts.cancelled


@pytest.mark.parametrize("length", [0, 1, 15, 16, 1000, 65_535, 65_536])
def test_the_length_of_an_array_is_in_its_first_bytes(length: int) -> None:
    assert _array_length(msgspec.msgpack.encode([0] * length)[:5]) == length


@pytest.mark.parametrize(
    ("starts_at", "finished_at", "seconds"), [(100.0, None, 10), (100.0, 105.0, 5), (None, None, 0), (120.0, None, 0)]
)
def test_how_long_it_took(starts_at: float | None, finished_at: float | None, seconds: float) -> None:
    report = replace(REPORT, campaign=replace(CAMPAIGN, starts_at=starts_at, finished_at=finished_at))
    assert report.seconds == seconds
    assert report.rate == (25 / seconds if seconds else 0)  # five were cancelled


@pytest.mark.parametrize(
    ("facts", "paused", "seconds"),
    [
        ({"paused": 4.0}, 4, 6),
        ({"paused_at": 107.0}, 3, 7),
        ({"paused": 1.0, "paused_at": 95.0}, 11, 0),  # it was paused before its time came
        ({"paused": 4.0, "finished_at": 108.0}, 4, 4),
        ({"paused_at": 107.0, "starts_at": None}, 0, 0),
    ],
)
def test_a_pause_is_not_in_the_time_it_took(facts: dict[str, Any], paused: float, seconds: float) -> None:
    report = replace(REPORT, campaign=replace(CAMPAIGN, **facts))
    assert (report.paused, report.seconds) == (paused, seconds)
    assert report.rate == (25 / seconds if seconds else 0)
