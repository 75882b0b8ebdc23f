"""The pages of the dashboard: a module for each kind of thing."""

from __future__ import annotations

from stentor.dashboard.pages import (
    account,
    campaign,
    campaign_actions,
    campaign_changes,
    campaigns,
    compose,
    compose_template,
    failures,
    fire,
    installations,
    keys,
    lanes,
    log,
    messages,
    segments,
    series,
    sign_in,
    templates,
    users,
)

ALL = (
    *sign_in.pages,
    *campaigns.pages,
    *lanes.pages,
    *users.pages,
    *keys.pages,
    *log.pages,
    *account.pages,
    *failures.pages,
    *installations.pages,
    *messages.pages,
    *campaign.pages,
    *campaign_actions.pages,
    *campaign_changes.pages,
    *compose.pages,
    *compose_template.pages,
    *fire.pages,
    *series.pages,
    *templates.pages,
    *segments.pages,
)
"""All of them."""
