"""The pages of the dashboard: a module for each kind of thing."""

from __future__ import annotations

from stentor.dashboard.pages import campaigns, compose, fire, sign_in

ALL = (
    *sign_in.pages,
    *campaigns.pages,
    *compose.pages,
    *fire.pages,
)
"""All of them."""
