"""The pages of the dashboard: a module for each kind of thing."""

from __future__ import annotations

from stentor.dashboard.pages import campaign, campaign_actions, campaign_changes, campaigns, compose, fire, sign_in

ALL = (
    *sign_in.pages,
    *campaigns.pages,
    *campaign.pages,
    *campaign_actions.pages,
    *campaign_changes.pages,
    *compose.pages,
    *fire.pages,
)
"""All of them."""
