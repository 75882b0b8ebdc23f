"""Events as they are stored, and as programs get them."""

from __future__ import annotations

import pytest

from stentor.config import REPORTED
from stentor.reporting.events import TYPES, EventKind, body_of, decode_event, encode_event
from tests.unit.reporting.samples import campaign_event, lane_event


def test_what_is_stored_is_read_again() -> None:
    event = campaign_event(EventKind.STALLED, still_for=300.0)
    assert decode_event(encode_event(event)) == event


def test_every_event_can_be_chosen_in_the_settings_but_for_the_test() -> None:
    """Whoever is told that a lane stopped is told that it goes on."""
    assert {kind.setting for kind in EventKind if kind is not EventKind.TEST} == set(REPORTED)
    assert EventKind.LANE_RESUMED.setting == EventKind.LANE_STOPPED.setting
    assert set(TYPES) == set(EventKind)


def test_a_campaigns_body() -> None:
    body = body_of(campaign_event())
    assert (body["type"], body["timestamp"]) == ("campaign.completed", "2027-01-15T08:00:00.000Z")
    data = body["data"]
    assert data["event"] == "completed/c1"
    assert data["link"] == "https://push.example.com/campaigns/c1"
    assert data["campaign"]["title"] == "Spring sale"
    assert (data["report"]["installations"], data["report"]["accepted"], data["report"]["failed"]) == (1000, 998, 2)
    assert data["report"]["reasons"][0]["reason"] == "Unregistered"
    assert not data["campaign"].keys() & data["report"].keys()


@pytest.mark.parametrize("kind", [EventKind.LANE_STOPPED, EventKind.LANE_RESUMED])
def test_a_lanes_body(kind: EventKind) -> None:
    data = body_of(lane_event(kind, waiting=["Spring sale"]))["data"]
    assert (data["lane"], data["waiting"]) == ("apns/ios", ["Spring sale"])
    assert data["problems"][0]["problem"] == "ExpiredProviderToken: no key"
    assert "campaign" not in data
