"""What the API can do: a module for each kind of thing. They hold no rules: they parse, call `Stentor`, and answer."""

from __future__ import annotations

from stentor.api.operations import (
    access,
    campaigns,
    care,
    events,
    installations,
    lanes,
    messages,
    outcomes,
    reports,
    segments,
    series,
    templates,
)

ALL = (
    *campaigns.operations,
    *outcomes.operations,
    *events.operations,
    *series.operations,
    *messages.operations,
    *segments.operations,
    *care.operations,
    *templates.operations,
    *installations.operations,
    *lanes.operations,
    *reports.operations,
    *access.operations,
)
"""All of them, in the order of the document."""
