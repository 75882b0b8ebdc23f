"""What is told of campaigns as JSON."""

from __future__ import annotations

import msgspec

from stentor.audience.contract import Selection
from stentor.recording import shapes
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign

GERMAN = Selection(source="users", segment="language = de", segment_name="german")


def told(selection: Selection) -> object:
    campaign = Campaign(
        id="1",
        title="News",
        state=CampaignState.DRAFT,
        audience=msgspec.json.encode(selection),
        collapse_id="1",
        created_at=0.0,
    )
    return msgspec.to_builtins(shapes.campaign(campaign))["audience"]


def test_what_keeps_older_stentors_from_a_segment_is_stored_and_not_told() -> None:
    """It stands where they look for reasons; without it they would send to everybody."""
    assert b'"reasons":"segment"' in msgspec.json.encode(GERMAN)
    assert told(GERMAN) == {"source": "users", "segment": "language = de", "segment_name": "german"}
    again = Selection(source="users", failed_of="0", reasons=["Unregistered"], within=GERMAN)
    assert told(again) == {
        "source": "users",
        "failed_of": "0",
        "reasons": ["Unregistered"],
        "within": {"source": "users", "segment": "language = de", "segment_name": "german"},
    }
