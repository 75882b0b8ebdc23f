"""What the API can do: a module for each kind of thing. They hold no rules: they parse, call `Stentor`, and answer."""

from __future__ import annotations

from stentor.api.operations import campaigns, lanes, outcomes

ALL = (*campaigns.operations, *outcomes.operations, *lanes.operations)
"""All of them, in the order of the document."""
