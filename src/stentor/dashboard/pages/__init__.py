"""The pages of the dashboard: a module for each kind of thing."""

from __future__ import annotations

from stentor.dashboard.pages import campaigns, failures, installations, messages, sign_in

ALL = (
    *sign_in.pages,
    *campaigns.pages,
    *failures.pages,
    *installations.pages,
    *messages.pages,
)
"""All of them."""
