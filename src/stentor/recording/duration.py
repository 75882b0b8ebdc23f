"""How long a campaign took: pure, from its times."""

from __future__ import annotations

from stentor.store.campaigns import Campaign


def paused_for(campaign: Campaign, at: float) -> float:
    """Seconds of a campaign's pauses after its start.

    Args:
        at: epoch seconds; what time it is, if the campaign has no end yet.
    """
    if campaign.starts_at is None or campaign.paused_at is None:
        return campaign.paused
    return campaign.paused + max(0.0, _end(campaign, at) - max(campaign.paused_at, campaign.starts_at))


def sent_for(campaign: Campaign, at: float) -> float:
    """Seconds from a campaign's start to its end, or to `at` if it has none, without the pauses."""
    if campaign.starts_at is None:
        return 0.0
    return max(0.0, _end(campaign, at) - campaign.starts_at - paused_for(campaign, at))


def _end(campaign: Campaign, at: float) -> float:
    return at if campaign.finished_at is None else campaign.finished_at
